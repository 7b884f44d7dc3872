/* Andes' knapsack: Look, choose, batch_sizes */

static double token_s_of(Engine *e, const Bench *b, i64 n)
{
    if (n >= e->set.n_lines) { e->failed = NOT_HERE; return 0.0; }
    return e->set.cost.line_s[n] + e->set.cost.slope_s[n] * (double)n * b->mean_context;
}

static Bench *look(Engine *e, Replica *r)
{
    Bench *b = read_live(e, r);
    if (!b) return NULL;
    double most_tok_per_s = 0.0;
    b->capacity = e->set.kv_blocks - e->set.watermark_blocks;
    b->sum_weight = 0;
    for (i64 i = 0; i < b->n; i++) {
        b->sum_weight += b->weight[i] = least(b->run_blocks[i], b->capacity);
        most_tok_per_s = more(most_tok_per_s, e->jobs[b->slot[i]].reader_tok_per_s);
    }
    b->fastest_s = 1.0 / most_tok_per_s;
    return b;
}

static int is_settled(Engine *e, const Bench *b)
{
    return b->n_resident == b->n && b->sum_weight <= b->capacity && token_s_of(e, b, b->n) <= b->fastest_s;
}

static int is_crowded(Engine *e, const Bench *b)
{
    double limit = less(e->set.options.trigger * (double)e->set.kv_blocks, (double)b->capacity);
    return (double)b->sum_weight > limit || b->n > e->set.max_batch || token_s_of(e, b, b->n) > b->fastest_s;
}

static i64 calm_iterations(Engine *e, const Bench *b)
{
    i64 n = b->n, spare = b->capacity - b->sum_weight;
    if (spare < 0) return 1;
    if (n >= e->set.n_lines) { e->failed = NOT_HERE; return 1; }
    double slope_s = e->set.cost.slope_s[n], token_s = e->set.cost.line_s[n] + slope_s * (double)b->sum_context;
    double left_s = b->fastest_s - token_s, slows;
    if (left_s <= 0.0) return 1;
    slows = slope_s == 0.0 ? (double)NEVER : less(left_s / (slope_s * (double)n), (double)NEVER);
    return most(1, least(e->set.block_tok * (spare / n), (i64)slows));
}

static i64 most_that_fit(Bench *b, i64 size) /* up to so many */
{
    for (i64 i = 0; i < b->n; i++) b->ranked[i] = (Ranked){(double)b->weight[i], 0, i};
    sort_first(b, b->n, size, b->order);
    return greedy(b->order, b->n, b->weight, b->capacity, size);
}

static i64 largest_fast_batch(Engine *e, const Bench *b, i64 largest)
{
    i64 low = 1, high = largest;
    if (token_s_of(e, b, largest) <= b->fastest_s) return largest;
    while (high - low > 1) {
        i64 middle = (low + high) / 2;
        if (token_s_of(e, b, middle) <= b->fastest_s) low = middle; else high = middle;
    }
    return low;
}

static Ranked ranked(const Bench *b, i64 row, double value)
{
    return (Ranked){-(value / (double)b->context_tok[row]), !is_resident(b, row), row};
}

/* By gain per token of context, not sorted yet. */
static void rank(Engine *e, const Replica *r, Bench *b, const i64 *rows, i64 n, double token_s, double worst)
{
    for (i64 i = 0; i < n; i++) {
        i64 row = rows[i];
        double served = served_of(r, b, &b->outlook[i], token_s);
        b->value[row] = gain(e->set.options.objective, served, b->waiting[i], b->present[i], worst);
        b->ranked[i] = ranked(b, row, b->value[row]);
    }
}

/* The QoE of these rows at the horizon if they wait, and of all at present where the objective asks; returns the worst. */
static double outlooks(Engine *e, Replica *r, Bench *b, const i64 *rows, i64 n)
{
    double worst = 1.0;
    i64 objective = e->set.options.objective;
    if (objective != AVERAGE) {
        for (i64 i = 0; i < b->n; i++) b->is_marked[i] = i;
        look_ahead(e, r, b, 0.0, b->is_marked, b->n);
        for (i64 i = 0; i < b->n; i++) { b->numbers[i] = waiting_of(&b->outlook[i]); worst = less(worst, b->numbers[i]); }
    }
    look_ahead(e, r, b, e->set.options.ahead_s, rows, n);
    for (i64 k = 0; k < n; k++) {
        b->waiting[k] = waiting_of(&b->outlook[k]);
        b->present[k] = objective == AVERAGE ? b->waiting[k] : b->numbers[rows[k]];
    }
    return worst;
}

/* Leaves those chosen in b->best, n_chosen of them, best first; values of all, batch size, token latency. */
static void choose(Engine *e, Replica *r, Bench *b)
{
    for (i64 i = 0; i < b->n; i++) b->rows[i] = i;
    double worst = outlooks(e, r, b, b->rows, b->n), best = -1.0;
    i64 largest = most(1, most_that_fit(b, e->set.max_batch)), smallest = largest_fast_batch(e, b, largest);
    i64 n_sizes = smallest >= largest ? 1 : least(e->set.options.n_sizes, largest - smallest + 1), last = -1;
    double step = n_sizes > 1 ? (double)(largest - smallest) / (double)(n_sizes - 1) : 0.0;
    for (i64 k = n_sizes - 1; k >= 0 && !e->failed; k--) { /* evenly spaced, as numpy's linspace; falling */
        i64 size = k == n_sizes - 1 ? largest : (i64)rint((double)k * step + (double)smallest);
        if (size == last) continue;
        last = size;
        double token_s = token_s_of(e, b, size);
        rank(e, r, b, b->rows, b->n, token_s, worst);
        sort_first(b, b->n, size, b->order); /* no more can be chosen */
        i64 n_chosen = greedy(b->order, b->n, b->weight, b->capacity, size);
        for (i64 i = 0; i < n_chosen; i++) b->numbers[i] = b->value[b->order[i]];
        double total = pairwise(b->numbers, n_chosen);
        if (total > best) {
            best = total;
            memcpy(b->best, b->order, (size_t)n_chosen * sizeof(i64));
            memcpy(b->best_value, b->value, (size_t)b->n * sizeof(double));
            b->n_chosen = n_chosen;
            b->size = size;
            b->token_s = token_s;
        }
    }
}
