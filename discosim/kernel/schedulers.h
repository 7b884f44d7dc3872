/* Schedulers: Fcfs, FcfsChunked */

static void order_prefill(Engine *e, Replica *r, i64 slot, i64 tok)
{
    r->orders = room_for(e, r->orders, &r->room_orders, r->n_orders + 1, sizeof(Piece));
    if (e->failed) return;
    r->orders[r->n_orders++] = (Piece){slot, tok};
    r->n_prefill_tok += tok;
}

static int preempt_newest(Engine *e, Replica *r, List *among)
{
    int has = 0;
    while (!e->failed && among->n && shortfall(e, r) > 0) { preempt(e, r, among->tail); has = 1; }
    return has;
}

static int resume_oldest(Engine *e, Replica *r)
{
    int has = 0;
    while (!e->failed && r->swapped.n && fits(e, r, &e->jobs[r->swapped.head], -1)) { resume(e, r, r->swapped.head); has = 1; }
    return has;
}

static int schedule_fcfs(Engine *e, Replica *r) /* returns whether those who decode make a token */
{
    i64 budget = e->set.budget_tok;
    while (!e->failed && r->waiting.n && !r->swapped.n) {
        i64 slot = r->waiting.head, left_tok = e->jobs[slot].left_tok;
        if (!fits(e, r, &e->jobs[slot], -1) || (r->n_orders && left_tok > budget)) break;
        admit(e, r, slot, -1);
        budget -= left_tok;
        order_prefill(e, r, slot, left_tok);
    }
    if (r->n_orders) return 0;
    if (preempt_newest(e, r, &r->decoding) || resume_oldest(e, r)) r->ask_after = 1;
    else r->ask_on_arrival = r->waiting.n + r->swapped.n == 0;
    return 1;
}

static int extend(Engine *e, Replica *r, i64 slot, i64 left) /* returns whether the job's next chunk has its blocks */
{
    Job *j = &e->jobs[slot];
    if (j->state != PREFILLING) return 0;
    i64 held_tok = context_of(j) - j->left_tok + least(left, j->left_tok), need = blocks_of(e, held_tok) - j->blocks;
    while (need > 0 && need + shortfall(e, r) > 0) {
        i64 victim = r->prefilling.tail;
        preempt(e, r, victim);
        if (e->failed || victim == slot) return 0;
    }
    if (held_tok > j->held_tok) {
        note_stay(r, j);
        j->mark_s = r->now_s;
        take(e, r, need);
        j->held_tok = held_tok;
        j->blocks += need;
    }
    return 1;
}

static int enters(const Engine *e, const Replica *r, const Job *j, i64 left)
{
    if (e->set.blocks_rule == AT_ONCE)
        return fits(e, r, j, -1) && shortfall(e, r) + blocks_of(e, context_of(j)) <= 0;
    return fits(e, r, j, e->set.blocks_rule == BY_CHUNK ? context_of(j) : left);
}

static int schedule_chunked(Engine *e, Replica *r)
{
    int at_once = e->set.blocks_rule == AT_ONCE;
    int has_preempted = e->set.preempts_running && preempt_newest(e, r, &r->prefilling);
    has_preempted |= preempt_newest(e, r, &r->decoding);
    int has_moved = has_preempted || resume_oldest(e, r);
    i64 left = e->set.budget_tok - r->decoding.n, n = r->prefilling.n, i = 0;
    e->scratch = room_for(e, e->scratch, &e->room_scratch, n, sizeof(i64));
    if (e->failed) return 0;
    for (i64 slot = r->prefilling.head; slot >= 0; slot = e->jobs[slot].next) e->scratch[i++] = slot;
    for (i = 0; i < n && left > 0 && !e->failed; i++) {
        i64 slot = e->scratch[i];
        if (!at_once && !extend(e, r, slot, left)) break;
        i64 chunk = least(left, e->jobs[slot].left_tok);
        order_prefill(e, r, slot, chunk);
        left -= chunk;
    }
    if (r->prefilling.n < n) has_preempted = has_moved = 1;
    while (!e->failed && left > 0 && r->waiting.n && !r->swapped.n && !has_preempted) {
        i64 slot = r->waiting.head;
        if (!enters(e, r, &e->jobs[slot], left)) break;
        admit(e, r, slot, at_once ? -1 : left);
        i64 chunk = least(left, e->jobs[slot].left_tok);
        order_prefill(e, r, slot, chunk);
        left -= chunk;
    }
    if (has_moved) r->ask_after = 1;
    r->ask_on_arrival = r->waiting.n == 0;
    return 1;
}
