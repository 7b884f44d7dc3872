/* How far readers are: LiveTable.note, _catch_up, _read */

enum { MAX_CELLS = 1 << 20 };

static void read_one(Job *j, double made_s)
{
    double gap_s = 1.0 / j->reader_tok_per_s, consumed_s = more(made_s, j->clock_s + gap_s);
    double ideal_s = j->queued_s + j->target_s + (double)j->n_seen * gap_s;
    j->delay_s += more(0.0, consumed_s - ideal_s);
    j->clock_s = consumed_s;
    j->n_seen++;
}

/* Tokens made at `made_s`, m of them, of which the first `skip` are no news; work_s holds m. */
static void read_many(Job *j, const double *made_s, i64 m, i64 skip, double *work_s)
{
    double gap_s = 1.0 / j->reader_tok_per_s, ahead_s = -INFINITY, clock_s = j->clock_s, consumed_s = clock_s;
    double due_s = j->queued_s + j->target_s;
    for (i64 i = 0; i < m; i++) {
        i64 k = i - skip;
        if (k < 0) { work_s[i] = 0.0; continue; }
        double lag_s = (double)k * gap_s;
        ahead_s = more(ahead_s, made_s[i] - lag_s);
        consumed_s = more(ahead_s, clock_s + gap_s) + lag_s;
        work_s[i] = more(0.0, consumed_s - (due_s + (double)(j->n_seen + k) * gap_s));
    }
    j->delay_s += pairwise(work_s, m);
    j->clock_s = consumed_s;
    j->n_seen += m - skip;
}

static void note_reader(Engine *e, Job *j) /* after a change of state: the tokens that it brings along */
{
    i64 missing = j->base_tok - j->n_seen;
    if (!e->set.needs_live || missing <= 0) return;
    const double *made_s = j->kept_s ? j->kept_s + j->n_kept - missing : &j->first_s;
    if (missing == 1) { read_one(j, made_s[0]); return; }
    e->work_s = room_for(e, e->work_s, &e->room_work, missing, sizeof(double));
    if (!e->failed) read_many(j, made_s, missing, 0, e->work_s);
}

static void catch_up(Engine *e, Replica *r)
{
    if (r->n_read == r->step) return;
    r->n_read = r->step;
    i64 n = r->decoding.n, at = r->step;
    if (!n) return;
    for (i64 slot = r->decoding.head; slot >= 0; slot = e->jobs[slot].next) {
        const Job *j = &e->jobs[slot];
        at = least(at, j->join_step + j->n_seen - j->base_tok);
    }
    i64 window = most(1, MAX_CELLS / n);
    for (i64 from = at, size; from < r->step; from += size) {
        size = least(window, r->step - from);
        e->work_s = room_for(e, e->work_s, &e->room_work, size, sizeof(double));
        if (e->failed) return;
        for (i64 slot = r->decoding.head; slot >= 0; slot = e->jobs[slot].next) {
            Job *j = &e->jobs[slot];
            i64 skip = j->join_step + j->n_seen - j->base_tok - from;
            if (skip < size) read_many(j, r->ends_s + (from - r->base), size, most(0, skip), e->work_s);
        }
    }
}

static void read_clocks(Engine *e, Replica *r, Bench *b) /* once per look, when they are needed first */
{
    if (b->has_clocks) return;
    b->has_clocks = 1;
    catch_up(e, r);
    for (i64 i = 0; i < b->n; i++) {
        b->clock_s[i] = e->jobs[b->slot[i]].clock_s;
        b->delay_s[i] = e->jobs[b->slot[i]].delay_s;
    }
}
