/* The frame of the authors' code: Periodic, AndesCode, Lqsf */

static double worth_of(const Engine *e, const Replica *r, const Bench *b, i64 row)
{
    const Options *set = &e->set.options;
    const Job *j = &e->jobs[b->slot[row]];
    double slack_s = slack_of(e, r, b, row);
    if (set->worth == SLACK) return -slack_s;
    double delta_s = 1.0 / j->reader_tok_per_s, n = (double)b->generated_tok[row], elapsed_s = r->now_s - j->queued_s;
    double expected = (elapsed_s + set->ahead_s) / delta_s;
    double reach = (n + set->ahead_s / more(delta_s, set->token_s)) / expected;
    double served = slack_s > 0.0 ? 1.0 : less(1.0, reach * reach);
    double behind = more(0.0, (expected - n) / expected), started = 1.0 - behind * behind;
    double waiting = n > 0.0 ? started : elapsed_s + set->ahead_s <= j->target_s ? 1.0 : 0.0;
    double worth = set->objective == MAX_MIN ? (slack_s < 0.0 ? 0.0 : 1.0 - waiting) : served - waiting;
    worth = rounded(worth);
    if (b->state[row] == DECODING) worth = set->favour * worth;
    return set->by_blocks ? worth / (double)b->weight[row] : worth;
}

static double floor_divide(double x, double y) /* Python's x // y, for y > 0 */
{
    double mod = fmod(x, y), quotient = (x - mod) / y;
    if (mod != 0.0 && mod < 0.0) quotient -= 1.0;
    if (quotient == 0.0) return 0.0;
    double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1.0 : whole;
}

static int compare_numbers(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static double quantile(double *numbers, i64 n, double share) /* numpy's, linear; sorts them */
{
    qsort(numbers, (size_t)n, sizeof(double), compare_numbers);
    double at = (double)(n - 1) * share, below = floor(at);
    if (at >= (double)(n - 1)) return numbers[n - 1];
    double a = numbers[(i64)below], b = numbers[(i64)below + 1], t = at - below, gap = b - a;
    return t >= 0.5 ? b - gap * (1.0 - t) : a + gap * t;
}

static i64 most_victims(const Engine *e, const Replica *r, Bench *b)
{
    const Options *set = &e->set.options;
    double overhead_s = set->overhead_s_per_tok * b->mean_context;
    if (!set->minds_overhead || !(overhead_s > 0.0)) return b->n;
    for (i64 i = 0; i < b->n; i++) b->numbers[i] = slack_of(e, r, b, i);
    double n = floor_divide(quantile(b->numbers, b->n, set->slack_share), overhead_s);
    return n >= (double)b->n ? b->n : most(0, (i64)n);
}

static void preempt_weak(Engine *e, Replica *r, Bench *b)
{
    double best = -INFINITY;
    i64 n_weak = 0, n = 0, room = r->free_blocks - e->set.watermark_blocks, *weak = b->some;
    for (i64 i = 0; i < b->n; i++)
        if (was_outside(b, i)) best = more(best, b->value[i]);
    for (i64 i = 0; i < b->n; i++)
        if (b->state[i] == DECODING && b->value[i] <= best) b->ranked[n_weak++] = (Ranked){b->value[i], 0, i};
    sort_ranked(b, n_weak, weak);
    n_weak = least(n_weak, most_victims(e, r, b));
    if (!n_weak) return;
    for (i64 i = 0; i < b->n; i++) b->is_marked[i] = was_outside(b, i);
    for (i64 k = 0; k < n_weak; k++) { b->is_marked[weak[k]] = 1; room += b->blocks[weak[k]]; }
    for (i64 i = 0; i < b->n; i++)
        if (b->is_marked[i]) {
            double weight = e->set.options.by_blocks ? (double)b->weight[i] : 1.0;
            b->ranked[n++] = (Ranked){-(b->value[i] / weight), b->state[i] != DECODING, i};
        }
    i64 places = e->set.max_batch - n_resident(r) + n_weak;
    sort_first(b, n, places, b->order);
    i64 n_chosen = greedy(b->order, n, b->run_blocks, room, places);
    for (i64 k = 0; k < n_chosen; k++) b->is_marked[b->order[k]] = 0;
    for (i64 k = 0; k < n_weak && !e->failed; k++)
        if (b->is_marked[weak[k]]) preempt(e, r, b->slot[weak[k]]);
}

static void admit_by_worth(Engine *e, Replica *r, Bench *b) /* who was put out just now is not among them */
{
    i64 n = 0;
    for (i64 i = 0; i < b->n; i++)
        if (was_outside(b, i)) b->ranked[n++] = (Ranked){-b->value[i], 0, i};
    for (i64 k = 0; k < n && !e->failed; k++) {
        i64 slot = b->slot[nth(b, n, k)];
        if (!fits(e, r, &e->jobs[slot], -1)) return;
        enter(e, r, slot);
    }
}

static int schedule_periodic(Engine *e, Replica *r)
{
    const Options *set = &e->set.options;
    Bench *b = NULL;
    if (r->waiting.n + r->swapped.n) {
        b = read_live(e, r);
        if (!b) return 0;
        double used = (double)(e->set.kv_blocks - r->free_blocks);
        int may_preempt = used >= set->trigger * (double)e->set.kv_blocks && r->iteration % set->solve_every == 0;
        if (may_preempt || rows_that_may_fit(e, r, b, b->rows)) {
            for (i64 i = 0; i < b->n; i++) { /* what the code divides by */
                b->weight[i] = (i64)rint((double)(b->context_tok[i] + 1) / (double)e->set.block_tok + 0.5);
                b->value[i] = worth_of(e, r, b, i);
            }
            if (may_preempt) preempt_weak(e, r, b);
            if (!e->failed) admit_by_worth(e, r, b);
        }
    }
    if (e->failed || !prefill_first(e, r)) return 0;
    int has_preempted = preempt_newest(e, r, &r->decoding);
    if (e->failed) return 0;
    if (has_preempted || r->swapped.n || (b && anybody_fits(e, r, b))) r->ask_after = 1;
    else if (r->waiting.n) r->ask_after = set->solve_every - r->iteration % set->solve_every;
    return 1;
}
