/* All live jobs as arrays: LiveTable.arrays, packing, entering */

typedef struct { double key; i64 later, row; } Ranked;
typedef struct { double delta_s, expected, done_s, shown; } Outlook;

struct Bench {
    i64 n, room, has_clocks, n_sorted, sum_weight, sum_context, n_resident, capacity;
    i64 *slot, *state, *prompt_tok, *generated_tok, *context_tok, *blocks, *run_blocks, *weight; /* of each row */
    i64 *order, *best, *rows, *some, *is_marked;
    double *clock_s, *delay_s, *value, *best_value, *waiting, *present, *numbers;
    Ranked *ranked;
    Outlook *outlook;
    double fastest_s, mean_context, horizon_s, token_s;
    i64 n_chosen, size;
};

enum { BENCH_INTS = 13, BENCH_FLOATS = 7 };

static void close_bench(Bench *b)
{
    if (!b) return;
    free(b->slot); free(b->clock_s); free(b->ranked); free(b->outlook); free(b);
}

static Bench *bench_for(Engine *e, i64 n)
{
    if (e->bench && n <= e->bench->room) return e->bench;
    close_bench(e->bench);
    Bench *b = e->bench = calloc(1, sizeof(Bench));
    if (!b) { e->failed = NO_MEMORY; return NULL; }
    i64 room = b->room = most(256, 2 * n);
    i64 *ints = malloc((size_t)(BENCH_INTS * room) * sizeof(i64));
    double *floats = malloc((size_t)(BENCH_FLOATS * room) * sizeof(double));
    b->slot = ints; b->clock_s = floats;
    b->ranked = malloc((size_t)room * sizeof(Ranked));
    b->outlook = malloc((size_t)room * sizeof(Outlook));
    if (!ints || !floats || !b->ranked || !b->outlook) { e->failed = NO_MEMORY; return NULL; }
    i64 **int_columns[] = {&b->slot, &b->state, &b->prompt_tok, &b->generated_tok, &b->context_tok, &b->blocks,
                           &b->run_blocks, &b->weight, &b->order, &b->best, &b->rows, &b->some, &b->is_marked};
    double **float_columns[] = {&b->clock_s, &b->delay_s, &b->value, &b->best_value, &b->waiting, &b->present, &b->numbers};
    for (i64 k = 0; k < BENCH_INTS; k++) *int_columns[k] = ints + k * room;
    for (i64 k = 0; k < BENCH_FLOATS; k++) *float_columns[k] = floats + k * room;
    return b;
}

static void add_member(Engine *e, Replica *r, i64 slot)
{
    r->members = room_for(e, r->members, &r->room_members, r->n_members + 1, sizeof(Member));
    if (!e->failed) r->members[r->n_members++] = (Member){slot, e->jobs[slot].job_id, 0};
}

static Bench *read_live(Engine *e, Replica *r) /* in order of submission; NULL without memory */
{
    i64 n = 0;
    for (i64 i = 0; i < r->n_members; i++) {
        const Job *j = &e->jobs[r->members[i].slot];
        if (j->job_id == r->members[i].job_id && j->state != GONE) r->members[n++] = r->members[i];
    }
    r->n_members = n;
    Bench *b = bench_for(e, n);
    if (!b) return NULL;
    b->n = n;
    b->has_clocks = b->n_resident = b->sum_context = 0;
    for (i64 i = 0; i < n; i++) {
        const Job *j = &e->jobs[r->members[i].slot];
        i64 context_tok = j->prompt_tok + generated_of(r, j);
        b->slot[i] = r->members[i].slot;
        b->state[i] = j->state;
        b->prompt_tok[i] = j->prompt_tok;
        b->generated_tok[i] = context_tok - j->prompt_tok;
        b->context_tok[i] = context_tok;
        b->blocks[i] = j->state == DECODING ? blocks_of(e, context_tok - 1) : j->state == PREFILLING ? j->blocks : 0;
        b->run_blocks[i] = blocks_of(e, context_tok);
        b->sum_context += context_tok;
        b->n_resident += j->state == DECODING || j->state == PREFILLING;
    }
    b->mean_context = (double)b->sum_context / (double)n;
    return b;
}

static int is_resident(const Bench *b, i64 row) { return b->state[row] == DECODING || b->state[row] == PREFILLING; }
static int was_outside(const Bench *b, i64 row) { return b->state[row] == WAITING || b->state[row] == SWAPPED; }

static int comes_before(const Ranked *a, const Ranked *b)
{
    if (a->key != b->key) return a->key < b->key;
    return a->later != b->later ? a->later < b->later : a->row < b->row;
}

static int compare_ranked(const void *left, const void *right)
{
    return comes_before(left, right) ? -1 : comes_before(right, left);
}

