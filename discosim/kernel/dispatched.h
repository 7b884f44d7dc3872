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
    const Change *c = change_of(d, i);
    i64 n = d->plan.n, asked[] = {i, n + i}, after_tok = c ? c->after_tok : 0, goes_to = c ? c->goes_to : SILENT, tok = 0;
    const double *made_s = NULL;
    if (o->n == o->room) {
        i64 room = o->room, **ints[] = {&o->row, &o->speaker, &o->asks_server, &o->asks_device, &o->is_prefill_only,
                                        &o->prompt_tok, &o->base_tok, &o->n_preemptions, &o->goes_to, &o->after_tok, &o->tok};
        double **floats[] = {&o->spoke_s, &o->begin_s, &o->prefill_end_s, &o->gpu_s, &o->kv_tok_s, &o->scheduled_s,
                             &o->reached_s, &o->handed_s, &o->rest_end_s, &o->rest_gap_s};
        for (int k = 0; k < RECORD_INTS; k++) { room = o->room; *ints[k] = room_for(e, *ints[k], &room, o->n + 1, sizeof(i64)); }
        for (int k = 0; k < RECORD_FLOATS; k++) { room = o->room; *floats[k] = room_for(e, *floats[k], &room, o->n + 1, sizeof(double)); }
        if (e->failed) return;
        o->room = room;
    }
    i64 k = o->n++;
    o->row[k] = i; o->speaker[k] = p->speaker; o->asks_server[k] = d->answers[i].is_asked;
    o->asks_device[k] = p->asks_device; o->is_prefill_only[k] = p->is_prefill_only;
    o->spoke_s[k] = p->spoke_s; o->begin_s[k] = p->begin_s; o->prefill_end_s[k] = p->prefill_end_s;
    o->goes_to[k] = goes_to; o->after_tok[k] = after_tok;
    o->handed_s[k] = c ? c->handed_s : INFINITY;
    o->rest_end_s[k] = c ? c->rest_end_s : INFINITY;
    o->rest_gap_s[k] = c ? c->rest_gap_s : 0.0;
    o->prompt_tok[k] = o->base_tok[k] = o->n_preemptions[k] = 0;
    o->gpu_s[k] = o->kv_tok_s[k] = 0.0;
    o->scheduled_s[k] = INFINITY;
    o->reached_s[k] = NAN;
    if (p->speaker == BY_SERVER && after_tok) { made_s = c->shown_s; tok = after_tok; }
    for (int part = 0; part < (d->changes ? 2 : 1); part++) {
        const Answer *a = &d->answers[asked[part]];
        if (a->slot < 0) continue;
        const Job *j = &e->jobs[a->slot];
        o->prompt_tok[k] += j->base_tok ? j->prompt_tok : j->prompt_tok - least(j->left_tok, j->prompt_tok);
        o->base_tok[k] += j->base_tok;
        o->n_preemptions[k] += j->n_preemptions;
        o->gpu_s[k] += j->gpu_s;
        o->kv_tok_s[k] += j->kv_tok_s;
        if (j->scheduled_s < o->scheduled_s[k]) { o->scheduled_s[k] = j->scheduled_s; o->reached_s[k] = a->reached_s; }
        if (part ? goes_to == BY_SERVER : p->speaker == BY_SERVER && !after_tok) { made_s = j->kept_s; tok = j->n_kept; }
    }
    o->tok[k] = tok;
    o->made_s = room_for(e, o->made_s, &o->room_tok, o->n_tok + tok, sizeof(double));
    if (e->failed) return;
    if (tok) memcpy(o->made_s + o->n_tok, made_s, (size_t)tok * sizeof(double));
    o->n_tok += tok;
    for (int part = 0; part < (d->changes ? 2 : 1); part++) {
        i64 slot = d->answers[asked[part]].slot;
        if (slot < 0) continue;
        Job *j = &e->jobs[slot];
        free(j->kept_s);
        j->kept_s = NULL;
        j->next = e->free_slot;
        e->free_slot = slot;
    }
    if (c) { free(c->shown_s); d->changes[i].shown_s = NULL; }
}

