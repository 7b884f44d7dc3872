/* QoE ahead, and what serving is worth: FutureQoe, slack_s, objectives */

static const double PERFECT_QOE = 1.0 - 1e-9;

static double rounded(double x) { return rint(x * 1e9) / 1e9; } /* numpy's round to nine digits */

static double series_of(double x, double step, double n_max)
{
    x = more(x, 0.0);
    double n = less(floor(x / step) + 1.0, n_max);
    return n * x - step * (0.5 * n * (n - 1.0));
}

static double ratio_of(const Outlook *o, double shown)
{
    double ratio = o->expected > 0.0 ? shown / o->expected : 1.0;
    return less(more(ratio, 0.0), 1.0);
}

static double slack_of(const Engine *e, const Replica *r, const Bench *b, i64 row)
{
    const Job *j = &e->jobs[b->slot[row]];
    double elapsed_s = r->now_s - j->queued_s;
    return (double)b->generated_tok[row] / j->reader_tok_per_s + j->target_s - elapsed_s;
}

static void look_ahead(Engine *e, Replica *r, Bench *b, double ahead_s, const i64 *rows, i64 n)
{
    read_clocks(e, r, b);
    double horizon_s = b->horizon_s = r->now_s + ahead_s;
    for (i64 k = 0; k < n; k++) {
        i64 row = rows[k];
        const Job *j = &e->jobs[b->slot[row]];
        double tok = (double)b->generated_tok[row], delta_s = 1.0 / j->reader_tok_per_s;
        double first_due_s = j->queued_s + j->target_s, last_due_s = first_due_s + (tok - 1.0) * delta_s;
        Outlook *o = &b->outlook[k];
        o->delta_s = delta_s;
        o->expected = series_of(horizon_s - first_due_s, delta_s, INFINITY);
        o->done_s = more(b->clock_s[row], last_due_s);
        double shown = tok * (horizon_s - 0.5 * (first_due_s + last_due_s)) - b->delay_s[row];
        o->shown = shown + series_of(o->done_s - horizon_s, delta_s, tok);
    }
}

static double waiting_of(const Outlook *o) { return ratio_of(o, o->shown); }

static double served_of(const Replica *r, const Bench *b, const Outlook *o, double token_s)
{
    double delta_s = o->delta_s, pace_s = more(delta_s, token_s), first_s = r->now_s + token_s, ready_s = o->done_s + delta_s;
    double lead_s = more(ready_s - first_s, 0.0), slower_s = pace_s - delta_s, behind_s = -1.0;
    double n_buffered = lead_s == 0.0 ? 0.0 : slower_s > 0.0 ? ceil(lead_s / slower_s) : INFINITY;
    double added = series_of(b->horizon_s - ready_s, delta_s, n_buffered);
    if (n_buffered < INFINITY) behind_s = b->horizon_s - first_s - n_buffered * pace_s;
    return ratio_of(o, o->shown + added + series_of(behind_s, pace_s, INFINITY));
}

static double gain(i64 objective, double served, double waiting, double present, double worst)
{
    if (objective == AVERAGE) return rounded(more(served - waiting, 0.0));
    if (objective == MAX_MIN) return rounded(more(worst - waiting, 0.0));
    return served >= PERFECT_QOE && waiting < PERFECT_QOE && present >= PERFECT_QOE ? 1.0 : 0.0;
}
