/* Jobs, replicas: world/engine/job, floor, memory, plan */

enum { WAITING, PREFILLING, DECODING, SWAPPED, GONE };
enum { MAX_LEAP = 4096, SERIES_COLUMNS = 5 };
enum { RUNNING, QUEUED, BLOCKS, PROMPT, OUTPUT }; /* columns of the series */
enum { ROUND_ROBIN, LEAST_LOADED, SHORTEST_QUEUE };
enum { AT_ONCE, BY_CHUNK, BY_CHUNK_UNCHECKED };
enum { FCFS, CHUNKED, TURNS, PERIODIC, ANDES };
enum { AVERAGE, MAX_MIN, PERFECT };         /* objectives */
enum { GAIN, SLACK };                       /* what a request is worth to a periodic scheduler */
enum { OVER = 0, PAUSED = 1, NOT_HERE = 2, NO_MEMORY = 3 }; /* what `engine_run` returns */
static const i64 NEVER = (i64)1 << 60;

typedef struct {
    i64 row, job_id, prompt_tok, answer_tok, base_tok, left_tok, held_tok, blocks, n_preemptions;
    i64 join_step, finish_step, lead_tok, first_rank, n_kept, state, previous, next;
    i64 n_seen, place, replica; /* tokens that its reader has been given; place in line */
    double queued_s, scheduled_s, first_s, first_at_s, gpu_s, kv_tok_s, mark_s, gpu_mark_s, kv_mark;
    double reader_tok_per_s, target_s, clock_s, delay_s;
    double *kept_s; /* its tokens so far, once it has been preempted */
    i64 is_watched; /* its owner wants to hear when it joins a decode batch */
} Job;

typedef struct { i64 head, tail, n; } List; /* of jobs, by slot; -1 for none */
typedef struct { i64 step, job_id, slot; } Finish;
typedef struct { i64 slot, job_id, begun; } Member; /* of the live jobs, or of those whose turn it is */

typedef struct {
    i64 iteration, context_tok, pending_tok, n_live, queue_peak, free_blocks, peak_blocks, n_growing, step;
    i64 m, n_decode, n_prefill_tok, ask_after, ask_on_arrival, due_at, due_rank; /* place among those that are due; -1 for none */
    i64 n_known, n_left, blocks_left; /* of the unseen, those known next time; who has finished unseen, and their blocks */
    i64 host_free_blocks, n_read;     /* decode iterations whose tokens all readers have */
    i64 size, n_preempted, n_met, newest, n_places; /* what a scheduler remembers */
    double now_s, idle_s, batch_s, kv_tok_s, gpu_clock_s, kv_clock, begin_s, start_s, first_s, ramp_s, due_s, decided_s;
    double stall_s;
    List waiting, prefilling, decoding, swapped, unseen;
    i64 *at;               /* jobs by the step (modulo block_tok) that takes a block; stored twice */
    Finish *finishes; i64 n_finishes, room_finishes;
    Piece *orders; i64 n_orders, room_orders;
    double *ends_s; i64 base, room_ends; /* of decode iterations, from step `base` on */
    Member *members; i64 n_members, room_members; /* live jobs in order of submission, and some that are gone */
    Member *turns; i64 n_turns, room_turns;       /* whose turn it is, in the order in which it began */
    Member *cancelled; i64 n_cancelled, room_cancelled, n_told; /* of these the first have been noticed: ahead */
} Replica;

typedef struct {
    i64 objective, worth, by_blocks, is_v2, solve_every, n_sizes, by_arrival, newest_leaves, has_cap, refines, quantum;
    i64 minds_overhead, max_prefill_tok;
    double ahead_s, trigger, max_preemptions, token_s, favour, overhead_s_per_tok, slack_share;
} Options; /* of the schedulers of Andes and of its rivals */

typedef struct {
    Cost cost;
    i64 n_replicas, router, kv_blocks, block_tok, watermark_blocks, max_batch, may_preempt, decides_ahead;
    i64 scheduler, budget_tok, preempts_running, blocks_rule;
    i64 swaps, host_blocks, needs_live, n_lines; /* the cost model's lines are of fewer than n_lines requests */
    double swap_s_per_block;
    Options options;
    i64 n_jobs;
    const double *at_s, *reader_tok_per_s, *target_s; const i64 *job_id, *prompt_tok, *answer_tok;
    i64 n_series_room; double most_s; i64 *series; /* SERIES_COLUMNS rows of n_series_room */
} Setup;

typedef struct {
    i64 n, room, n_tok, room_tok;
    i64 *row, *first_rank, *n_preemptions, *tok;
    double *first_at_s, *end_at_s, *gpu_s, *kv_tok_s, *scheduled_s, *made_s;
} Out;

typedef struct Bench Bench; /* what a scheduler that looks at all live jobs works on: live.h */
typedef struct Desk Desk;   /* planned requests: desk.h */

typedef struct {
    Setup set; Out out; Bench *bench; Desk *desk;
    Replica *replicas; Job *jobs;
    i64 *due, n_due;                      /* a heap of replicas that have a boundary, the first in front */
    i64 n_slots, free_slot, n_come, n_firsts, turn, next_rank, n_series, failed;
    double now_s, whole_s, over_s, last_s; /* and of all events */
    i64 *scratch; i64 room_scratch; double *work_s; i64 room_work;
    Piece *over; i64 n_over, room_over;   /* slots of those that have just ended */
    Piece *heard; i64 n_heard, room_heard; /* rows of those that have just made their first token */
} Engine;

