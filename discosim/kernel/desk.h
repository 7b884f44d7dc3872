/* Planned requests: world/dispatched/planned, ways, pending, answer, work, phone, as what they hold */

enum { SILENT, BY_SERVER, BY_DEVICE, FAILED, REFUSED }; /* who has spoken first */
enum { NOTHING, END, CLOSE };                  /* what a request waits for */
enum { CANCEL, FINISH_PREFILL, RUN_ON };       /* the fate of who loses */
enum { ARRIVES, ASKS, SUBMITS, DROPS, DEVICE_SPEAKS, PHONE_TURNS, SERVER_SPEAKS, REFUSES, LOOKS, REACHES, GOES_BACK, FAILS, ENDS };

typedef struct {
    i64 n, n_phones, losers, server_is_first, is_instant, mask, n_kinds, has_luck; /* without hand-overs no kinds */
    double per_tick, fastest_s, bytes_per_tok, bit_per_s; /* the payload of a hand-over to the server; 0 for any speed */
    const double *arrival_s, *server_after_s, *device_after_s, *bulk_s, *work_s, *gap_s, *decode_s; /* by request */
    const double *up_s, *down_s;               /* tapes of the last hop */
    const double *ratio, *stall_s, *rest_gap_s; /* by request, for who first asks his device, then for who asks it again */
    const double *line_s, *line_s_per_tok;     /* by kind of device */
    const double *usd_per_tok, *margin_usd, *overhead_s; /* by way out of the server, then out of the device; end to end */
    const i64 *is_rejected, *holds, *is_refused, *falls_back, *phone, *phase_ticks, *kind; /* by request */
    const i64 *chunk_tok, *holds_tok;          /* by kind of device; 0 for no chunks */
    const i64 *is_way, *margin_at, *overhead_at; /* by way, and where its tables begin and end */
} Planned;

typedef struct {
    i64 slot, job_id;
    char is_asked, is_closed, is_dropped, is_hushed;
    double reached_s;
} Answer; /* of the engine: those of all requests, then of all who are handed over to it */

typedef struct {
    i64 after_tok, goes_to, found_tok, n_seen; /* of the tokens seen so far: */
    char waits_for_move, is_rest;              /* whether its device is to work on the rest */
    double arrival_s, top, level;              /* the last, the largest r A - k, what the reader has then */
    double handed_s, rest_work_s, rest_end_s, rest_gap_s, rest_decode_s;
    double *shown_s;                           /* tokens of the server before the hand-over */
} Change; /* of hands */

typedef struct {
    i64 speaker, waits_for, n_open, next, previous; /* in the queue of a device */
    char tries_device, tries_server, asks_device, is_prefill_only, is_queued;
    double spoke_s, begin_s, prefill_end_s;
} Pending;

typedef struct { i64 current, head, tail, n, turn; double end_s; } Phone;
typedef struct { double at_s; i64 rank, kind, who; } Event; /* who is n + i for what is about the rest of request i */

typedef struct {
    i64 n, room, n_tok, room_tok;
    i64 *row, *speaker, *asks_server, *asks_device, *is_prefill_only, *prompt_tok, *base_tok, *n_preemptions, *goes_to;
    i64 *after_tok, *tok;
    double *spoke_s, *begin_s, *prefill_end_s, *gpu_s, *kv_tok_s, *scheduled_s, *reached_s, *handed_s, *rest_end_s;
    double *rest_gap_s, *made_s;
} Records;
enum { RECORD_INTS = 11, RECORD_FLOATS = 10 };

struct Desk {
    Planned plan; Records out;
    Pending *pending; Phone *phones; Answer *answers; Change *changes;
    Event *events; i64 n_events, room_events, n_ranks, n_jobs, next;
};

static void hear_first(Engine *e, i64 who, double at_s); /* dispatched.h */
static void hear_end(Engine *e, i64 who);
static void hear_join(Engine *e, i64 who);               /* changing.h */

static Change *change_of(const Desk *d, i64 i) { return d->changes ? &d->changes[i] : NULL; }

static int is_to_be_shown(const Desk *d, i64 who) /* an answer of the server that has ended, as far as anybody knows */
{
    if (who >= d->plan.n) return 1;
    const Change *c = change_of(d, who);
    return d->pending[who].speaker != BY_DEVICE && !(c && c->after_tok);
}

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
