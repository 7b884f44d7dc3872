/* A user's device: Phone */

static void turn_at(Engine *e, i64 whose, double at_s)
{
    e->desk->phones[whose].turn = schedule_event(e, more(0.0, at_s - e->now_s), PHONE_TURNS, whose);
}

static void begin_work(Engine *e, i64 whose, i64 i)
{
    Desk *d = e->desk;
    Phone *phone = &d->phones[whose];
    Pending *p = &d->pending[i];
    Change *c = change_of(d, i);
    phone->current = i;
    if (c && c->is_rest) {
        c->rest_end_s = e->now_s + c->rest_work_s;
        schedule_event(e, more(0.0, c->rest_end_s - e->now_s), DEVICE_SPEAKS, d->plan.n + i);
        phone->end_s = c->rest_decode_s + c->rest_end_s;
        if (phone->n) turn_at(e, whose, phone->end_s);
        return;
    }
    p->begin_s = e->now_s;
    p->prefill_end_s = e->now_s + d->plan.work_s[i];
    if (p->is_prefill_only) phone->end_s = p->prefill_end_s;
    else {
        schedule_event(e, more(0.0, p->prefill_end_s - e->now_s), DEVICE_SPEAKS, i);
        phone->end_s = d->plan.decode_s[i] + p->prefill_end_s;
    }
    if (phone->n) turn_at(e, whose, phone->end_s);
}

static void unqueue(Desk *d, Phone *phone, i64 i)
{
    Pending *p = &d->pending[i];
    if (p->previous >= 0) d->pending[p->previous].next = p->next; else phone->head = p->next;
    if (p->next >= 0) d->pending[p->next].previous = p->previous; else phone->tail = p->previous;
    p->is_queued = 0;
    phone->n--;
}

static int is_busy(const Engine *e, const Phone *phone) { return e->now_s < phone->end_s || phone->n; }

static void take_work(Engine *e, i64 whose, i64 i)
{
    Desk *d = e->desk;
    Phone *phone = &d->phones[whose];
    Pending *p = &d->pending[i];
    if (!is_busy(e, phone)) { begin_work(e, whose, i); return; }
    p->previous = phone->n ? phone->tail : -1;
    p->next = -1;
    if (phone->n) d->pending[phone->tail].next = i; else phone->head = i;
    phone->tail = i;
    p->is_queued = 1;
    if (++phone->n == 1) turn_at(e, whose, phone->end_s);
}

static void release_work(Engine *e, i64 whose, i64 i, double at_s)
{
    Phone *phone = &e->desk->phones[whose];
    if (phone->current != i) {
        if (e->desk->pending[i].is_queued) unqueue(e->desk, phone, i);
    } else if (at_s < phone->end_s) {
        phone->end_s = at_s;
        if (phone->n) turn_at(e, whose, at_s);
    }
}

static void turn_phone(Engine *e, i64 whose, i64 rank)
{
    Phone *phone = &e->desk->phones[whose];
    if (rank != phone->turn || !phone->n) return;
    i64 first = phone->head;
    unqueue(e->desk, phone, first);
    begin_work(e, whose, first);
}
