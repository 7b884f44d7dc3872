/* Andes as its papers describe it: AndesFrame, Ranking, AndesV1, AndesV2 */

static void rank_by_priority(Engine *e, Replica *r, Bench *b, i64 n) /* of b->rows */
{
    if (n < 2) { b->ranked[0] = (Ranked){0.0, 0, b->rows[0]}; return; } /* nobody's outlook is asked for */
    double worst = outlooks(e, r, b, b->rows, n), token_s = token_s_of(e, b, least(r->size, b->n));
    if (!e->failed) rank(e, r, b, b->rows, n, token_s, worst);
}

static void sort_all(Engine *e, Replica *r, Bench *b)
{
    for (i64 i = 0; i < b->n; i++) b->rows[i] = i;
    rank_by_priority(e, r, b, b->n);
    if (!e->failed) sort_ranked(b, b->n, b->order);
}

static i64 first_outside(Engine *e, Replica *r, Bench *b)
{
    if (e->set.options.by_arrival) return r->swapped.n ? r->swapped.head : r->waiting.head;
    sort_all(e, r, b);
    for (i64 k = 0; k < b->n && !e->failed; k++)
        if (is_outside(&e->jobs[b->slot[b->order[k]]])) return b->slot[b->order[k]];
    e->failed = e->failed ? e->failed : NOT_HERE;
    return -1;
}

static void admit_what_fits(Engine *e, Replica *r, Bench *b)
{
    if (n_resident(r) >= r->size || b->n_resident == b->n) return;
    i64 n = rows_that_may_fit(e, r, b, b->rows);
    if (!n) return;
    if (!e->set.options.by_arrival) {
        rank_by_priority(e, r, b, n);
        if (!e->failed) enter_in_order(e, r, b, n, r->size);
    } else {
        n = outside(e, r, b->some);
        for (i64 k = 0; k < n && !e->failed; k++)
            if (n_resident(r) < r->size && fits(e, r, &e->jobs[b->some[k]], -1)) enter(e, r, b->some[k]);
    }
}

static i64 make_room(Engine *e, Replica *r, Bench *b) /* returns how many had to go */
{
    i64 n = r->decoding.n;
    if (e->set.options.newest_leaves || shortfall(e, r) <= 0) preempt_newest(e, r, &r->decoding);
    else {
        sort_all(e, r, b);
        for (i64 k = b->n - 1; k >= 0 && !e->failed; k--) {
            i64 slot = b->slot[b->order[k]];
            if (e->jobs[slot].state != DECODING) continue;
            preempt(e, r, slot);
            if (shortfall(e, r) <= 0) break;
        }
    }
    return n - r->decoding.n;
}

static i64 unchosen_residents(Bench *b, i64 *rows) /* worst first */
{
    i64 n = 0;
    for (i64 i = 0; i < b->n; i++) b->is_marked[i] = is_resident(b, i);
    for (i64 k = 0; k < b->n_chosen; k++) b->is_marked[b->best[k]] = 0;
    for (i64 i = 0; i < b->n; i++)
        if (b->is_marked[i]) b->ranked[n++] = ranked(b, i, b->best_value[i]);
    sort_ranked(b, n, b->order);
    for (i64 k = 0; k < n; k++) rows[k] = b->order[n - 1 - k];
    return n;
}

static i64 may_preempt(const Engine *e, const Replica *r)
{
    if (!e->set.options.has_cap) return NEVER;
    double most_now = e->set.options.max_preemptions * (double)r->n_met;
    return most(0, (most_now < (double)NEVER ? (i64)most_now : NEVER) - r->n_preempted);
}

static void meet(Replica *r, const Engine *e, const Bench *b)
{
    for (i64 i = b->n - 1; i >= 0 && e->jobs[b->slot[i]].job_id > r->newest; i--) r->n_met++;
    r->newest = most(r->newest, e->jobs[b->slot[b->n - 1]].job_id);
}

