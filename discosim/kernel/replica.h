/* Iterations: Replica */

static void log_steps(Engine *e, Replica *r, i64 m)
{
    if (r->step - r->base + m > r->room_ends) { /* drop what nobody needs, and grow where that is not enough */
        i64 oldest = r->step;
        for (i64 slot = r->decoding.head; slot >= 0; slot = e->jobs[slot].next)
            oldest = least(oldest, e->jobs[slot].join_step);
        i64 kept = r->step - oldest;
        if (r->ends_s) memmove(r->ends_s, r->ends_s + (oldest - r->base), (size_t)kept * sizeof(double));
        r->base = oldest;
        r->ends_s = room_for(e, r->ends_s, &r->room_ends, 2 * (kept + m), sizeof(double));
        if (e->failed) return;
    }
    double *ends_s = r->ends_s + (r->step - r->base);
    for (i64 i = 1; i <= m; i++) ends_s[i - 1] = end_s(r, i);
    r->step += m;
}

static void end_job(Engine *e, Replica *r, i64 slot)
{
    e->jobs[slot].state = GONE;
    r->n_live--;
    e->over = room_for(e, e->over, &e->room_over, e->n_over + 1, sizeof(Piece));
    if (!e->failed) e->over[e->n_over++] = (Piece){slot, 0};
}

static void end_prefill(Engine *e, Replica *r, i64 slot)
{
    Job *j = &e->jobs[slot];
    i64 blocks = leave_prefill(e, r, slot);
    j->base_tok++;
    if (j->kept_s) keep_token(j, r->now_s);
    if (j->base_tok == 1) {
        j->first_s = r->now_s;
        j->first_at_s = e->now_s;
        j->first_rank = e->n_firsts++;
        if (e->desk) {
            e->heard = room_for(e, e->heard, &e->room_heard, e->n_heard + 1, sizeof(Piece));
            if (!e->failed) e->heard[e->n_heard++] = (Piece){slot, j->row};
        }
    }
    if (j->base_tok < j->answer_tok) { join(e, r, slot); return; }
    give_back(e, r, blocks);
    end_job(e, r, slot);
}

static void write_out(Engine *e, const Replica *r, i64 slot)
{
    Job *j = &e->jobs[slot];
    Out *o = &e->out;
    if (o->n == o->room) {
        i64 room = o->room, *ints[] = {o->row, o->first_rank, o->n_preemptions, o->tok};
        double *floats[] = {o->first_at_s, o->end_at_s, o->gpu_s, o->kv_tok_s, o->scheduled_s};
        for (int k = 0; k < 4; k++) { room = o->room; ints[k] = room_for(e, ints[k], &room, o->n + 1, sizeof(i64)); }
        for (int k = 0; k < 5; k++) { room = o->room; floats[k] = room_for(e, floats[k], &room, o->n + 1, sizeof(double)); }
        o->row = ints[0]; o->first_rank = ints[1]; o->n_preemptions = ints[2]; o->tok = ints[3];
        o->first_at_s = floats[0]; o->end_at_s = floats[1]; o->gpu_s = floats[2]; o->kv_tok_s = floats[3];
        o->scheduled_s = floats[4];
        o->room = room;
    }
    o->made_s = room_for(e, o->made_s, &o->room_tok, o->n_tok + j->answer_tok, sizeof(double));
    if (e->failed) return;
    double *made_s = o->made_s + o->n_tok;
    if (j->kept_s) memcpy(made_s, j->kept_s, (size_t)j->n_kept * sizeof(double));
    else {
        made_s[0] = j->first_s;
        if (j->answer_tok > 1)
            memcpy(made_s + 1, r->ends_s + (j->join_step - r->base), (size_t)(j->answer_tok - 1) * sizeof(double));
    }
    i64 i = o->n++;
    o->n_tok += j->answer_tok;
    o->row[i] = j->row; o->first_rank[i] = j->first_rank; o->n_preemptions[i] = j->n_preemptions; o->tok[i] = j->answer_tok;
    o->first_at_s[i] = j->first_at_s; o->end_at_s[i] = e->now_s; o->gpu_s[i] = j->gpu_s; o->kv_tok_s[i] = j->kv_tok_s;
    o->scheduled_s[i] = j->scheduled_s;
    free(j->kept_s);
    j->kept_s = NULL;
    j->job_id = -1;
    j->next = e->free_slot;
    e->free_slot = slot;
}

