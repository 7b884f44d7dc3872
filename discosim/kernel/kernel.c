/* The engine's loop and the metrics of a row, compiled.
 *
 * Python defines both: world/engine and metrics/. What stands here repeats their operations in their order, so that results
 * agree to the last bit; tests hold it. Files that end in .h are parts of this one, in the order in which they need each
 * other, and nothing else includes them. Compile without contraction of a * b + c and without fast-math.
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
static double less(double a, double b) { return b < a ? b : a; } /* and min(a, b) */
static double pairwise(const double *a, i64 n);                   /* rows.h */

#include "costs.h"
#include "jobs.h"
#include "desk.h"
#include "floor.h"
static void add_member(Engine *e, Replica *r, i64 slot); /* live.h */
#include "ahead.h"
#include "schedulers.h"
#include "turns.h"
#include "live.h"
#include "readers.h"
#include "outlook.h"
#include "periodic.h"
#include "knapsack.h"
#include "andes.h"
#include "series.h"
#include "replica.h"
#include "phones.h"
#include "dispatched.h"

/* ---- from outside ------------------------------------------------------------------------------------------------- */

void engine_close(Engine *e)
{
    if (!e) return;
    for (i64 i = 0; e->replicas && i < e->set.n_replicas; i++) {
        Replica *r = &e->replicas[i];
        free(r->at); free(r->finishes); free(r->orders); free(r->ends_s); free(r->members); free(r->turns);
        free(r->cancelled);
    }
    for (i64 i = 0; i < e->n_slots; i++) free(e->jobs[i].kept_s);
    Out *o = &e->out;
    free(o->row); free(o->first_rank); free(o->n_preemptions); free(o->tok); free(o->first_at_s); free(o->end_at_s);
    free(o->gpu_s); free(o->kv_tok_s); free(o->scheduled_s); free(o->made_s);
    close_bench(e->bench);
    close_desk(e->desk);
    free(e->replicas); free(e->due); free(e->jobs); free(e->scratch); free(e->work_s); free(e->over); free(e->heard); free(e);
}

Engine *engine_open(const Setup *set)
{
    Engine *e = calloc(1, sizeof(Engine));
    if (!e) return NULL;
    e->set = *set;
    e->free_slot = -1;
    e->whole_s = INFINITY;
    e->replicas = calloc((size_t)set->n_replicas, sizeof(Replica));
    e->due = calloc((size_t)set->n_replicas, sizeof(i64));
    for (i64 i = 0; e->replicas && i < set->n_replicas; i++) {
        Replica *r = &e->replicas[i];
        r->due_at = -1;
        r->free_blocks = set->kv_blocks;
        r->ask_on_arrival = 1;
        r->waiting = r->prefilling = r->decoding = r->swapped = r->unseen = (List){-1, -1, 0};
        r->host_free_blocks = set->host_blocks;
        r->size = NEVER;
        r->newest = -1;
        r->at = calloc((size_t)(2 * set->block_tok), sizeof(i64));
        if (!r->at) e->failed = NO_MEMORY;
    }
    if (!e->replicas || !e->due || e->failed) { engine_close(e); return NULL; }
    return e;
}

int engine_run(Engine *e, i64 n_rows, i64 n_tok) /* until so many answers, or their tokens, are there */
{
    e->out.n = e->out.n_tok = 0;
    for (;;) {
        Replica *next = next_due(e);
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

/* The same with planned requests, whose jobs have the numbers of their rows in the setup. */
int engine_plan(Engine *e, const Planned *plan) { open_desk(e, plan); return (int)e->failed; }
int engine_run_planned(Engine *e, i64 n_rows, i64 n_tok) { return run_planned(e, n_rows, n_tok); }
const Records *engine_records(const Engine *e) { return &e->desk->out; }
double engine_last_s(const Engine *e) { return e->last_s; } /* of all events */

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

#include "rows.h"
#include "memory.h"