static void *room_for(Engine *e, void *held, i64 *room, i64 n, size_t size)
{
    if (n <= *room) return held;
    i64 wanted = most(2 * *room, most(n, 64));
    void *grown = realloc(held, (size_t)wanted * size);
    if (!grown) { e->failed = NO_MEMORY; return held; }
    *room = wanted;
    return grown;
}

static void unlink_job(Engine *e, List *list, i64 slot)
{
    Job *j = &e->jobs[slot];
    if (j->previous >= 0) e->jobs[j->previous].next = j->next; else list->head = j->next;
    if (j->next >= 0) e->jobs[j->next].previous = j->previous; else list->tail = j->previous;
    list->n--;
}

static void link_job(Engine *e, List *list, i64 slot, int in_front)
{
    Job *j = &e->jobs[slot];
    j->previous = in_front ? -1 : list->tail;
    j->next = in_front ? list->head : -1;
    if (j->previous >= 0) e->jobs[j->previous].next = slot; else list->head = slot;
    if (j->next >= 0) e->jobs[j->next].previous = slot; else list->tail = slot;
    list->n++;
}

static i64 blocks_of(const Engine *e, i64 tok) { return (tok + e->set.block_tok - 1) / e->set.block_tok; }
static i64 context_of(const Job *j) { return j->prompt_tok + j->base_tok; }

static void note_peak(const Engine *e, Replica *r)
{
    r->peak_blocks = most(r->peak_blocks, e->set.kv_blocks - r->free_blocks);
}

static void take(const Engine *e, Replica *r, i64 blocks) { r->free_blocks -= blocks; note_peak(e, r); }

static i64 growth(const Engine *e, const Replica *r, i64 step, i64 k)
{
    i64 block_tok = e->set.block_tok, sum = k / block_tok * r->n_growing;
    for (i64 i = 0, start = step % block_tok; i < k % block_tok; i++) sum += r->at[start + i];
    return sum;
}

static i64 room_in_memory(const Engine *e, const Replica *r, i64 step, i64 k)
{
    i64 n = r->n_growing, free_blocks = r->free_blocks, block_tok = e->set.block_tok;
    if (n == 0 || free_blocks >= n * ((k - 1) / block_tok + 1)) return k;
    i64 full = free_blocks / n, fit = full * block_tok, left = free_blocks - full * n;
    for (i64 i = 0, start = step % block_tok; i < block_tok; i++, fit++)
        if ((left -= r->at[start + i]) < 0) break;
    return least(k, fit);
}

static i64 shortfall(const Engine *e, const Replica *r) { return r->at[r->step % e->set.block_tok] - r->free_blocks; }

static void grow_with_batch(const Engine *e, Replica *r, i64 lead_tok, i64 sign)
{
    i64 block_tok = e->set.block_tok, at = (1 - lead_tok) % block_tok;
    if (at < 0) at += block_tok;
    r->at[at] += sign;
    r->at[at + block_tok] += sign;
    r->n_growing += sign;
}

static double end_s(const Replica *r, i64 i)
{
    return r->start_s + (double)i * r->first_s + r->ramp_s * (double)(i * (i - 1) / 2);
}

static i64 index_at(const Replica *r, double t_s)
{
    if (r->m <= 1 || t_s <= r->start_s + r->first_s) return least(1, r->m);
    double passed = t_s - r->start_s, half = r->first_s - r->ramp_s / 2;
    i64 i = (i64)ceil(2.0 * passed / (half + sqrt(half * half + 2.0 * r->ramp_s * passed)));
    i = most(1, least(i, r->m));
    while (i < r->m && end_s(r, i) < t_s) i++;
    while (i > 1 && end_s(r, i - 1) >= t_s) i--;
    return i;
}

/* ---- a heap of finishes, least step and then least job first ------------------------------------------------------ */

static int is_before(Finish a, Finish b) { return a.step < b.step || (a.step == b.step && a.job_id < b.job_id); }

static void push_finish(Engine *e, Replica *r, Finish f)
{
    r->finishes = room_for(e, r->finishes, &r->room_finishes, r->n_finishes + 1, sizeof(Finish));
    if (e->failed) return;
    i64 i = r->n_finishes++;
    while (i > 0 && is_before(f, r->finishes[(i - 1) / 2])) { r->finishes[i] = r->finishes[(i - 1) / 2]; i = (i - 1) / 2; }
    r->finishes[i] = f;
}

static void pop_finish(Replica *r)
{
    Finish last = r->finishes[--r->n_finishes];
    i64 i = 0, n = r->n_finishes;
    for (;;) {
        i64 child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && is_before(r->finishes[child + 1], r->finishes[child])) child++;
        if (!is_before(r->finishes[child], last)) break;
        r->finishes[i] = r->finishes[child];
        i = child;
    }
    r->finishes[i] = last;
}

static int is_valid(const Engine *e, Finish f) /* not preempted since, and its slot not somebody else's */
{
    const Job *j = &e->jobs[f.slot];
    return j->job_id == f.job_id && j->finish_step == f.step && j->state == DECODING;
}