/* Bring the k that come first to the front, in any order; no two are alike. O(n) */
static void select_ranked(Ranked *a, i64 n, i64 k)
{
    while (k > 0 && k < n) {
        Ranked *p = &a[0], *q = &a[n / 2], *s = &a[n - 1], *middle;
        if (comes_before(p, q)) middle = comes_before(q, s) ? q : comes_before(p, s) ? s : p;
        else middle = comes_before(p, s) ? p : comes_before(q, s) ? s : q;
        Ranked pivot = *middle;
        i64 i = 0, j = n - 1;
        for (;;) {
            while (comes_before(&a[i], &pivot)) i++;
            while (comes_before(&pivot, &a[j])) j--;
            if (i >= j) break;
            Ranked held = a[i];
            a[i++] = a[j];
            a[j--] = held;
        }
        i64 after = i == j ? i + 1 : i; /* the pivot itself is in its place */
        if (k <= i) n = i;
        else { a += after; n -= after; k -= after; }
    }
}

static void sort_ranked(Bench *b, i64 n, i64 *order)
{
    qsort(b->ranked, (size_t)n, sizeof(Ranked), compare_ranked);
    for (i64 i = 0; i < n; i++) order[i] = b->ranked[i].row;
}

static void sort_first(Bench *b, i64 n, i64 k, i64 *order) /* the k that come first */
{
    select_ranked(b->ranked, n, k);
    sort_ranked(b, least(k, n), order);
}

/* The row that comes k-th of the n ranked; sorted as far as somebody asks. */
static i64 nth(Bench *b, i64 n, i64 k)
{
    if (k == 0) b->n_sorted = 0;
    if (k >= b->n_sorted) {
        i64 more_rows = least(n - b->n_sorted, 32);
        select_ranked(b->ranked + b->n_sorted, n - b->n_sorted, more_rows);
        qsort(b->ranked + b->n_sorted, (size_t)more_rows, sizeof(Ranked), compare_ranked);
        b->n_sorted += more_rows;
    }
    return b->ranked[k].row;
}

static i64 greedy(const i64 *order, i64 n, const i64 *weight, i64 capacity, i64 size) /* how many of the first fit */
{
    i64 sum = 0, i = 0;
    for (; i < least(n, size); i++)
        if ((sum += weight[order[i]]) > capacity) break;
    return i;
}

static i64 rows_that_may_fit(const Engine *e, const Replica *r, Bench *b, i64 *rows)
{
    int enters[SWAPPED + 1] = {0};
    i64 n = 0, first[SWAPPED + 1];
    for (i64 state = WAITING; state <= SWAPPED; state++) first[state] = -1;
    for (i64 i = 0; i < b->n; i++)
        if (was_outside(b, i) && b->run_blocks[i] <= r->free_blocks) {
            i64 *least_row = &first[b->state[i]];
            if (*least_row < 0 || b->run_blocks[i] < b->run_blocks[*least_row]) *least_row = i;
        }
    for (i64 state = WAITING; state <= SWAPPED; state += SWAPPED - WAITING)
        if (first[state] >= 0) enters[state] = fits(e, r, &e->jobs[b->slot[first[state]]], -1);
    for (i64 i = 0; i < b->n; i++)
        if (was_outside(b, i) && b->run_blocks[i] <= r->free_blocks && enters[b->state[i]]) rows[n++] = i;
    return n;
}

static void enter_in_order(Engine *e, Replica *r, Bench *b, i64 n, i64 size) /* the n ranked, where they fit */
{
    i64 most_blocks[SWAPPED + 1] = {NEVER, NEVER, NEVER, NEVER}, smallest = NEVER; /* who needs as much does not fit */
    for (i64 k = 0; k < n; k++) smallest = least(smallest, b->run_blocks[b->ranked[k].row]);
    for (i64 k = 0; k < n && n_resident(r) < size && most_blocks[WAITING] > smallest && !e->failed; k++) {
        i64 i = nth(b, n, k), slot = b->slot[i], state = e->jobs[slot].state;
        if (b->run_blocks[i] >= most_blocks[b->state[i]]) continue;
        if (fits(e, r, &e->jobs[slot], -1)) enter(e, r, slot);
        else if (state == WAITING) most_blocks[WAITING] = most_blocks[SWAPPED] = b->run_blocks[i];
        else if (state == SWAPPED) most_blocks[SWAPPED] = b->run_blocks[i];
    }
}

static int anybody_fits(const Engine *e, const Replica *r, const Bench *b) /* who needs least, or is swapped and needs no more */
{
    i64 first = -1;
    for (i64 i = 0; i < b->n; i++)
        if (b->run_blocks[i] <= r->free_blocks && e->jobs[b->slot[i]].state == WAITING)
            if (first < 0 || b->run_blocks[i] < b->run_blocks[first]) first = i;
    if (first >= 0 && fits(e, r, &e->jobs[b->slot[first]], -1)) return 1;
    for (i64 i = 0; i < b->n && r->swapped.n; i++) {
        const Job *j = &e->jobs[b->slot[i]];
        if (j->state != SWAPPED || b->run_blocks[i] > r->free_blocks) continue;
        if (first >= 0 && (b->run_blocks[i] > b->run_blocks[first] || (b->run_blocks[i] == b->run_blocks[first] && i > first)))
            continue;
        if (fits(e, r, j, -1)) return 1;
    }
    return 0;
}
