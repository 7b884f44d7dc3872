/* The engine's loop and the metrics of a row, compiled.
 *
 * Python defines both: world/engine and metrics/. What stands here repeats their operations in their order, so that results
 * agree to the last bit; tests hold it. Compile without contraction of a * b + c and without fast-math.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "this machine rounds sums later than Python does"
#endif
#ifndef SOURCE_SHA
#define SOURCE_SHA "unknown"
#endif

typedef int64_t i64;

const char *kernel_source(void) { return SOURCE_SHA; } /* of which text this was compiled */

static i64 least(i64 a, i64 b) { return a < b ? a : b; }
static i64 most(i64 a, i64 b) { return a > b ? a : b; }
static double more(double a, double b) { return b > a ? b : a; } /* Python's max(a, b) */

/* ---- iteration times: world/engine/costs ------------------------------------------------------------------------- */

enum { CONSTANT, LINES, GRID, PHYSICS };

typedef struct {
    i64 kind, n_gpus, n_grid, other_tok, large_batch;
    const double *line_s, *slope_s;     /* of a decode batch of n requests, from n = 0 */
    const double *grid_tok, *grid_s;    /* GRID */
    double prefill[3], small[2], large[2]; /* CONSTANT, LINES: a, b, c; b, c of each regime of decodes */
    double overhead_s, weights_s, experts_s, expert_share, compute_s, comm_s, square_s, kv_mixed_s, request_s;
    double mixed_factor;
} Cost;

typedef struct { i64 slot, tok; } Piece;

static double read_grid(const Cost *c, double x)
{
    const double *tok = c->grid_tok, *s = c->grid_s;
    if (x <= tok[0]) return s[0];
    i64 low = 0, high = c->n_grid; /* bisect_right */
    while (low < high) {
        i64 middle = (low + high) / 2;
        if (x < tok[middle]) high = middle; else low = middle + 1;
    }
    i64 at = least(low, c->n_grid - 1);
    return s[at - 1] + (s[at] - s[at - 1]) * (x - tok[at - 1]) / (tok[at] - tok[at - 1]);
}

static double tokens_s(const Cost *c, double tok)
{
    double weights_s = c->weights_s;
    if (c->experts_s != 0.0) weights_s += c->experts_s * (1.0 - pow(1.0 - c->expert_share, tok + (double)c->other_tok));
    return c->overhead_s + more(weights_s, c->compute_s * tok) + c->comm_s * tok;
}

/* n decodes of context_tok beside the prompt tokens, or none; context_s is what a grid adds for pieces with a context. */
static double prompt_iteration_s(const Cost *c, double tok, double square, i64 n, i64 context_tok, double context_s)
{
    const double *p = c->prefill;
    double decodes = (double)n, context = (double)context_tok;
    if (c->kind == CONSTANT) return p[0];
    if (c->kind == LINES) {
        double prefill_s = p[0] + p[1] * tok + p[2] * square;
        if (n == 0) return prefill_s;
        const double *bc = n <= c->large_batch ? c->small : c->large;
        return prefill_s + bc[1] * decodes + bc[0] * context;
    }
    if (c->kind == GRID) {
        if (n == 0) return read_grid(c, tok) + context_s;
        return more(c->mixed_factor * (read_grid(c, tok + decodes) + context_s), c->line_s[n] + c->slope_s[n] * context);
    }
    if (n == 0) return tokens_s(c, tok) + c->square_s * square;
    return tokens_s(c, tok + decodes) + c->square_s * square + c->kv_mixed_s * context + c->request_s * decodes;
}

/* ---- jobs, replicas: world/engine/job, floor, memory, plan -------------------------------------------------------- */

enum { WAITING, PREFILLING, DECODING, GONE };
enum { MAX_LEAP = 4096, SERIES_COLUMNS = 5 };
enum { RUNNING, QUEUED, BLOCKS, PROMPT, OUTPUT }; /* columns of the series */
enum { ROUND_ROBIN, LEAST_LOADED, SHORTEST_QUEUE };
enum { AT_ONCE, BY_CHUNK, BY_CHUNK_UNCHECKED };
enum { OVER = 0, PAUSED = 1, NOT_HERE = 2, NO_MEMORY = 3 }; /* what `engine_run` returns */
static const i64 NEVER = (i64)1 << 60;

