/* One planned request from its arrival to its record: Pending, follow */

static double way_s(const Engine *e, const double *tape, double at_s, i64 i) /* Link.up_s and down_s */
{
    const Planned *plan = &e->desk->plan;
    if (plan->is_instant) return 0.0;
    return tape[((i64)(at_s * plan->per_tick) + plan->phase_ticks[i]) & plan->mask];
}

static void write_record(Engine *e, i64 i)
{
    Desk *d = e->desk;
    Records *o = &d->out;
    const Pending *p = &d->pending[i];
    Job *j = p->slot >= 0 ? &e->jobs[p->slot] : NULL;
    i64 tok = p->speaker == BY_SERVER ? j->n_kept : 0;
    if (o->n == o->room) {
        i64 room = o->room, **ints[] = {&o->row, &o->speaker, &o->asks_server, &o->asks_device, &o->is_prefill_only,
                                        &o->prompt_tok, &o->base_tok, &o->n_preemptions, &o->tok};
        double **floats[] = {&o->spoke_s, &o->begin_s, &o->prefill_end_s, &o->gpu_s, &o->kv_tok_s, &o->scheduled_s, &o->reached_s};
        for (int k = 0; k < RECORD_INTS; k++) { room = o->room; *ints[k] = room_for(e, *ints[k], &room, o->n + 1, sizeof(i64)); }
        for (int k = 0; k < RECORD_FLOATS; k++) { room = o->room; *floats[k] = room_for(e, *floats[k], &room, o->n + 1, sizeof(double)); }
        if (e->failed) return;
        o->room = room;
    }
    o->made_s = room_for(e, o->made_s, &o->room_tok, o->n_tok + tok, sizeof(double));
    if (e->failed) return;
    if (tok) memcpy(o->made_s + o->n_tok, j->kept_s, (size_t)tok * sizeof(double));
    i64 k = o->n++;
    o->n_tok += tok;
    o->row[k] = i; o->speaker[k] = p->speaker; o->tok[k] = tok;
    o->asks_server[k] = p->asks_server; o->asks_device[k] = p->asks_device; o->is_prefill_only[k] = p->is_prefill_only;
    o->spoke_s[k] = p->spoke_s; o->begin_s[k] = p->begin_s; o->prefill_end_s[k] = p->prefill_end_s;
    o->base_tok[k] = j ? j->base_tok : 0;
    o->prompt_tok[k] = !j ? 0 : j->base_tok ? j->prompt_tok : j->prompt_tok - least(j->left_tok, j->prompt_tok);
    o->n_preemptions[k] = j ? j->n_preemptions : 0;
    o->gpu_s[k] = j ? j->gpu_s : 0.0;
    o->kv_tok_s[k] = j ? j->kv_tok_s : 0.0;
    o->scheduled_s[k] = j ? j->scheduled_s : INFINITY;
    o->reached_s[k] = p->reached_s;
    if (!j) return;
    free(j->kept_s);
    j->kept_s = NULL;
    j->next = e->free_slot;
    e->free_slot = p->slot;
}

static double server_over_s(const Engine *e, i64 i) /* a late packet holds those behind it */
{
    const Job *j = &e->jobs[e->desk->pending[i].slot];
    if (e->desk->plan.is_instant) return j->kept_s[j->n_kept - 1];
    double over_s = -INFINITY;
    for (i64 k = 0; k < j->n_kept; k++)
        over_s = more(over_s, j->kept_s[k] + way_s(e, e->desk->plan.down_s, j->kept_s[k], i));
    return over_s;
}

static void drop(Engine *e, i64 i)
{
    Pending *p = &e->desk->pending[i];
    if (p->is_closed) return;
    if (p->slot < 0) p->is_dropped = 1;
    else cancel(e, p->slot);
}

static void stop_server(Engine *e, i64 i)
{
    Pending *p = &e->desk->pending[i];
    p->is_hushed = 1;
    if (p->is_closed) return;
    double up_s = way_s(e, e->desk->plan.up_s, e->now_s, i);
    if (up_s > 0.0) schedule_event(e, up_s, DROPS, i); else drop(e, i);
}