static void rearrange_capped(Engine *e, Replica *r, Bench *b)
{
    i64 n_victims = unchosen_residents(b, b->rows), done = 0, *victims = b->some;
    for (i64 k = 0; k < n_victims; k++) victims[k] = b->slot[b->rows[k]];
    for (i64 k = 0; k < b->n_chosen && !e->failed; k++) {
        if (is_resident(b, b->best[k])) continue;
        i64 slot = b->slot[b->best[k]], n = victims_for(e, r, slot, victims + done, n_victims - done);
        if (n < 0 || n > may_preempt(e, r)) break;
        for (i64 i = 0; i < n && !e->failed; i++) { preempt(e, r, victims[done++]); r->n_preempted++; }
        if (!e->failed) enter(e, r, slot);
    }
    i64 surplus = least(least(n_resident(r) - b->size, n_victims - done), may_preempt(e, r));
    for (i64 i = 0; i < surplus && !e->failed; i++) { preempt(e, r, victims[done++]); r->n_preempted++; }
}

static double overhead_s(const Engine *e, const Replica *r, i64 slot)
{
    const Job *j = &e->jobs[slot];
    i64 blocks = blocks_held(e, r, j);
    if (can_swap(e, r, blocks)) return 2.0 * swap_s(e, blocks);
    double tok = (double)(j->prompt_tok + generated_of(r, j));
    return prompt_iteration_s(&e->set.cost, tok, tok * tok, 0, 0, 0.0);
}

static double loss_of(Engine *e, Replica *r, Bench *b, const i64 *victims, i64 n) /* victims: slots; those marked stay */
{
    double stall_s = 0.0;
    i64 n_stay = 0;
    for (i64 k = 0; k < n; k++) stall_s += overhead_s(e, r, victims[k]);
    for (i64 i = 0; i < b->n; i++)
        if (b->is_marked[i]) b->order[n_stay++] = i;
    if (stall_s <= 0.0 || !n_stay) return 0.0;
    look_ahead(e, r, b, stall_s, b->order, n_stay);
    for (i64 k = 0; k < n_stay; k++)
        b->numbers[k] = served_of(r, b, &b->outlook[k], b->token_s) - waiting_of(&b->outlook[k]);
    return pairwise(b->numbers, n_stay);
}

static void rearrange_refined(Engine *e, Replica *r, Bench *b)
{
    i64 n_victims = unchosen_residents(b, b->rows), done = 0, *rows = b->rows, *victims = b->some;
    for (i64 k = 0; k < n_victims; k++) victims[k] = b->slot[rows[k]];
    for (i64 i = 0; i < b->n; i++) b->is_marked[i] = is_resident(b, i);
    for (i64 k = 0; k < b->n_chosen && !e->failed; k++) {
        i64 row = b->best[k];
        if (is_resident(b, row)) continue;
        i64 n = victims_for(e, r, b->slot[row], victims + done, n_victims - done);
        if (n < 0) return;
        double lost = 0.0;
        for (i64 i = done; i < done + n; i++) { b->is_marked[rows[i]] = 0; lost += b->best_value[rows[i]]; }
        if (n && e->set.options.refines && b->best_value[row] - lost <= loss_of(e, r, b, victims + done, n)) return;
        for (i64 i = 0; i < n && !e->failed; i++) preempt(e, r, victims[done++]);
        if (!e->failed) enter(e, r, b->slot[row]);
    }
}

static int schedule_andes(Engine *e, Replica *r)
{
    const Options *set = &e->set.options;
    Bench *b = look(e, r);
    if (!b) return 0;
    int is_solved = 0;
    meet(r, e, b);
    if (is_settled(e, b) || !is_crowded(e, b)) r->size = e->set.max_batch;
    else if (r->iteration % set->solve_every == 0) {
        choose(e, r, b);
        r->size = b->size;
        is_solved = 1;
    }
    if (e->failed) return 0;
    if (!is_solved) admit_what_fits(e, r, b);
    else if (set->is_v2) rearrange_refined(e, r, b);
    else rearrange_capped(e, r, b);
    if (e->failed) return 0;
    if (!n_resident(r)) {
        i64 slot = first_outside(e, r, b);
        if (e->failed) return 0;
        enter(e, r, slot);
    }
    if (!prefill_first(e, r)) return 0;
    i64 n = make_room(e, r, b);
    if (e->failed) return 0;
    if (n) {
        if (!set->newest_leaves) r->n_preempted += n;
        r->ask_after = 1;
    } else if (r->waiting.n + r->swapped.n) {
        int has_room = is_solved && n_resident(r) < r->size && anybody_fits(e, r, b);
        r->ask_after = has_room ? 1 : set->solve_every - r->iteration % set->solve_every;
    } else r->ask_after = calm_iterations(e, b);
    return 1;
}
