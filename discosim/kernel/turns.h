/* Moves that several schedulers share, and turns: moves, RoundRobin */

static i64 n_resident(const Replica *r) { return r->prefilling.n + r->decoding.n; }

static int is_outside(const Job *j) { return j->state == WAITING || j->state == SWAPPED; }

static void enter(Engine *e, Replica *r, i64 slot)
{
    if (e->jobs[slot].state == SWAPPED) resume(e, r, slot); else admit(e, r, slot, -1);
}

static i64 outside(const Engine *e, const Replica *r, i64 *slots) /* those in host memory, and then the queue */
{
    i64 n = 0;
    for (i64 slot = r->swapped.head; slot >= 0; slot = e->jobs[slot].next) slots[n++] = slot;
    for (i64 slot = r->waiting.head; slot >= 0; slot = e->jobs[slot].next) slots[n++] = slot;
    return n;
}

static i64 generated_of(const Replica *r, const Job *j)
{
    return j->base_tok + (j->state == DECODING ? r->step - j->join_step : 0);
}

static i64 blocks_held(const Engine *e, const Replica *r, const Job *j)
{
    return j->state == PREFILLING ? j->blocks : blocks_of(e, j->prompt_tok + generated_of(r, j) - 1);
}

static i64 victims_for(const Engine *e, const Replica *r, i64 slot, const i64 *victims, i64 n_victims) /* -1: too few */
{
    const Job *j = &e->jobs[slot];
    i64 missing = blocks_of(e, context_of(j)) - (r->free_blocks - e->set.watermark_blocks), n = 0;
    if (j->state == SWAPPED) missing += shortfall(e, r) + r->free_blocks;
    while (missing > 0 || n_resident(r) - n >= e->set.max_batch) {
        if (n == n_victims) return -1;
        missing -= blocks_held(e, r, &e->jobs[victims[n++]]);
    }
    return n;
}

static int prefill_first(Engine *e, Replica *r) /* returns whether those who decode make a token */
{
    i64 left = e->set.options.max_prefill_tok;
    for (i64 slot = r->prefilling.head; slot >= 0 && !e->failed; slot = e->jobs[slot].next) {
        i64 tok = e->jobs[slot].left_tok;
        if (r->n_orders && tok > left) break;
        order_prefill(e, r, slot, tok);
        left -= tok;
    }
    return r->n_orders == 0;
}

static void end_turn(Engine *e, Replica *r, i64 slot)
{
    i64 n = 0;
    preempt(e, r, slot);
    for (i64 i = 0; i < r->n_turns; i++)
        if (r->turns[i].slot != slot) r->turns[n++] = r->turns[i];
    r->n_turns = n;
    e->jobs[slot].place = r->n_places++;
}

static int is_turn(const Engine *e, Member t) /* not over since, and its slot not somebody else's */
{
    const Job *j = &e->jobs[t.slot];
    return j->job_id == t.job_id && (j->state == DECODING || j->state == PREFILLING);
}

static void sink(const Engine *e, i64 *line, i64 i, i64 n) /* the least place stands first */
{
    for (i64 child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && e->jobs[line[child + 1]].place < e->jobs[line[child]].place) child++;
        if (e->jobs[line[i]].place <= e->jobs[line[child]].place) return;
        i64 moved = line[i];
        line[i] = line[child];
        line[child] = moved;
    }
}

static void rotate(Engine *e, Replica *r)
{
    i64 n_line = r->waiting.n + r->swapped.n, n_over = 0, done = 0, slot = r->waiting.tail;
    while (slot >= 0 && e->jobs[slot].place < 0 && e->jobs[slot].previous >= 0 && e->jobs[e->jobs[slot].previous].place < 0)
        slot = e->jobs[slot].previous;
    for (; slot >= 0; slot = e->jobs[slot].next) /* the end of the queue has come since the last call */
        if (e->jobs[slot].place < 0) e->jobs[slot].place = r->n_places++;
    e->scratch = room_for(e, e->scratch, &e->room_scratch, n_line + r->n_turns, sizeof(i64));
    if (e->failed) return;
    i64 *line = e->scratch, *over = e->scratch + n_line;
    outside(e, r, line);
    for (i64 i = n_line / 2 - 1; i >= 0; i--) sink(e, line, i, n_line);
    for (i64 i = 0; i < r->n_turns; i++)
        if (r->iteration - r->turns[i].begun >= e->set.options.quantum) over[n_over++] = r->turns[i].slot;
    for (; n_line > 0 && !e->failed; line[0] = line[--n_line], sink(e, line, 0, n_line)) {
        i64 first = line[0], n = victims_for(e, r, first, over + done, n_over - done);
        if (n < 0 && n_resident(r)) return;
        if (n < 0) n = n_over - done;
        for (; n > 0 && !e->failed; n--) end_turn(e, r, over[done++]);
        if (e->failed) return;
        enter(e, r, first);
        e->jobs[first].place = -1;
        r->turns = room_for(e, r->turns, &r->room_turns, r->n_turns + 1, sizeof(Member));
        if (!e->failed) r->turns[r->n_turns++] = (Member){first, e->jobs[first].job_id, r->iteration};
    }
}

static int schedule_turns(Engine *e, Replica *r)
{
    i64 n_places = r->n_places;
    if (n_resident(r) != r->n_turns) {
        i64 n = 0;
        for (i64 i = 0; i < r->n_turns; i++)
            if (is_turn(e, r->turns[i])) r->turns[n++] = r->turns[i];
        r->n_turns = n;
    }
    if (r->waiting.n + r->swapped.n) rotate(e, r);
    if (e->failed || !prefill_first(e, r)) return 0;
    while (!e->failed && r->decoding.n && shortfall(e, r) > 0) end_turn(e, r, r->decoding.tail);
    if (r->n_places > n_places || r->swapped.n) r->ask_after = 1;
    else if (r->waiting.n)
        for (i64 i = 0; i < r->n_turns; i++) {
            i64 left = r->turns[i].begun + e->set.options.quantum - r->iteration;
            if (left > 0) r->ask_after = least(r->ask_after, left);
        }
    return 1;
}