static void keep_tokens(Engine *e, const Replica *r, Job *j) /* of who has ended: nobody may know yet who is shown */
{
    if (j->kept_s || !is_to_be_shown(e->desk, j->row)) return;
    j->kept_s = malloc((size_t)j->answer_tok * sizeof(double));
    if (!j->kept_s) { e->failed = NO_MEMORY; return; }
    j->n_kept = j->answer_tok;
    j->kept_s[0] = j->first_s;
    if (j->answer_tok > 1)
        memcpy(j->kept_s + 1, r->ends_s + (j->join_step - r->base), (size_t)(j->answer_tok - 1) * sizeof(double));
}

static void tell(Engine *e, const Replica *r) /* owners of first tokens, and of jobs that have ended */
{
    for (i64 k = 0; k < e->n_heard && !e->failed; k++) hear_first(e, e->heard[k].tok, r->now_s);
    for (i64 k = 0; k < e->n_over && !e->failed; k++) {
        Job *j = &e->jobs[e->over[k].slot];
        keep_tokens(e, r, j);
        j->job_id = -1;
        if (!e->failed) hear_end(e, j->row);
    }
    e->n_heard = e->n_over = 0;
}

static void complete(Engine *e, Replica *r)
{
    i64 m = r->m, n = r->n_decode;
    double now_s = end_s(r, m), span_s = now_s - r->begin_s;
    r->now_s = now_s;
    r->iteration += m;
    record(e, r);
    r->m = 0;
    r->kv_clock += (double)r->step * span_s;
    if (n) {
        if (m > 1) /* sum of i * (duration of iteration i), i from 0 */
            r->kv_clock += r->first_s * (double)(m * (m - 1) / 2) + r->ramp_s * (double)((m - 1) * m * (2 * m - 1) / 6);
        i64 first = r->n_left ? 1 : m; /* blocks that had not been seen as free are so after one iteration */
        r->free_blocks -= growth(e, r, r->step, first);
        note_peak(e, r);
        settle(r);
        r->free_blocks -= growth(e, r, r->step + first, m - first);
        note_peak(e, r);
        log_steps(e, r, m);
        if (e->failed) return;
        r->context_tok += n * m;
    } else settle(r);
    if (r->n_prefill_tok) {
        double share_s = span_s * (double)e->set.cost.n_gpus / (double)(n + r->n_prefill_tok);
        r->gpu_clock_s += n ? share_s : 0.0;
        for (i64 k = 0; k < r->n_orders && !e->failed; k++) {
            Job *j = &e->jobs[r->orders[k].slot];
            j->gpu_s += share_s * (double)r->orders[k].tok;
            j->left_tok -= r->orders[k].tok;
            r->pending_tok -= r->orders[k].tok;
            if (j->left_tok == 0) end_prefill(e, r, r->orders[k].slot);
        }
    } else r->gpu_clock_s += span_s * (double)e->set.cost.n_gpus / (double)n;
    while (!e->failed && r->n_finishes && r->finishes[0].step <= r->step) {
        Finish f = r->finishes[0];
        pop_finish(r);
        if (is_valid(e, f)) { give_back(e, r, leave(e, r, f.slot)); end_job(e, r, f.slot); }
    }
    if (e->desk) { tell(e, r); return; }
    for (i64 k = 0; k < e->n_over && !e->failed; k++) write_out(e, r, e->over[k].slot);
    e->n_over = 0;
}

/* ---- a heap of replicas, whose boundary comes first in front ------------------------------------------------------- */

static int is_due_before(const Replica *a, const Replica *b)
{
    return a->due_s < b->due_s || (a->due_s == b->due_s && a->due_rank < b->due_rank);
}

static void put_due(Engine *e, i64 at, i64 which) /* into a gap at a place of the heap, or wherever it belongs instead */
{
    const Replica *r = &e->replicas[which];
    for (i64 up; at > 0 && is_due_before(r, &e->replicas[e->due[up = (at - 1) / 2]]); at = up)
        e->replicas[e->due[at] = e->due[up]].due_at = at;
    for (i64 child; (child = 2 * at + 1) < e->n_due; at = child) {
        if (child + 1 < e->n_due && is_due_before(&e->replicas[e->due[child + 1]], &e->replicas[e->due[child]])) child++;
        if (!is_due_before(&e->replicas[e->due[child]], r)) break;
        e->replicas[e->due[at] = e->due[child]].due_at = at;
    }
    e->due[at] = which;
    e->replicas[which].due_at = at;
}

