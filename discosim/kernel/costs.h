/* Iteration times: world/engine/costs */

enum { CONSTANT, LINES, GRID, PHYSICS };

typedef struct {
    i64 kind, n_gpus, n_grid, other_tok, large_batch;
    const double *line_s, *slope_s;     /* of a decode batch of n requests, from n = 0 */
    const double *grid_tok, *grid_s;    /* GRID */
    double prefill[3], small[2], large[2]; /* CONSTANT, LINES: a, b, c; b, c of each regime of decodes */
    double overhead_s, weights_s, experts_s, expert_share, compute_s, comm_s, square_s, kv_mixed_s, request_s;
    double mixed_factor;
} Cost;

typedef struct { i64 slot, tok; } Piece;

static double read_grid(const Cost *c, double x)
{
    const double *tok = c->grid_tok, *s = c->grid_s;
    if (x <= tok[0]) return s[0];
    i64 low = 0, high = c->n_grid; /* bisect_right */
    while (low < high) {
        i64 middle = (low + high) / 2;
        if (x < tok[middle]) high = middle; else low = middle + 1;
    }
    i64 at = least(low, c->n_grid - 1);
    return s[at - 1] + (s[at] - s[at - 1]) * (x - tok[at - 1]) / (tok[at] - tok[at - 1]);
}

static double tokens_s(const Cost *c, double tok)
{
    double weights_s = c->weights_s;
    if (c->experts_s != 0.0) weights_s += c->experts_s * (1.0 - pow(1.0 - c->expert_share, tok + (double)c->other_tok));
    return c->overhead_s + more(weights_s, c->compute_s * tok) + c->comm_s * tok;
}

/* n decodes of context_tok beside the prompt tokens, or none; context_s is what a grid adds for pieces with a context. */
static double prompt_iteration_s(const Cost *c, double tok, double square, i64 n, i64 context_tok, double context_s)
{
    const double *p = c->prefill;
    double decodes = (double)n, context = (double)context_tok;
    if (c->kind == CONSTANT) return p[0];
    if (c->kind == LINES) {
        double prefill_s = p[0] + p[1] * tok + p[2] * square;
        if (n == 0) return prefill_s;
        const double *bc = n <= c->large_batch ? c->small : c->large;
        return prefill_s + bc[1] * decodes + bc[0] * context;
    }
    if (c->kind == GRID) {
        if (n == 0) return read_grid(c, tok) + context_s;
        return more(c->mixed_factor * (read_grid(c, tok + decodes) + context_s), c->line_s[n] + c->slope_s[n] * context);
    }
    if (n == 0) return tokens_s(c, tok) + c->square_s * square;
    return tokens_s(c, tok + decodes) + c->square_s * square + c->kv_mixed_s * context + c->request_s * decodes;
}
