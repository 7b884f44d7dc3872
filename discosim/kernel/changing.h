/* Hand-overs: BufferWatch, Pending._watch to _fails, Way, Desk.rest_of_work; a part of dispatched.h */

/* ---- what is certain of a job's tokens: certain ------------------------------------------------------------------- */

typedef struct { const double *before_s, *ends_s; const Replica *running; i64 n_before, n_ends, n; } Made;

static Made made_of(const Engine *e, const Job *j)
{
    Made made = {.before_s = j->kept_s ? j->kept_s : &j->first_s, .n_before = j->kept_s ? j->n_kept : j->base_tok > 0};
    if (j->state == DECODING) {
        const Replica *r = &e->replicas[j->replica];
        made.ends_s = r->ends_s + (j->join_step - r->base);
        made.n_ends = r->step - j->join_step;
        if (r->m) made.running = r;
    }
    i64 n_running = made.running && made.running->n_decode ? index_at(made.running, e->now_s) : 0;
    made.n = made.n_before + made.n_ends + n_running;
    return made;
}

static double made_s(const Made *made, i64 k)
{
    if (k < made->n_before) return made->before_s[k];
    k -= made->n_before;
    return k < made->n_ends ? made->ends_s[k] : end_s(made->running, k - made->n_ends + 1);
}

/* ---- ways out of an endpoint -------------------------------------------------------------------------------------- */

static i64 way_of(const Desk *d, i64 i) { return d->plan.kind[i] + (d->pending[i].speaker == BY_DEVICE ? d->plan.n_kinds : 0); }

static int has_way(const Engine *e, i64 i)
{
    const Desk *d = e->desk;
    if (!d->changes || !d->plan.is_way[way_of(d, i)]) return 0;
    return d->pending[i].speaker == BY_DEVICE || e->set.prompt_tok[i] < d->plan.holds_tok[d->plan.kind[i]];
}

static double need_tok(const Engine *e, i64 i, i64 way, i64 k) /* Way.need_tok after token k + 1 */
{
    const Planned *plan = &e->desk->plan;
    i64 prompt_tok = e->set.prompt_tok[i], at = plan->margin_at[way], last = plan->margin_at[way + 1] - 1;
    if (way < plan->n_kinds && k >= plan->holds_tok[way] - prompt_tok) return INFINITY;
    if (!(plan->margin_usd[least(at + k + 1, last)] > plan->usd_per_tok[way] * (double)prompt_tok)) return INFINITY;
    at = plan->overhead_at[way];
    last = plan->overhead_at[way + 1] - 1;
    return plan->overhead_s[least(at + prompt_tok + k + 1, last)] * e->set.reader_tok_per_s[i];
}

/* ---- the watch ---------------------------------------------------------------------------------------------------- */

static const double TOLERANCE_TOK = 1e-9, AFTER_S = 1e-9;

static int is_enough(const Engine *e, i64 i, i64 way, i64 k, double arrival_s) /* levels_tok, token by token */
{
    Change *c = &e->desk->changes[i];
    double ahead = arrival_s * e->set.reader_tok_per_s[i] - (double)k;
    c->arrival_s = arrival_s;
    c->top = more(c->top, ahead);
    c->level = c->top - ahead + (1.0 + TOLERANCE_TOK);
    return c->level >= need_tok(e, i, way, k);
}

static void reach_at(Engine *e, i64 i, double at_s, i64 tok) /* with token `tok`, or 0 for none */
{
    e->desk->changes[i].found_tok = tok;
    schedule_event(e, more(0.0, at_s - e->now_s), REACHES, i);
}

static void look_at_device(Engine *e, i64 i)
{
    const Desk *d = e->desk;
    i64 way = way_of(d, i), n = e->set.answer_tok[i];
    for (i64 k = 0; k < n; k++) {
        double arrival_s = (double)k * d->plan.gap_s[i] + d->pending[i].prefill_end_s;
        if (!is_enough(e, i, way, k, arrival_s)) continue;
        if (k + 1 >= n) break;
        reach_at(e, i, arrival_s, k + 1);
        return;
    }
    reach_at(e, i, (double)(n - 1) * d->plan.gap_s[i] + d->pending[i].prefill_end_s, 0);
}