typedef struct {
    i64 row, job_id, prompt_tok, answer_tok, base_tok, left_tok, held_tok, blocks, n_preemptions;
    i64 join_step, finish_step, lead_tok, first_rank, n_kept, state, previous, next;
    double queued_s, scheduled_s, first_s, first_at_s, gpu_s, kv_tok_s, mark_s, gpu_mark_s, kv_mark;
    double *kept_s; /* its tokens so far, once it has been preempted */
} Job;

typedef struct { i64 head, tail, n; } List; /* of jobs, by slot; -1 for none */
typedef struct { i64 step, job_id, slot; } Finish;

typedef struct {
    i64 iteration, context_tok, pending_tok, n_live, queue_peak, free_blocks, peak_blocks, n_growing, step;
    i64 m, n_decode, n_prefill_tok, ask_after, ask_on_arrival, is_due, due_rank;
    i64 n_known, n_left, blocks_left; /* of the unseen, those known next time; who has finished unseen, and their blocks */
    double now_s, idle_s, batch_s, kv_tok_s, gpu_clock_s, kv_clock, begin_s, start_s, first_s, ramp_s, due_s, decided_s;
    List waiting, prefilling, decoding, unseen;
    i64 *at;               /* jobs by the step (modulo block_tok) that takes a block; stored twice */
    Finish *finishes; i64 n_finishes, room_finishes;
    Piece *orders; i64 n_orders, room_orders;
    double *ends_s; i64 base, room_ends; /* of decode iterations, from step `base` on */
} Replica;

typedef struct {
    Cost cost;
    i64 n_replicas, router, kv_blocks, block_tok, watermark_blocks, max_batch, may_preempt, decides_ahead;
    i64 is_chunked, budget_tok, preempts_running, blocks_rule;
    i64 n_jobs;
    const double *at_s; const i64 *job_id, *prompt_tok, *answer_tok;
    i64 n_series_room; double most_s; i64 *series; /* SERIES_COLUMNS rows of n_series_room */
} Setup;

typedef struct {
    i64 n, room, n_tok, room_tok;
    i64 *row, *first_rank, *n_preemptions, *tok;
    double *first_at_s, *end_at_s, *gpu_s, *kv_tok_s, *scheduled_s, *made_s;
} Out;

