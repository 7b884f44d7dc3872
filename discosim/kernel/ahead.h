/* What a scheduler that decides ahead does not know: ahead */

static void settle(Replica *r)
{
    r->free_blocks += r->blocks_left;
    r->n_left = r->blocks_left = 0;
}

static void learn(Engine *e, Replica *r, double until_s)
{
    r->decided_s = until_s;
    for (i64 n = r->n_known; r->unseen.n; n--) {
        i64 slot = r->unseen.head;
        if (n <= 0 && e->jobs[slot].queued_s > until_s) break;
        unlink_job(e, &r->unseen, slot);
        link_job(e, &r->waiting, slot, 0);
        if (e->set.needs_live) add_member(e, r, slot);
    }
    r->n_known = r->unseen.n;
}

/* Drop the first n of those whose cancel has come: Replica._drop_cancelled */
static void drop_cancelled(Engine *e, Replica *r, i64 n)
{
    for (i64 k = 0; k < n && !e->failed; k++) {
        i64 slot = r->cancelled[k].slot, row;
        Job *j = &e->jobs[slot];
        if (j->job_id != r->cancelled[k].job_id) continue; /* it was complete at this very boundary */
        row = j->row;
        if (j->state == DECODING) r->free_blocks += leave(e, r, slot);
        else if (j->state == SWAPPED) {
            unlink_job(e, &r->swapped, slot);
            r->host_free_blocks += j->blocks;
        } else {
            if (j->state == PREFILLING) r->free_blocks += leave_prefill(e, r, slot);
            else unlink_job(e, &r->waiting, slot);
            r->pending_tok -= j->left_tok;
        }
        j->state = GONE;
        j->job_id = -1;
        r->n_live--;
        hear_end(e, row);
    }
    r->n_cancelled -= n;
    if (r->n_cancelled) memmove(r->cancelled, r->cancelled + n, (size_t)r->n_cancelled * sizeof(Member));
}

static void learn_who_left(Engine *e, Replica *r) /* those noticed at the boundary before; the others are noticed now */
{
    drop_cancelled(e, r, r->n_told);
    r->n_told = r->n_cancelled;
}

static void learn_all(Engine *e, Replica *r)
{
    settle(r);
    learn(e, r, INFINITY);
    r->decided_s = r->now_s;
    drop_cancelled(e, r, r->n_cancelled);
    r->n_told = 0;
}

static void give_back(const Engine *e, Replica *r, i64 blocks) /* of who has finished */
{
    if (!e->set.decides_ahead) { r->free_blocks += blocks; return; }
    r->n_left++;
    r->blocks_left += blocks;
}