static void look_at_server(Engine *e, i64 i)
{
    Desk *d = e->desk;
    Change *c = &d->changes[i];
    Job *j = &e->jobs[d->answers[i].slot];
    Made made = made_of(e, j);
    i64 way = way_of(d, i), n = e->set.answer_tok[i];
    for (; c->n_seen < made.n; c->n_seen++) { /* those before were not enough */
        double token_s = made_s(&made, c->n_seen);
        double arrival_s = d->plan.is_instant ? token_s : more(c->arrival_s, token_s + way_s(e, d->plan.down_s, token_s, i));
        if (!is_enough(e, i, way, c->n_seen, arrival_s)) continue;
        if (c->n_seen + 1 >= n) { c->n_seen++; break; }
        reach_at(e, i, arrival_s, c->n_seen + 1);
        return;
    }
    if (c->n_seen == n) { reach_at(e, i, c->arrival_s, 0); return; }
    i64 first = 0, left = n - c->n_seen; /* the first token after which it may be enough */
    while (first < left && !(c->level + (double)first + 1.0 >= need_tok(e, i, way, c->n_seen + first))) first++;
    if (first == left) first = left - 1;
    if (j->state != DECODING) { c->waits_for_move = 1; j->is_watched = 1; return; }
    double next_s = made.running ? end_s(made.running, index_at(made.running, e->now_s)) : e->now_s + d->plan.fastest_s;
    double at_s = next_s + (double)first * d->plan.fastest_s;
    schedule_event(e, more(0.0, at_s - e->now_s) + AFTER_S * (1.0 + 1e-3 * e->now_s), LOOKS, i);
}

static void note_move(Engine *e, i64 i) /* its job has joined a batch, or is over */
{
    Change *c = change_of(e->desk, i);
    if (!c || !c->waits_for_move) return;
    c->waits_for_move = 0;
    schedule_event(e, 0.0, LOOKS, i);
}

static void hear_join(Engine *e, i64 who)
{
    e->jobs[e->desk->answers[who].slot].is_watched = 0;
    note_move(e, who);
}

/* ---- the change of hands ------------------------------------------------------------------------------------------ */

static int goes_on_at_server(const Desk *d, i64 i) { return d->changes && d->changes[i].goes_to == BY_SERVER; }

static void give_up(Engine *e, i64 i)
{
    Desk *d = e->desk;
    d->changes[i].goes_to = FAILED;
    if (d->answers[i].is_asked) stop_server(e, i);
    schedule_event(e, 0.0, ENDS, i);
}

static void go_on_at_device(Engine *e, i64 i)
{
    Desk *d = e->desk;
    const Planned *plan = &d->plan;
    Change *c = &d->changes[i];
    i64 kind = plan->kind[i], tok = e->set.prompt_tok[i] + c->after_tok, at = i + (d->pending[i].tries_device ? plan->n : 0);
    if (tok > plan->holds_tok[kind]) { schedule_event(e, 0.0, FAILS, i); return; }
    if (plan->chunk_tok[kind]) tok = (tok + plan->chunk_tok[kind] - 1) / plan->chunk_tok[kind] * plan->chunk_tok[kind];
    double line_s = plan->line_s[kind] + plan->line_s_per_tok[kind] * (double)tok;
    c->rest_work_s = plan->has_luck ? plan->stall_s[at] + line_s * plan->ratio[at] : line_s;
    c->rest_gap_s = plan->has_luck ? plan->rest_gap_s[at] : plan->gap_s[i];
    c->rest_decode_s = (double)(e->set.answer_tok[i] - c->after_tok - 1) * c->rest_gap_s;
    c->goes_to = BY_DEVICE;
    c->is_rest = 1;
    take_work(e, plan->phone[i], i);
}

static void keep_shown(Engine *e, i64 i) /* what the server has made until now of what is shown */
{
    Change *c = &e->desk->changes[i];
    Made made = made_of(e, &e->jobs[e->desk->answers[i].slot]);
    c->shown_s = malloc((size_t)c->after_tok * sizeof(double));
    if (!c->shown_s) { e->failed = NO_MEMORY; return; }
    for (i64 k = 0; k < c->after_tok; k++) c->shown_s[k] = made_s(&made, k);
}

static void change_hands(Engine *e, i64 i)
{
    Desk *d = e->desk;
    Change *c = &d->changes[i];
    int is_device = d->pending[i].speaker == BY_DEVICE;
    if (!c->found_tok || (!is_device && is_busy(e, &d->phones[d->plan.phone[i]]))) {
        if (is_device) end_of_device(e, i); else end_of_server(e, i);
        return;
    }
    c->after_tok = c->found_tok;
    c->handed_s = e->now_s;
    if (!is_device) {
        keep_shown(e, i);
        go_on_at_device(e, i);
        stop_server(e, i);
        return;
    }
    double bytes = (double)(e->set.prompt_tok[i] + c->after_tok) * d->plan.bytes_per_tok;
    double bulk_s = d->plan.bit_per_s > 0.0 ? 8.0 * bytes / d->plan.bit_per_s : 0.0;
    if (send_up(e, d->plan.n + i, bulk_s, GOES_BACK)) c->goes_to = BY_SERVER;
    release_work(e, d->plan.phone[i], i, e->now_s);
}
