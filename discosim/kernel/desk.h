/* Planned requests: world/dispatched/planned, pending, phone, as what they hold */

enum { SILENT, BY_SERVER, BY_DEVICE, FAILED, REFUSED }; /* who has spoken first */
enum { NOTHING, END, CLOSE };                  /* what a request waits for */
enum { CANCEL, FINISH_PREFILL, RUN_ON };       /* the fate of who loses */
enum { ARRIVES, ASKS, SUBMITS, DROPS, DEVICE_SPEAKS, PHONE_TURNS, SERVER_SPEAKS, REFUSES, ENDS }; /* events */

typedef struct {
    i64 n, n_phones, losers, server_is_first, is_instant, mask;
    double per_tick;
    const double *arrival_s, *server_after_s, *device_after_s, *bulk_s, *work_s, *decode_s, *up_s, *down_s;
    const i64 *is_rejected, *holds, *is_refused, *falls_back, *phone, *phase_ticks;
} Planned; /* all arrays by request, but for the tapes of the last hop */

typedef struct {
    i64 slot, job_id, speaker, waits_for, n_open, next, previous; /* in the queue of a device */
    char asks_server, tries_device, tries_server, asks_device, is_prefill_only, is_queued, is_closed, is_dropped, is_hushed;
    double spoke_s, begin_s, prefill_end_s, reached_s;
} Pending;

typedef struct { i64 current, head, tail, n, turn; double end_s; } Phone;
typedef struct { double at_s; i64 rank, kind, who; } Event;

typedef struct {
    i64 n, room, n_tok, room_tok;
    i64 *row, *speaker, *asks_server, *asks_device, *is_prefill_only, *prompt_tok, *base_tok, *n_preemptions, *tok;
    double *spoke_s, *begin_s, *prefill_end_s, *gpu_s, *kv_tok_s, *scheduled_s, *reached_s, *made_s;
} Records;
enum { RECORD_INTS = 9, RECORD_FLOATS = 7 };

struct Desk {
    Planned plan; Records out;
    Pending *pending; Phone *phones;
    Event *events; i64 n_events, room_events, n_ranks, n_jobs, next;
};

static void hear_first(Engine *e, i64 i, double at_s); /* dispatched.h */
static void hear_end(Engine *e, i64 i);

/* ---- events of a moment come in the order in which they were made ------------------------------------------------- */

static int happens_before(Event a, Event b) { return a.at_s < b.at_s || (a.at_s == b.at_s && a.rank < b.rank); }

static i64 schedule_event(Engine *e, double delay_s, i64 kind, i64 who)
{
    Desk *d = e->desk;
    d->events = room_for(e, d->events, &d->room_events, d->n_events + 1, sizeof(Event));
    if (e->failed) return -1;
    Event event = {e->now_s + delay_s, d->n_ranks++, kind, who};
    i64 i = d->n_events++;
    while (i > 0 && happens_before(event, d->events[(i - 1) / 2])) { d->events[i] = d->events[(i - 1) / 2]; i = (i - 1) / 2; }
    d->events[i] = event;
    e->last_s = more(e->last_s, event.at_s);
    return event.rank;
}

static Event pop_event(Desk *d)
{
    Event first = d->events[0], last = d->events[--d->n_events];
    i64 i = 0, n = d->n_events;
    for (;;) {
        i64 child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && happens_before(d->events[child + 1], d->events[child])) child++;
        if (!happens_before(d->events[child], last)) break;
        d->events[i] = d->events[child];
        i = child;
    }
    d->events[i] = last;
    return first;
}