static Replica *next_due(const Engine *e) { return e->n_due ? &e->replicas[e->due[0]] : NULL; }

static void pop_due(Engine *e)
{
    e->replicas[e->due[0]].due_at = -1;
    i64 last = e->due[--e->n_due];
    if (e->n_due) put_due(e, 0, last);
}

static void due(Engine *e, Replica *r, double delay_s)
{
    r->due_s = e->now_s + delay_s;
    r->due_rank = e->next_rank++;
    put_due(e, r->due_at < 0 ? e->n_due++ : r->due_at, r - e->replicas);
    e->last_s = more(e->last_s, r->due_s);
}

static double prefill_iteration_s(const Engine *e, const Replica *r, i64 n)
{
    const Cost *c = &e->set.cost;
    double tok = 0.0, square = 0.0, slices_s = 0.0, later_tok = 0.0, context_s = 0.0;
    int has_later = 0;
    for (i64 k = 0; k < r->n_orders; k++) {
        const Job *j = &e->jobs[r->orders[k].slot];
        i64 chunk = r->orders[k].tok, before = context_of(j) - j->left_tok, after = before + chunk;
        tok += (double)chunk;
        square += (double)(after * after - before * before);
        if (before && c->kind == GRID) {
            slices_s += read_grid(c, (double)after) - read_grid(c, (double)before);
            later_tok += (double)after - (double)before;
            has_later = 1;
        }
    }
    if (has_later) context_s = more(0.0, slices_s - read_grid(c, later_tok));
    return prompt_iteration_s(c, tok, square, n, r->context_tok, context_s);
}

static int schedule(Engine *e, Replica *r) /* returns whether anything runs */
{
    r->n_orders = r->n_prefill_tok = 0;
    r->ask_after = NEVER;
    r->ask_on_arrival = 1;
    int decodes = e->set.scheduler == FCFS     ? schedule_fcfs(e, r)
                : e->set.scheduler == CHUNKED  ? schedule_chunked(e, r)
                : e->set.scheduler == TURNS    ? schedule_turns(e, r)
                : e->set.scheduler == PERIODIC ? schedule_periodic(e, r)
                                               : schedule_andes(e, r);
    r->n_decode = decodes ? r->decoding.n : 0;
    return e->failed ? 0 : r->n_decode || r->n_orders;
}

static void begin_iterations(Engine *e, Replica *r)
{
    int runs = r->waiting.n + r->prefilling.n + r->decoding.n + r->swapped.n ? schedule(e, r) : 0;
    if (e->failed) return;
    if (r->unseen.n || r->n_told || r->n_left) {
        if (runs) {
            if ((r->ask_on_arrival && r->unseen.n) || r->n_told || (r->n_left && r->waiting.n + r->swapped.n)) r->ask_after = 1;
        } else { /* nothing runs until all is known */
            learn_all(e, r);
            if (!r->n_live) return;
            schedule(e, r);
            if (e->failed) return;
        }
    }
    i64 n = r->n_decode;
    if (!n && !r->n_orders) { e->failed = NOT_HERE; return; } /* the engine says what is wrong */
    if (r->n_orders) {
        if (n && shortfall(e, r) > 0) { e->failed = NOT_HERE; return; }
        r->first_s = prefill_iteration_s(e, r, n);
        r->ramp_s = 0.0;
        r->m = 1;
    } else {
        while (!is_valid(e, r->finishes[0])) pop_finish(r);
        i64 m = least(least(r->finishes[0].step - r->step, r->ask_after), MAX_LEAP);
        m = room_in_memory(e, r, r->step, m);
        if (m < 1) { e->failed = NOT_HERE; return; }
        r->m = m;
        r->first_s = e->set.cost.line_s[n] + e->set.cost.slope_s[n] * (double)r->context_tok;
        r->ramp_s = e->set.cost.slope_s[n] * (double)n;
    }
    r->begin_s = r->now_s;
    r->start_s = r->now_s + r->stall_s;
    r->stall_s = 0.0;
    due(e, r, more(0.0, end_s(r, r->m) - e->now_s));
}