static double server_over_s(const Engine *e, i64 who) /* a late packet holds those behind it */
{
    const Planned *plan = &e->desk->plan;
    const Job *j = &e->jobs[e->desk->answers[who].slot];
    if (plan->is_instant) return j->kept_s[j->n_kept - 1];
    double over_s = -INFINITY;
    for (i64 k = 0; k < j->n_kept; k++)
        over_s = more(over_s, j->kept_s[k] + way_s(e, plan->down_s, j->kept_s[k], who % plan->n));
    return over_s;
}

static void drop(Engine *e, i64 who)
{
    Answer *a = &e->desk->answers[who];
    if (a->is_closed) return;
    if (a->slot < 0) a->is_dropped = 1;
    else cancel(e, a->slot);
}

static void stop_server(Engine *e, i64 i)
{
    Answer *a = &e->desk->answers[i];
    if (a->is_hushed) return;
    a->is_hushed = 1;
    if (a->is_closed) return;
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

static void reach_server(Engine *e, i64 who)
{
    Desk *d = e->desk;
    Answer *a = &d->answers[who];
    i64 n = d->plan.n, i = who % n;
    a->reached_s = e->now_s;
    if (a->is_dropped) hear_end(e, who);
    else a->slot = submit(e, who, a->job_id, i, who < n ? 0 : d->changes[i].after_tok);
}

static int send_up(Engine *e, i64 who, double bulk_s, i64 if_refused) /* Desk.ask_server; returns whether it is taken */
{
    Desk *d = e->desk;
    i64 i = who % d->plan.n;
    double up_s = way_s(e, d->plan.up_s, e->now_s, i) + bulk_s;
    d->answers[who].job_id = d->n_jobs++;
    if (d->plan.is_refused[i]) {
        double known_s = e->now_s + up_s + way_s(e, d->plan.down_s, e->now_s + up_s, i);
        schedule_event(e, more(0.0, known_s - e->now_s), if_refused, i);
        return 0;
    }
    d->answers[who].is_asked = 1;
    if (up_s > 0.0) schedule_event(e, up_s, SUBMITS, who); else reach_server(e, who);
    return 1;
}

static void ask_server(Engine *e, i64 i)
{
    Desk *d = e->desk;
    if (d->pending[i].speaker || d->pending[i].tries_server) return;
    d->pending[i].tries_server = 1;
    d->pending[i].n_open++;
    send_up(e, i, d->plan.bulk_s[i], REFUSES);
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

static void end_of_server(Engine *e, i64 who) /* wait for the end of what it shows */
{
    Desk *d = e->desk;
    i64 i = who % d->plan.n;
    if (d->answers[who].is_closed) schedule_event(e, more(0.0, server_over_s(e, who) - e->now_s), ENDS, i);
    else d->pending[i].waits_for = END;
}

static void end_of_device(Engine *e, i64 i)
{
    const Desk *d = e->desk;
    schedule_event(e, more(0.0, d->plan.decode_s[i] + d->pending[i].prefill_end_s - e->now_s), ENDS, i);
}

#include "changing.h"

static void device_speaks(Engine *e, i64 who)
{
    Desk *d = e->desk;
    if (who >= d->plan.n) {
        const Change *c = &d->changes[who - d->plan.n];
        schedule_event(e, more(0.0, c->rest_decode_s + c->rest_end_s - e->now_s), ENDS, who - d->plan.n);
        return;
    }
    Pending *p = &d->pending[who];
    if (p->speaker) return;
    p->speaker = BY_DEVICE;
    p->spoke_s = e->now_s;
    if (d->answers[who].is_asked && d->plan.losers != RUN_ON) stop_server(e, who);
    if (has_way(e, who)) look_at_device(e, who); else end_of_device(e, who);
}

static void server_speaks(Engine *e, i64 who)
{
    Desk *d = e->desk;
    if (who >= d->plan.n) { end_of_server(e, who); return; }
    Pending *p = &d->pending[who];
    if (p->speaker) return;
    p->speaker = BY_SERVER;
    p->spoke_s = e->now_s;
    if (p->asks_device && d->plan.losers != RUN_ON) stop_device(e, who);
    if (has_way(e, who)) look_at_server(e, who); else end_of_server(e, who);
}

static void hear_first(Engine *e, i64 who, double at_s)
{
    const Planned *plan = &e->desk->plan;
    if (e->desk->answers[who].is_hushed) return;
    if (plan->is_instant) { server_speaks(e, who); return; }
    double arrives_s = at_s + way_s(e, plan->down_s, at_s, who % plan->n);
    schedule_event(e, more(0.0, arrives_s - e->now_s), SERVER_SPEAKS, who);
}

static void end_request(Engine *e, i64 i)
{
    const Answer *a = &e->desk->answers[i];
    if (!a->is_asked || a->is_closed) write_record(e, i);
    else e->desk->pending[i].waits_for = CLOSE;
}

static void hear_end(Engine *e, i64 who)
{
    Desk *d = e->desk;
    i64 i = who % d->plan.n;
    Pending *p = &d->pending[i];
    d->answers[who].is_closed = 1;
    if (p->waits_for == CLOSE) write_record(e, i);
    else if (p->waits_for == END && (who >= d->plan.n || !goes_on_at_server(d, i))) {
        p->waits_for = NOTHING;
        double wait_s = server_over_s(e, who) - e->now_s;
        if (wait_s > 0.0) schedule_event(e, wait_s, ENDS, i); else end_request(e, i);
    }
    if (who < d->plan.n) note_move(e, who);
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
    case LOOKS: look_at_server(e, i); break;
    case REACHES: change_hands(e, i); break;
    case GOES_BACK: go_on_at_device(e, i); break;
    case FAILS: give_up(e, i); break;
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
    free(o->base_tok); free(o->goes_to); free(o->after_tok); free(o->handed_s); free(o->rest_end_s); free(o->rest_gap_s);
    free(o->n_preemptions); free(o->tok); free(o->spoke_s); free(o->begin_s); free(o->prefill_end_s);
    free(o->gpu_s); free(o->kv_tok_s); free(o->scheduled_s); free(o->reached_s); free(o->made_s);
    for (i64 i = 0; d->changes && i < d->plan.n; i++) free(d->changes[i].shown_s);
    free(d->pending); free(d->phones); free(d->answers); free(d->changes); free(d->events); free(d);
}

static void open_desk(Engine *e, const Planned *plan)
{
    Desk *d = e->desk = calloc(1, sizeof(Desk));
    if (!d) { e->failed = NO_MEMORY; return; }
    d->plan = *plan;
    d->pending = calloc((size_t)most(1, plan->n), sizeof(Pending));
    d->phones = calloc((size_t)most(1, plan->n_phones), sizeof(Phone));
    i64 n_answers = plan->n_kinds ? 2 * plan->n : plan->n;
    d->answers = calloc((size_t)most(1, n_answers), sizeof(Answer));
    if (plan->n_kinds) d->changes = calloc((size_t)most(1, plan->n), sizeof(Change));
    if (!d->pending || !d->phones || !d->answers || (plan->n_kinds && !d->changes)) { e->failed = NO_MEMORY; return; }
    for (i64 i = 0; i < plan->n; i++)
        d->pending[i] = (Pending){.next = -1, .previous = -1, .spoke_s = INFINITY, .begin_s = INFINITY, .prefill_end_s = INFINITY};
    for (i64 i = 0; i < n_answers; i++) d->answers[i] = (Answer){.slot = -1, .reached_s = NAN};
    for (i64 i = 0; d->changes && i < plan->n; i++)
        d->changes[i] = (Change){.handed_s = INFINITY, .rest_end_s = INFINITY, .top = -INFINITY, .arrival_s = -INFINITY};
    for (i64 i = 0; i < plan->n_phones; i++) d->phones[i] = (Phone){-1, -1, -1, 0, -1, -INFINITY};
}
