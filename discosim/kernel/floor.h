/* Moving jobs: Floor */

static void keep_token(Job *j, double made_s) { j->kept_s[j->n_kept++] = made_s; }
static void note_reader(Engine *e, Job *j); /* readers.h */

static void note_stay(Replica *r, Job *j)
{
    double stay_s = r->now_s - j->mark_s;
    j->kv_tok_s += (double)j->held_tok * stay_s;
    r->kv_tok_s += (double)j->held_tok * stay_s;
    r->batch_s += stay_s;
}

static void join(Engine *e, Replica *r, i64 slot)
{
    Job *j = &e->jobs[slot];
    i64 context_tok = context_of(j);
    j->state = DECODING;
    j->blocks = 0;
    j->join_step = r->step;
    j->lead_tok = context_tok - r->step;
    j->finish_step = r->step + j->answer_tok - j->base_tok;
    j->mark_s = r->now_s;
    j->gpu_mark_s = r->gpu_clock_s;
    j->kv_mark = r->kv_clock;
    push_finish(e, r, (Finish){j->finish_step, j->job_id, slot});
    link_job(e, &r->decoding, slot, 0);
    r->context_tok += context_tok;
    grow_with_batch(e, r, j->lead_tok, 1);
    note_reader(e, j);
    if (j->is_watched) hear_join(e, j->row);
}

static i64 leave(Engine *e, Replica *r, i64 slot) /* returns the blocks it held */
{
    Job *j = &e->jobs[slot];
    unlink_job(e, &r->decoding, slot);
    if (j->kept_s) for (i64 i = j->join_step; i < r->step; i++) keep_token(j, r->ends_s[i - r->base]);
    j->base_tok += r->step - j->join_step;
    r->context_tok -= j->lead_tok + r->step;
    grow_with_batch(e, r, j->lead_tok, -1);
    j->gpu_s += r->gpu_clock_s - j->gpu_mark_s;
    double stay_s = r->now_s - j->mark_s, kv_tok_s = (double)(j->lead_tok - 1) * stay_s + r->kv_clock - j->kv_mark;
    j->kv_tok_s += kv_tok_s;
    r->kv_tok_s += kv_tok_s;
    r->batch_s += stay_s;
    return blocks_of(e, j->lead_tok + r->step - 1);
}

static i64 leave_prefill(Engine *e, Replica *r, i64 slot)
{
    unlink_job(e, &r->prefilling, slot);
    note_stay(r, &e->jobs[slot]);
    return e->jobs[slot].blocks;
}

static double swap_s(const Engine *e, i64 blocks) { return (double)blocks * e->set.swap_s_per_block; }

static int can_swap(const Engine *e, const Replica *r, i64 blocks)
{
    return e->set.swaps && blocks <= r->host_free_blocks;
}

static void preempt(Engine *e, Replica *r, i64 slot)
{
    Job *j = &e->jobs[slot];
    if (!e->set.may_preempt) { e->failed = NOT_HERE; return; } /* into a cache */
    j->n_preemptions++;
    if (j->state == DECODING && !j->kept_s) {
        j->kept_s = malloc((size_t)j->answer_tok * sizeof(double));
        if (!j->kept_s) { e->failed = NO_MEMORY; return; }
        keep_token(j, j->first_s);
    }
    int decoded = j->state == DECODING;
    i64 blocks = decoded ? leave(e, r, slot) : leave_prefill(e, r, slot);
    r->free_blocks += blocks;
    if (decoded && can_swap(e, r, blocks)) {
        j->blocks = blocks;
        j->state = SWAPPED;
        r->host_free_blocks -= blocks;
        r->stall_s += swap_s(e, blocks);
        link_job(e, &r->swapped, slot, 0);
        note_reader(e, j);
        return;
    }
    j->blocks = 0;
    r->pending_tok += context_of(j) - j->left_tok;
    j->left_tok = context_of(j);
    j->state = WAITING;
    link_job(e, &r->waiting, slot, 1);
    r->queue_peak = most(r->queue_peak, r->waiting.n + r->unseen.n);
    note_reader(e, j);
}

static void resume(Engine *e, Replica *r, i64 slot)
{
    Job *j = &e->jobs[slot];
    unlink_job(e, &r->swapped, slot);
    r->host_free_blocks += j->blocks;
    r->stall_s += swap_s(e, j->blocks);
    take(e, r, j->blocks);
    join(e, r, slot);
}

static int fits(const Engine *e, const Replica *r, const Job *j, i64 tok) /* tok < 0: the whole prompt, alone */
{
    i64 resident = r->prefilling.n + r->decoding.n + r->n_left, context_tok = context_of(j);
    if (resident >= e->set.max_batch) return 0;
    i64 spare = r->free_blocks - (resident ? e->set.watermark_blocks : 0);
    if (j->state == SWAPPED) return blocks_of(e, context_tok) + r->at[r->step % e->set.block_tok] <= spare;
    if (tok < 0) return blocks_of(e, context_tok) <= spare;
    return blocks_of(e, least(context_tok, tok)) + r->at[r->step % e->set.block_tok] <= spare;
}

static void admit(Engine *e, Replica *r, i64 slot, i64 tok) /* tok < 0: the whole prompt */
{
    Job *j = &e->jobs[slot];
    unlink_job(e, &r->waiting, slot);
    if (j->scheduled_s == INFINITY) j->scheduled_s = e->set.decides_ahead ? more(r->decided_s, j->queued_s) : r->now_s;
    j->held_tok = tok < 0 ? context_of(j) : least(context_of(j), tok);
    j->blocks = blocks_of(e, j->held_tok);
    take(e, r, j->blocks);
    j->state = PREFILLING;
    j->mark_s = r->now_s;
    link_job(e, &r->prefilling, slot, 0);
}
