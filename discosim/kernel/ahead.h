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
    }
    r->n_known = r->unseen.n;
}

static void learn_all(Engine *e, Replica *r)
{
    settle(r);
    learn(e, r, INFINITY);
    r->decided_s = r->now_s;
}

static void give_back(const Engine *e, Replica *r, i64 blocks) /* of who has finished */
{
    if (!e->set.decides_ahead) { r->free_blocks += blocks; return; }
    r->n_left++;
    r->blocks_left += blocks;
}