static void stop_device(Engine *e, i64 i)
{
    Pending *p = &e->desk->pending[i];
    double free_s = e->now_s;
    if (e->desk->plan.losers == FINISH_PREFILL && e->now_s < p->prefill_end_s) {
        p->is_prefill_only = 1;
        if (p->begin_s == INFINITY) return; /* its turn comes all the same */
        free_s = p->prefill_end_s;
    }
    release_work(e, e->desk->plan.phone[i], i, free_s);
}

static void reach_server(Engine *e, i64 i)
{
    Pending *p = &e->desk->pending[i];
    p->reached_s = e->now_s;
    if (p->is_dropped) hear_end(e, i);
    else p->slot = submit(e, i, p->job_id);
}

static void ask_server(Engine *e, i64 i)
{
    Desk *d = e->desk;
    if (d->pending[i].speaker || d->pending[i].tries_server) return;
    d->pending[i].tries_server = 1;
    double up_s = way_s(e, d->plan.up_s, e->now_s, i) + d->plan.bulk_s[i];
    d->pending[i].n_open++;
    d->pending[i].job_id = d->n_jobs++;
    if (d->plan.is_refused[i]) {
        double known_s = e->now_s + up_s + way_s(e, d->plan.down_s, e->now_s + up_s, i);
        schedule_event(e, more(0.0, known_s - e->now_s), REFUSES, i);
        return;
    }
    d->pending[i].asks_server = 1;
    if (up_s > 0.0) schedule_event(e, up_s, SUBMITS, i); else reach_server(e, i);
}

static void ask_device(Engine *e, i64 i)
{
    Desk *d = e->desk;
    if (d->pending[i].speaker || d->pending[i].tries_device) return;
    d->pending[i].tries_device = 1;
    d->pending[i].n_open++;
    if (!d->plan.holds[i]) { schedule_event(e, 0.0, REFUSES, i); return; }
    d->pending[i].asks_device = 1;
    take_work(e, d->plan.phone[i], i);
}

static void refuse(Engine *e, i64 i)
{
    Pending *p = &e->desk->pending[i];
    if (p->speaker || --p->n_open) return;
    if (!(p->tries_device && p->tries_server) && e->desk->plan.falls_back[i]) {
        ask_device(e, i);
        ask_server(e, i);
        return;
    }
    p->speaker = p->tries_device ? FAILED : REFUSED;
    write_record(e, i);
}

static void device_speaks(Engine *e, i64 i)
{
    Desk *d = e->desk;
    Pending *p = &d->pending[i];
    if (p->speaker) return;
    p->speaker = BY_DEVICE;
    p->spoke_s = e->now_s;
    if (p->asks_server && d->plan.losers != RUN_ON) stop_server(e, i);
    schedule_event(e, more(0.0, d->plan.decode_s[i] + p->prefill_end_s - e->now_s), ENDS, i);
}

static void server_speaks(Engine *e, i64 i)
{
    Pending *p = &e->desk->pending[i];
    if (p->speaker) return;
    p->speaker = BY_SERVER;
    p->spoke_s = e->now_s;
    if (p->asks_device && e->desk->plan.losers != RUN_ON) stop_device(e, i);
    if (p->is_closed) schedule_event(e, more(0.0, server_over_s(e, i) - e->now_s), ENDS, i);
    else p->waits_for = END;
}

static void hear_first(Engine *e, i64 i, double at_s)
{
    if (e->desk->pending[i].is_hushed) return;
    if (e->desk->plan.is_instant) { server_speaks(e, i); return; }
    double arrives_s = at_s + way_s(e, e->desk->plan.down_s, at_s, i);
    schedule_event(e, more(0.0, arrives_s - e->now_s), SERVER_SPEAKS, i);
}

static void hear_end(Engine *e, i64 i)
{
    Pending *p = &e->desk->pending[i];
    p->is_closed = 1;
    if (p->waits_for == CLOSE) write_record(e, i);
    else if (p->waits_for == END) {
        double wait_s = server_over_s(e, i) - e->now_s;
        if (wait_s > 0.0) schedule_event(e, wait_s, ENDS, i); else write_record(e, i);
    }
}

