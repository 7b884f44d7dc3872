/* By the second: SeriesRecorder */

static i64 *column(const Engine *e, int which) { return e->set.series + which * e->set.n_series_room; }

static void record(Engine *e, const Replica *r)
{
    double end = r->now_s;
    i64 last = (i64)ceil(end) - 1;
    if (last >= e->n_series) {
        if (end > e->set.most_s) {
            double whole_s = floor(r->begin_s);
            if (whole_s < e->whole_s) e->whole_s = whole_s;
            return;
        }
        e->n_series = last + 1;
    }
    i64 n_left = r->m * r->n_decode, n_before = 0, used = e->set.kv_blocks - r->free_blocks;
    if (r->n_orders) {
        column(e, PROMPT)[last] += r->n_prefill_tok;
        for (i64 k = 0; k < r->n_orders; k++) n_left += e->jobs[r->orders[k].slot].left_tok == r->orders[k].tok;
    }
    for (i64 tick = (i64)floor(r->begin_s) + 1; (double)tick <= end; tick++) {
        i64 row = tick - 1, i = index_at(r, (double)tick), queued = r->swapped.n + r->waiting.n;
        for (i64 slot = r->waiting.tail; slot >= 0 && e->jobs[slot].queued_s >= (double)tick; slot = e->jobs[slot].previous)
            queued--;
        for (i64 slot = r->unseen.head; slot >= 0 && e->jobs[slot].queued_s < (double)tick; slot = e->jobs[slot].next)
            queued++;
        column(e, RUNNING)[row] += r->prefilling.n + r->decoding.n;
        column(e, QUEUED)[row] += queued;
        column(e, BLOCKS)[row] += used + (r->n_decode ? growth(e, r, r->step, i) : 0);
        if (!r->n_prefill_tok) {
            i64 ended = end_s(r, i) <= (double)tick ? i : i - 1;
            column(e, OUTPUT)[row] += r->n_decode * (ended - n_before);
            n_before = ended;
        }
    }
    column(e, OUTPUT)[last] += n_left - r->n_decode * n_before;
}