typedef struct {
    Setup set; Out out;
    Replica *replicas; Job *jobs;
    i64 n_slots, free_slot, n_come, n_firsts, turn, next_rank, n_series, failed;
    double now_s, whole_s, over_s;
    i64 *scratch; i64 room_scratch;
    Piece *over; i64 n_over, room_over; /* slots of those that have just ended */
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

/* ---- moving jobs: Floor ------------------------------------------------------------------------------------------- */

static void keep_token(Job *j, double made_s) { j->kept_s[j->n_kept++] = made_s; }

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

static void preempt(Engine *e, Replica *r, i64 slot)
{
    Job *j = &e->jobs[slot];
    if (!e->set.may_preempt) { e->failed = NOT_HERE; return; } /* to host memory, or into a cache */
    j->n_preemptions++;
    if (j->state == DECODING && !j->kept_s) {
        j->kept_s = malloc((size_t)j->answer_tok * sizeof(double));
        if (!j->kept_s) { e->failed = NO_MEMORY; return; }
        keep_token(j, j->first_s);
    }
    r->free_blocks += j->state == DECODING ? leave(e, r, slot) : leave_prefill(e, r, slot);
    j->blocks = 0;
    r->pending_tok += context_of(j) - j->left_tok;
    j->left_tok = context_of(j);
    j->state = WAITING;
    link_job(e, &r->waiting, slot, 1);
    r->queue_peak = most(r->queue_peak, r->waiting.n + r->unseen.n);
}

static int fits(const Engine *e, const Replica *r, const Job *j, i64 tok) /* tok < 0: the whole prompt, alone */
{
    i64 resident = r->prefilling.n + r->decoding.n + r->n_left, context_tok = context_of(j);
    if (resident >= e->set.max_batch) return 0;
    i64 spare = r->free_blocks - (resident ? e->set.watermark_blocks : 0);
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

/* ---- what a scheduler that decides ahead does not know: ahead ----------------------------------------------------- */

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

/* ---- schedulers: Fcfs, FcfsChunked -------------------------------------------------------------------------------- */

static void order_prefill(Engine *e, Replica *r, i64 slot, i64 tok)
{
    r->orders = room_for(e, r->orders, &r->room_orders, r->n_orders + 1, sizeof(Piece));
    if (e->failed) return;
    r->orders[r->n_orders++] = (Piece){slot, tok};
    r->n_prefill_tok += tok;
}

static int preempt_newest(Engine *e, Replica *r, List *among)
{
    int has = 0;
    while (!e->failed && among->n && shortfall(e, r) > 0) { preempt(e, r, among->tail); has = 1; }
    return has;
}

static int schedule_fcfs(Engine *e, Replica *r) /* returns whether those who decode make a token */
{
    i64 budget = e->set.budget_tok;
    while (!e->failed && r->waiting.n) {
        i64 slot = r->waiting.head, left_tok = e->jobs[slot].left_tok;
        if (!fits(e, r, &e->jobs[slot], -1) || (r->n_orders && left_tok > budget)) break;
        admit(e, r, slot, -1);
        budget -= left_tok;
        order_prefill(e, r, slot, left_tok);
    }
    if (r->n_orders) return 0;
    if (preempt_newest(e, r, &r->decoding)) r->ask_after = 1;
    else r->ask_on_arrival = r->waiting.n == 0;
    return 1;
}

static int extend(Engine *e, Replica *r, i64 slot, i64 left) /* returns whether the job's next chunk has its blocks */
{
    Job *j = &e->jobs[slot];
    if (j->state != PREFILLING) return 0;
    i64 held_tok = context_of(j) - j->left_tok + least(left, j->left_tok), need = blocks_of(e, held_tok) - j->blocks;
    while (need > 0 && need + shortfall(e, r) > 0) {
        i64 victim = r->prefilling.tail;
        preempt(e, r, victim);
        if (e->failed || victim == slot) return 0;
    }
    if (held_tok > j->held_tok) {
        note_stay(r, j);
        j->mark_s = r->now_s;
        take(e, r, need);
        j->held_tok = held_tok;
        j->blocks += need;
    }
    return 1;
}

static int enters(const Engine *e, const Replica *r, const Job *j, i64 left)
{
    if (e->set.blocks_rule == AT_ONCE)
        return fits(e, r, j, -1) && shortfall(e, r) + blocks_of(e, context_of(j)) <= 0;
    return fits(e, r, j, e->set.blocks_rule == BY_CHUNK ? context_of(j) : left);
}

static int schedule_chunked(Engine *e, Replica *r)
{
    int at_once = e->set.blocks_rule == AT_ONCE;
    int has_preempted = e->set.preempts_running && preempt_newest(e, r, &r->prefilling);
    has_preempted |= preempt_newest(e, r, &r->decoding);
    i64 left = e->set.budget_tok - r->decoding.n, n = r->prefilling.n, i = 0;
    e->scratch = room_for(e, e->scratch, &e->room_scratch, n, sizeof(i64));
    if (e->failed) return 0;
    for (i64 slot = r->prefilling.head; slot >= 0; slot = e->jobs[slot].next) e->scratch[i++] = slot;
    for (i = 0; i < n && left > 0 && !e->failed; i++) {
        i64 slot = e->scratch[i];
        if (!at_once && !extend(e, r, slot, left)) break;
        i64 chunk = least(left, e->jobs[slot].left_tok);
        order_prefill(e, r, slot, chunk);
        left -= chunk;
    }
    if (r->prefilling.n < n) has_preempted = 1;
    while (!e->failed && left > 0 && r->waiting.n && !has_preempted) {
        i64 slot = r->waiting.head;
        if (!enters(e, r, &e->jobs[slot], left)) break;
        admit(e, r, slot, at_once ? -1 : left);
        i64 chunk = least(left, e->jobs[slot].left_tok);
        order_prefill(e, r, slot, chunk);
        left -= chunk;
    }
    if (has_preempted) r->ask_after = 1;
    r->ask_on_arrival = r->waiting.n == 0;
    return 1;
}

/* ---- by the second: SeriesRecorder -------------------------------------------------------------------------------- */

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
        i64 row = tick - 1, i = index_at(r, (double)tick), queued = r->waiting.n;
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

/* ---- iterations: Replica ------------------------------------------------------------------------------------------ */

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
    for (i64 k = 0; k < e->n_over && !e->failed; k++) write_out(e, r, e->over[k].slot);
    e->n_over = 0;
}

static void due(Engine *e, Replica *r, double delay_s)
{
    r->is_due = 1;
    r->due_s = e->now_s + delay_s;
    r->due_rank = e->next_rank++;
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
    int decodes = e->set.is_chunked ? schedule_chunked(e, r) : schedule_fcfs(e, r);
    r->n_decode = decodes ? r->decoding.n : 0;
    return e->failed ? 0 : r->n_decode || r->n_orders;
}

static void begin_iterations(Engine *e, Replica *r)
{
    int runs = r->waiting.n + r->prefilling.n + r->decoding.n ? schedule(e, r) : 0;
    if (e->failed) return;
    if (r->unseen.n || r->n_left) {
        if (runs) {
            if ((r->ask_on_arrival && r->unseen.n) || (r->n_left && r->waiting.n)) r->ask_after = 1;
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
    r->start_s = r->now_s + 0.0;
    due(e, r, more(0.0, end_s(r, r->m) - e->now_s));
}

static void boundary(Engine *e, Replica *r)
{
    e->now_s = r->due_s;
    r->is_due = 0;
    double before_s = r->m > 1 ? end_s(r, r->m - 1) : r->m ? r->begin_s : r->now_s;
    int has_run = r->m > 0;
    if (has_run) complete(e, r);
    else {
        r->now_s = e->now_s;
        r->idle_s += r->now_s - before_s;
    }
    if (e->failed) return;
    if (e->set.decides_ahead) {
        if (has_run) learn(e, r, before_s);
        if (!has_run || !r->n_live) learn_all(e, r);
    }
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

static void arrive(Engine *e)
{
    i64 row = e->n_come++, slot = e->free_slot;
    const Setup *s = &e->set;
    e->now_s = s->at_s[row];
    if (slot < 0) { /* all slots are taken: twice as many */
        i64 room = e->n_slots;
        e->jobs = room_for(e, e->jobs, &room, e->n_slots + 1, sizeof(Job));
        if (e->failed) return;
        for (i64 i = room - 1; i >= e->n_slots; i--) {
            e->jobs[i] = (Job){.job_id = -1, .next = e->free_slot};
            e->free_slot = i;
        }
        e->n_slots = room;
        slot = e->free_slot;
    }
    e->free_slot = e->jobs[slot].next;
    e->jobs[slot] = (Job){
        .row = row, .job_id = s->job_id[row], .prompt_tok = s->prompt_tok[row], .answer_tok = s->answer_tok[row],
        .left_tok = s->prompt_tok[row], .queued_s = e->now_s, .scheduled_s = INFINITY, .state = WAITING};
    Replica *r = entry(e);
    r->n_live++;
    r->pending_tok += s->prompt_tok[row];
    link_job(e, e->set.decides_ahead ? &r->unseen : &r->waiting, slot, 0);
    r->queue_peak = most(r->queue_peak, r->waiting.n + r->unseen.n);
    if (r->m == 0) {
        if (!r->is_due) due(e, r, 0.0); /* after whoever else comes at this moment */
    } else if (r->ask_on_arrival && r->m > 1) {
        i64 i = index_at(r, e->now_s);
        if (i < r->m) {
            r->m = i;
            due(e, r, more(0.0, end_s(r, i) - e->now_s));
        }
    }
}

/* ---- from outside ------------------------------------------------------------------------------------------------- */

void engine_close(Engine *e)
{
    if (!e) return;
    for (i64 i = 0; e->replicas && i < e->set.n_replicas; i++) {
        Replica *r = &e->replicas[i];
        free(r->at); free(r->finishes); free(r->orders); free(r->ends_s);
    }
    for (i64 i = 0; i < e->n_slots; i++) free(e->jobs[i].kept_s);
    Out *o = &e->out;
    free(o->row); free(o->first_rank); free(o->n_preemptions); free(o->tok); free(o->first_at_s); free(o->end_at_s);
    free(o->gpu_s); free(o->kv_tok_s); free(o->scheduled_s); free(o->made_s);
    free(e->replicas); free(e->jobs); free(e->scratch); free(e->over); free(e);
}

Engine *engine_open(const Setup *set)
{
    Engine *e = calloc(1, sizeof(Engine));
    if (!e) return NULL;
    e->set = *set;
    e->free_slot = -1;
    e->whole_s = INFINITY;
    e->replicas = calloc((size_t)set->n_replicas, sizeof(Replica));
    for (i64 i = 0; e->replicas && i < set->n_replicas; i++) {
        Replica *r = &e->replicas[i];
        r->free_blocks = set->kv_blocks;
        r->ask_on_arrival = 1;
        r->waiting = r->prefilling = r->decoding = r->unseen = (List){-1, -1, 0};
        r->at = calloc((size_t)(2 * set->block_tok), sizeof(i64));
        if (!r->at) e->failed = NO_MEMORY;
    }
    if (!e->replicas || e->failed) { engine_close(e); return NULL; }
    return e;
}

int engine_run(Engine *e, i64 n_rows, i64 n_tok) /* until so many answers, or their tokens, are there */
{
    e->out.n = e->out.n_tok = 0;
    for (;;) {
        Replica *next = NULL;
        for (i64 i = 0; i < e->set.n_replicas; i++) {
            Replica *r = &e->replicas[i];
            if (r->is_due && (!next || r->due_s < next->due_s || (r->due_s == next->due_s && r->due_rank < next->due_rank)))
                next = r;
        }
        int comes = e->n_come < e->set.n_jobs;
        if (!comes && !next) { e->over_s = INFINITY; return OVER; }
        double at_s = comes ? e->set.at_s[e->n_come] : INFINITY;
        comes = comes && !(next && next->due_s < at_s); /* a boundary comes after who comes at its moment */
        if (e->out.n >= n_rows || e->out.n_tok >= n_tok) { e->over_s = comes ? at_s : next->due_s; return PAUSED; }
        if (comes) arrive(e); else boundary(e, next);
        if (e->failed) return (int)e->failed;
    }
}

const Out *engine_out(const Engine *e) { return &e->out; }

/* over_s, whole_s; then of each replica what `Engine.figures` reads */
void engine_state(const Engine *e, double *times, double *floats, i64 *ints)
{
    times[0] = e->over_s;
    times[1] = e->whole_s;
    for (i64 i = 0; i < e->set.n_replicas; i++) {
        const Replica *r = &e->replicas[i];
        double f[] = {r->now_s, r->idle_s, r->batch_s, r->kv_tok_s};
        i64 k[] = {r->queue_peak, r->peak_blocks, r->iteration};
        memcpy(floats + 4 * i, f, sizeof f);
        memcpy(ints + 3 * i, k, sizeof k);
    }
    ints[3 * e->set.n_replicas] = e->n_series;
}

/* ---- metrics of rows: metrics/timeline, reading, histogram --------------------------------------------------------- */

typedef struct {
    i64 n_rows, n_bins, shift, first_bin;
    const double *times_s; const i64 *offsets;        /* arrivals of tokens at the client, row by row */
    const double *arrival_s, *interval_s, *target_s;  /* of each row */
    double tolerance_s, plain_s;
    double *first_s, *last_s, *end_s, *max_s, *p99_s, *shown_max_s, *shown_p99_s, *stall_s, *delay_s, *delay_lagged_s;
    i64 *n_late, *n_stalls;
    i64 *counts, *shown_counts;                        /* histograms of gaps as delivered and as displayed */
    double *sums_s, *shown_sums_s, *sums_here_s, *shown_sums_here_s; /* and what these rows add; zeros at first */
} Rows;

typedef struct { double *heap_s; i64 k, n; double max_s; } Largest; /* the k largest, the least of them first */

static void see(Largest *l, double x)
{
    double *h = l->heap_s;
    i64 i;
    if (x > l->max_s) l->max_s = x;
    if (l->n < l->k) {
        for (i = l->n++; i > 0 && x < h[(i - 1) / 2]; i = (i - 1) / 2) h[i] = h[(i - 1) / 2];
        h[i] = x;
    } else if (x > h[0]) {
        for (i = 0;;) {
            i64 child = 2 * i + 1;
            if (child >= l->n) break;
            if (child + 1 < l->n && h[child + 1] < h[child]) child++;
            if (x <= h[child]) break;
            h[i] = h[child];
            i = child;
        }
        h[i] = x;
    }
}

static Largest largest_of(double *heap_s, i64 n_gaps) /* enough of them for the 99th percentile */
{
    i64 low = (i64)(0.99 * (double)most(n_gaps - 1, 0));
    return (Largest){heap_s, n_gaps - low, 0, -INFINITY};
}

static double p99_of(const Largest *l, i64 n_gaps)
{
    double rank = 0.99 * (double)most(n_gaps - 1, 0), below = l->heap_s[0], above = below;
    if (l->n > 1) above = l->n > 2 && l->heap_s[2] < l->heap_s[1] ? l->heap_s[2] : l->heap_s[1];
    return below + (above - below) * (rank - (double)(i64)rank);
}

static i64 bin_of(const Rows *r, double gap_s)
{
    i64 bits;
    memcpy(&bits, &gap_s, sizeof bits);
    return most(0, least((bits >> r->shift) - (r->first_bin - 1), r->n_bins - 1));
}

static double pairwise(const double *a, i64 n) /* as numpy adds up */
{
    if (n < 8) {
        double sum = -0.0;
        for (i64 i = 0; i < n; i++) sum += a[i];
        return sum;
    }
    if (n > 128) {
        i64 half = n / 2;
        half -= half % 8;
        return pairwise(a, half) + pairwise(a + half, n - half);
    }
    double s[8];
    i64 i;
    for (i = 0; i < 8; i++) s[i] = a[i];
    for (; i < n - n % 8; i += 8)
        for (i64 k = 0; k < 8; k++) s[k] += a[i + k];
    double sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
    for (; i < n; i++) sum += a[i];
    return sum;
}

static double added(const double *a, i64 n) { return n > 1 ? a[0] + pairwise(a + 1, n - 1) : a[0]; } /* add.reduceat */

/* A reader who waits: read, _stalls, _delays. `at_s` are arrivals since the request; work_s holds 2 n. */
static void read_late(const Rows *r, i64 row, const double *at_s, i64 n, double *work_s, double *heap_s)
{
    double interval_s = r->interval_s[row], target_s = r->target_s[row], *shown_s = work_s, *part_s = work_s + n;
    double ahead_s = -INFINITY;
    for (i64 i = 0; i < n; i++) {
        double lag_s = interval_s * (double)i, at = at_s[i] - lag_s;
        ahead_s = more(ahead_s, at);
        shown_s[i] = more(at_s[i], ahead_s + lag_s);
    }
    Largest gaps = largest_of(heap_s, n - 1);
    part_s[0] = -0.0; /* it is no pause before the first token */
    i64 n_stalls = 0;
    for (i64 i = 1; i < n; i++) {
        double gap_s = shown_s[i] - shown_s[i - 1], excess_s = gap_s - interval_s;
        i64 bin = bin_of(r, gap_s);
        int pauses = excess_s > r->tolerance_s;
        r->shown_counts[bin]++;
        r->shown_sums_here_s[bin] += gap_s;
        see(&gaps, gap_s);
        n_stalls += pauses;
        part_s[i] = excess_s * (pauses ? 1.0 : 0.0);
    }
    r->last_s[row] = shown_s[n - 1];
    r->stall_s[row] = added(part_s, n);
    r->n_stalls[row] = n_stalls;
    for (i64 i = 0; i < n; i++) part_s[i] = more(0.0, shown_s[i] - (target_s + interval_s * (double)i));
    r->delay_s[row] = added(part_s, n);
    for (i64 i = 0; i < n; i++) {
        double lag_s = interval_s * (double)i, lagged_s = at_s[0] + lag_s;
        if (i) lagged_s = more(lagged_s, shown_s[i - 1]);
        part_s[i] = more(0.0, lagged_s - (target_s + lag_s));
    }
    r->delay_lagged_s[row] = added(part_s, n);
    if (n > 1) {
        r->shown_max_s[row] = gaps.max_s;
        r->shown_p99_s[row] = p99_of(&gaps, n - 1);
    }
}

static void row_metrics_of(const Rows *r, i64 row, double *at_s, double *work_s, double *heap_s)
{
    const double *times_s = r->times_s + r->offsets[row];
    i64 n = r->offsets[row + 1] - r->offsets[row], n_late = 0;
    double interval_s = r->interval_s[row], longest_s = 0.0;
    Largest gaps = largest_of(heap_s, n - 1);
    at_s[0] = times_s[0] - r->arrival_s[row];
    for (i64 i = 1; i < n; i++) {
        at_s[i] = times_s[i] - r->arrival_s[row];
        double gap_s = at_s[i] - at_s[i - 1];
        i64 bin = bin_of(r, gap_s);
        r->counts[bin]++;
        r->sums_here_s[bin] += gap_s;
        see(&gaps, gap_s);
    }
    if (n > 1) longest_s = more(0.0, gaps.max_s);
    double first_s = at_s[0], last_s = first_s + (double)(n - 1) * interval_s;
    if (!(longest_s <= interval_s && last_s <= r->plain_s))
        for (i64 i = 0; i < n; i++) n_late += at_s[i] > first_s + r->tolerance_s + interval_s * (double)i;
    r->first_s[row] = first_s;
    r->last_s[row] = last_s;
    r->end_s[row] = at_s[n - 1];
    r->max_s[row] = n > 1 ? gaps.max_s : NAN;
    r->p99_s[row] = n > 1 ? p99_of(&gaps, n - 1) : NAN;
    r->shown_max_s[row] = r->shown_p99_s[row] = n > 1 ? interval_s : NAN;
    r->n_late[row] = n_late;
    r->stall_s[row] = 0.0;
    r->n_stalls[row] = 0;
    r->delay_s[row] = r->delay_lagged_s[row] = more(0.0, first_s - r->target_s[row]) * (double)n;
    if (n_late) read_late(r, row, at_s, n, work_s, heap_s);
    else {
        i64 bin = bin_of(r, interval_s);
        r->shown_counts[bin] += n - 1;
        r->shown_sums_s[bin] += interval_s * (double)(n - 1);
    }
}

int row_metrics(const Rows *r) /* returns 0, or that there was no memory, before anything is written */
{
    i64 longest = 1;
    for (i64 row = 0; row < r->n_rows; row++) longest = most(longest, r->offsets[row + 1] - r->offsets[row]);
    double *work_s = malloc((size_t)(4 * longest) * sizeof(double));
    if (!work_s) return NO_MEMORY;
    for (i64 row = 0; row < r->n_rows; row++)
        row_metrics_of(r, row, work_s, work_s + longest, work_s + 3 * longest);
    for (i64 bin = 0; bin < r->n_bins; bin++) {
        r->sums_s[bin] += r->sums_here_s[bin];
        r->shown_sums_s[bin] += r->shown_sums_here_s[bin];
    }
    r->sums_s[0] = r->shown_sums_s[0] = 0.0; /* gaps too short to count */
    free(work_s);
    return 0;
}