static void end_request(Engine *e, i64 i)
{
    Pending *p = &e->desk->pending[i];
    if (!p->asks_server || p->is_closed) write_record(e, i);
    else p->waits_for = CLOSE;
}

static void begin_request(Engine *e, i64 i)
{
    const Planned *plan = &e->desk->plan;
    double server_s = plan->server_after_s[i], device_s = plan->device_after_s[i];
    if (server_s == 0.0 && plan->server_is_first) ask_server(e, i);
    if (device_s == 0.0) ask_device(e, i);
    if (server_s == 0.0 && !plan->server_is_first) ask_server(e, i);
    if (device_s > 0.0 && device_s < INFINITY) schedule_event(e, device_s, ASKS, i);
    else if (server_s > 0.0 && server_s < INFINITY) schedule_event(e, server_s, ASKS, i);
}

static void let_arrive(Engine *e)
{
    Desk *d = e->desk;
    for (; d->next < d->plan.n && !e->failed; d->next++) {
        double at_s = d->plan.arrival_s[d->next];
        if (at_s > e->now_s) { schedule_event(e, at_s - e->now_s, ARRIVES, 0); return; }
        if (d->plan.is_rejected[d->next]) write_record(e, d->next); else begin_request(e, d->next);
    }
}

static void happen(Engine *e, Event event)
{
    i64 i = event.who;
    e->now_s = event.at_s;
    switch (event.kind) {
    case ARRIVES: let_arrive(e); break;
    case ASKS: if (e->desk->plan.device_after_s[i] > 0.0) ask_device(e, i); else ask_server(e, i); break;
    case SUBMITS: reach_server(e, i); break;
    case DROPS: drop(e, i); break;
    case DEVICE_SPEAKS: device_speaks(e, i); break;
    case PHONE_TURNS: turn_phone(e, i, event.rank); break;
    case REFUSES: refuse(e, i); break;
    case SERVER_SPEAKS: server_speaks(e, i); break;
    default: end_request(e, i);
    }
}

static int run_planned(Engine *e, i64 n_rows, i64 n_tok)
{
    Desk *d = e->desk;
    d->out.n = d->out.n_tok = 0;
    if (!d->next) let_arrive(e);
    while (!e->failed) {
        Replica *next = next_due(e);
        if (d->out.n >= n_rows || d->out.n_tok >= n_tok) return PAUSED;
        if (d->n_events && !(next && next->due_s < d->events[0].at_s)) happen(e, pop_event(d));
        else if (next) boundary(e, next);
        else return OVER;
    }
    return (int)e->failed;
}

static void close_desk(Desk *d)
{
    if (!d) return;
    Records *o = &d->out;
    free(o->row); free(o->speaker); free(o->asks_server); free(o->asks_device); free(o->is_prefill_only); free(o->prompt_tok);
    free(o->base_tok); free(o->n_preemptions); free(o->tok); free(o->spoke_s); free(o->begin_s); free(o->prefill_end_s);
    free(o->gpu_s); free(o->kv_tok_s); free(o->scheduled_s); free(o->reached_s); free(o->made_s);
    free(d->pending); free(d->phones); free(d->events); free(d);
}

static void open_desk(Engine *e, const Planned *plan)
{
    Desk *d = e->desk = calloc(1, sizeof(Desk));
    if (!d) { e->failed = NO_MEMORY; return; }
    d->plan = *plan;
    d->pending = calloc((size_t)most(1, plan->n), sizeof(Pending));
    d->phones = calloc((size_t)most(1, plan->n_phones), sizeof(Phone));
    if (!d->pending || !d->phones) { e->failed = NO_MEMORY; return; }
    for (i64 i = 0; i < plan->n; i++)
        d->pending[i] = (Pending){.slot = -1, .next = -1, .previous = -1, .spoke_s = INFINITY, .begin_s = INFINITY,
                                  .prefill_end_s = INFINITY, .reached_s = NAN};
    for (i64 i = 0; i < plan->n_phones; i++) d->phones[i] = (Phone){-1, -1, -1, 0, -1, -INFINITY};
}
