/* Metrics of rows: metrics/timeline, reading, histogram */

typedef struct {
    i64 n_rows, n_batches, n_bins, shift, first_bin;
    const double *times_s; const i64 *offsets;        /* arrivals of tokens at the client, row by row */
    const i64 *ends;                                  /* rows before the end of each batch: its gaps are added together */
    const double *arrival_s, *interval_s, *target_s;  /* of each row */
    double tolerance_s, plain_s;
    double *first_s, *last_s, *end_s, *max_s, *p99_s, *shown_max_s, *shown_p99_s, *stall_s, *delay_s, *delay_lagged_s;
    i64 *n_late, *n_stalls;
    i64 *counts, *shown_counts;                        /* histograms of gaps as delivered and as displayed */
    double *sums_s, *shown_sums_s, *sums_here_s, *shown_sums_here_s; /* and what a batch adds; zeros at first */
} Rows;

typedef struct { double *heap_s; i64 k, n; } Largest; /* the k largest, the least of them first */

static double see(Largest *l, double x) /* returns what the next one has to exceed to matter */
{
    double *h = l->heap_s;
    i64 i;
    if (l->n < l->k) {
        for (i = l->n++; i > 0 && x < h[(i - 1) / 2]; i = (i - 1) / 2) h[i] = h[(i - 1) / 2];
        h[i] = x;
    } else {
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
    return l->n < l->k ? -INFINITY : h[0];
}

static Largest largest_of(double *heap_s, i64 n_gaps) /* enough of them for the 99th percentile */
{
    i64 low = (i64)(0.99 * (double)most(n_gaps - 1, 0));
    return (Largest){heap_s, n_gaps - low, 0};
}

static double max_of(const Largest *l)
{
    double max_s = -INFINITY;
    for (i64 i = 0; i < l->n; i++) max_s = more(max_s, l->heap_s[i]);
    return max_s;
}

static double p99_of(const Largest *l, i64 n_gaps)
{
    double rank = 0.99 * (double)most(n_gaps - 1, 0), below = l->heap_s[0], above = below;
    if (l->n > 1) above = l->n > 2 && l->heap_s[2] < l->heap_s[1] ? l->heap_s[2] : l->heap_s[1];
    return below + (above - below) * (rank - (double)(i64)rank);
}

enum { BLOCK = 512 }; /* bins that are added up, or left alone, together */

typedef struct { double *at_s, *work_s, *heap_s; char *touched, *shown_touched; } Room; /* for one row, and by block */

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

/* A reader who waits: read, _stalls, _delays. `at_s` are arrivals since the request; work_s holds 3 n. */
static void read_late(const Rows *r, i64 row, i64 n, const Room *room)
{
    const double *at_s = room->at_s;
    double interval_s = r->interval_s[row], target_s = r->target_s[row];
    double *pause_s = room->work_s, *delay_s = pause_s + n, *lagged_s = delay_s + n;
    double ahead_s = at_s[0], before_s = at_s[0], floor_s = -INFINITY;
    Largest gaps = largest_of(room->heap_s, n - 1);
    i64 n_stalls = 0;
    pause_s[0] = -0.0; /* it is no pause before the first token */
    delay_s[0] = lagged_s[0] = more(0.0, at_s[0] - target_s);
    for (i64 i = 1; i < n; i++) {
        double lag_s = interval_s * (double)i, ideal_s = target_s + lag_s;
        ahead_s = more(ahead_s, at_s[i] - lag_s);
        double shown_s = more(at_s[i], ahead_s + lag_s), gap_s = shown_s - before_s, excess_s = gap_s - interval_s;
        i64 bin = bin_of(r, gap_s);
        int pauses = excess_s > r->tolerance_s;
        room->shown_touched[(size_t)bin / BLOCK] = 1;
        r->shown_counts[bin]++;
        r->shown_sums_here_s[bin] += gap_s;
        if (gap_s > floor_s) floor_s = see(&gaps, gap_s);
        n_stalls += pauses;
        pause_s[i] = excess_s * (pauses ? 1.0 : 0.0);
        delay_s[i] = more(0.0, shown_s - ideal_s);
        lagged_s[i] = more(0.0, more(at_s[0] + lag_s, before_s) - ideal_s);
        before_s = shown_s;
    }
    r->last_s[row] = before_s;
    r->stall_s[row] = added(pause_s, n);
    r->n_stalls[row] = n_stalls;
    r->delay_s[row] = added(delay_s, n);
    r->delay_lagged_s[row] = added(lagged_s, n);
    if (n > 1) {
        r->shown_max_s[row] = max_of(&gaps);
        r->shown_p99_s[row] = p99_of(&gaps, n - 1);
    }
}

static void row_metrics_of(const Rows *r, i64 row, const Room *room)
{
    double *at_s = room->at_s;
    const double *times_s = r->times_s + r->offsets[row];
    i64 n = r->offsets[row + 1] - r->offsets[row], n_late = 0;
    double interval_s = r->interval_s[row], longest_s = 0.0, floor_s = -INFINITY;
    Largest gaps = largest_of(room->heap_s, n - 1);
    at_s[0] = times_s[0] - r->arrival_s[row];
    for (i64 i = 1; i < n; i++) {
        at_s[i] = times_s[i] - r->arrival_s[row];
        double gap_s = at_s[i] - at_s[i - 1];
        i64 bin = bin_of(r, gap_s);
        room->touched[(size_t)bin / BLOCK] = 1;
        r->counts[bin]++;
        r->sums_here_s[bin] += gap_s;
        if (gap_s > floor_s) floor_s = see(&gaps, gap_s);
    }
    double max_s = max_of(&gaps);
    if (n > 1) longest_s = more(0.0, max_s);
    double first_s = at_s[0], last_s = first_s + (double)(n - 1) * interval_s;
    if (!(longest_s <= interval_s && last_s <= r->plain_s))
        for (i64 i = 0; i < n; i++) n_late += at_s[i] > first_s + r->tolerance_s + interval_s * (double)i;
    r->first_s[row] = first_s;
    r->last_s[row] = last_s;
    r->end_s[row] = at_s[n - 1];
    r->max_s[row] = n > 1 ? max_s : NAN;
    r->p99_s[row] = n > 1 ? p99_of(&gaps, n - 1) : NAN;
    r->shown_max_s[row] = r->shown_p99_s[row] = n > 1 ? interval_s : NAN;
    r->n_late[row] = n_late;
    r->stall_s[row] = 0.0;
    r->n_stalls[row] = 0;
    r->delay_s[row] = r->delay_lagged_s[row] = more(0.0, first_s - r->target_s[row]) * (double)n;
    if (n_late) read_late(r, row, n, room);
    else {
        i64 bin = bin_of(r, interval_s);
        r->shown_counts[bin] += n - 1;
        r->shown_sums_s[bin] += interval_s * (double)(n - 1);
    }
}

static void add_up(double *sums_s, double *here_s, char *touched, i64 n_bins) /* empties what a batch has added */
{
    for (i64 start = 0; start < n_bins; start += BLOCK) {
        if (!touched[start / BLOCK]) continue;
        for (i64 bin = start; bin < least(start + BLOCK, n_bins); bin++) {
            sums_s[bin] += here_s[bin];
            here_s[bin] = 0.0;
        }
        touched[start / BLOCK] = 0;
    }
    sums_s[0] = 0.0; /* gaps too short to count */
}

int row_metrics(const Rows *r) /* returns 0, or that there was no memory, before anything is written */
{
    i64 longest = 1, n_blocks = r->n_bins / BLOCK + 1;
    for (i64 row = 0; row < r->n_rows; row++) longest = most(longest, r->offsets[row + 1] - r->offsets[row]);
    double *held_s = malloc((size_t)(5 * longest) * sizeof(double));
    char *touched = calloc((size_t)(2 * n_blocks), 1);
    if (held_s && touched) {
        Room room = {held_s, held_s + longest, held_s + 4 * longest, touched, touched + n_blocks};
        for (i64 row = 0, batch = 0; batch < r->n_batches; batch++) {
            for (; row < r->ends[batch]; row++) row_metrics_of(r, row, &room);
            add_up(r->sums_s, r->sums_here_s, room.touched, r->n_bins);
            add_up(r->shown_sums_s, r->shown_sums_here_s, room.shown_touched, r->n_bins);
        }
    }
    int is_done = held_s && touched;
    free(held_s);
    free(touched);
    return is_done ? 0 : NO_MEMORY;
}