static void boundary(Engine *e, Replica *r) /* which is the next that is due */
{
    e->now_s = r->due_s;
    pop_due(e);
    double before_s = r->m > 1 ? end_s(r, r->m - 1) : r->m ? r->begin_s : r->now_s;
    int has_run = r->m > 0;
    if (has_run) complete(e, r);
    else {
        r->now_s = e->now_s;
        r->idle_s += r->now_s - before_s;
    }
    if (e->failed) return;
    if (e->set.decides_ahead) {
        if (has_run) { learn(e, r, before_s); learn_who_left(e, r); }
        if (!has_run || !r->n_live) learn_all(e, r);
    } else drop_cancelled(e, r, r->n_cancelled);
    if (e->failed) return;
    if (r->n_live) begin_iterations(e, r);
}

static Replica *entry(Engine *e)
{
    i64 n = e->set.n_replicas, best = 0;
    if (e->set.router == ROUND_ROBIN) { best = e->turn; e->turn = (e->turn + 1) % n; }
    else if (e->set.router == LEAST_LOADED) {
        for (i64 i = 1; i < n; i++) if (e->replicas[i].n_live < e->replicas[best].n_live) best = i;
    } else for (i64 i = 1; i < n; i++) if (e->replicas[i].pending_tok < e->replicas[best].pending_tok) best = i;
    return &e->replicas[best];
}

static void wake(Engine *e, Replica *r)
{
    if (r->m == 0) {
        if (r->due_at < 0) due(e, r, 0.0); /* after whoever else comes at this moment */
    } else if (r->m > 1) {
        i64 i = index_at(r, e->now_s);
        if (i < r->m) {
            r->m = i;
            due(e, r, more(0.0, end_s(r, i) - e->now_s));
        }
    }
}

static void cancel(Engine *e, i64 slot)
{
    Replica *r = &e->replicas[e->jobs[slot].replica];
    if (e->jobs[slot].state == GONE) return;
    r->cancelled = room_for(e, r->cancelled, &r->room_cancelled, r->n_cancelled + 1, sizeof(Member));
    if (e->failed) return;
    r->cancelled[r->n_cancelled++] = (Member){slot, e->jobs[slot].job_id, 0};
    wake(e, r);
}

static i64 submit(Engine *e, i64 owner, i64 job_id, i64 row, i64 after_tok) /* now; returns the slot of the job */
{
    i64 slot = e->free_slot;
    const Setup *s = &e->set;
    if (slot < 0) { /* all slots are taken: twice as many */
        i64 room = e->n_slots;
        e->jobs = room_for(e, e->jobs, &room, e->n_slots + 1, sizeof(Job));
        if (e->failed) return -1;
        for (i64 i = room - 1; i >= e->n_slots; i--) {
            e->jobs[i] = (Job){.job_id = -1, .next = e->free_slot};
            e->free_slot = i;
        }
        e->n_slots = room;
        slot = e->free_slot;
    }
    e->free_slot = e->jobs[slot].next;
    Replica *r = entry(e);
    e->jobs[slot] = (Job){
        .row = owner, .job_id = job_id, .prompt_tok = s->prompt_tok[row] + after_tok,
        .answer_tok = s->answer_tok[row] - after_tok, .left_tok = s->prompt_tok[row] + after_tok, .queued_s = e->now_s, .scheduled_s = INFINITY, .state = WAITING,
        .place = -1, .clock_s = -INFINITY, .reader_tok_per_s = s->reader_tok_per_s[row], .target_s = s->target_s[row],
        .replica = r - e->replicas};
    if (s->needs_live && !s->decides_ahead) add_member(e, r, slot);
    if (e->failed) return -1;
    r->n_live++;
    r->pending_tok += s->prompt_tok[row] + after_tok;
    link_job(e, e->set.decides_ahead ? &r->unseen : &r->waiting, slot, 0);
    r->queue_peak = most(r->queue_peak, r->waiting.n + r->unseen.n);
    if (r->ask_on_arrival || r->m == 0) wake(e, r);
    return slot;
}

static void arrive(Engine *e)
{
    i64 row = e->n_come++;
    e->now_s = e->set.at_s[row];
    submit(e, row, e->set.job_id[row], row, 0);
}
