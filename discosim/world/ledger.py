"""The bill of a request: the work of its streams by endpoint, priced once for each, and added up by role.

Work is summed by endpoint in the order in which the streams were opened, and priced then: to price stream by stream
would change last bits, as floats round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from discosim.core.request import Work
from discosim.world.cards import Card
from discosim.world.endpoint import Endpoint, Role, unknown
from discosim.world.spent import Spent
from discosim.world.stream import Stream

Bill = dict[Role, Spent]
"""What each role did for a request, and what it costs; roles that did nothing are left out."""

NO_WORK = Spent()


def bill(streams: Sequence[Stream], endpoints: Mapping[str, Endpoint], card: Card, n_dispatch: int) -> Bill:
    """Return the bill of one request by role.

    Parameters
    ----------
    streams : sequence of Stream
        All of its streams, in the order in which they were opened; what they took is final.
    endpoints : mapping of str to Endpoint
        Who was there to be asked.
    card : Card
        The request.
    n_dispatch : int
        Streams that were opened before the answer was decided.

    Raises
    ------
    InvariantError
        If a stream comes from no endpoint of this world: nobody could say what it costs.
    """
    return itemised(streams, endpoints, card, n_dispatch, by_name=False)[0]


def itemised(
    streams: Sequence[Stream], endpoints: Mapping[str, Endpoint], card: Card, n_dispatch: int, *, by_name: bool
) -> tuple[Bill, tuple[Work, ...]]:
    """Return what `bill` does and, where wanted, what each endpoint did, in the order in which they were asked."""
    work = _by_name(streams, endpoints, card, n_dispatch)
    items: tuple[Work, ...] = ()
    if by_name:  # before work is added up
        asked = [stream.endpoint for stream in streams]
        items = tuple(_item(name, endpoints[name].role, asked.count(name), spent) for name, spent in work.items())
    return _by_role(work, endpoints), items


def _item(name: str, role: Role, n_streams: int, spent: Spent) -> Work:
    return Work(
        endpoint=name,
        role=role,
        is_dispatched=spent.is_dispatched,
        n_streams=n_streams,
        prompt_tok=spent.prompt_tok,
        output_tok=spent.output_tok,
        cost_usd=spent.usd,
        energy_j=spent.energy_j,
        n_preemptions=spent.n_preemptions,
        gpu_s=spent.gpu_s,
        kv_tok_s=spent.kv_tok_s,
    )


def _by_name(
    streams: Sequence[Stream], endpoints: Mapping[str, Endpoint], card: Card, n_dispatch: int
) -> dict[str, Spent]:
    """Return the work of each endpoint that was asked, with its price."""
    work: dict[str, Spent] = {}
    for i, stream in enumerate(streams):
        name, spent = stream.endpoint, stream.spent()
        if i < n_dispatch and not stream.failure:
            spent.is_dispatched = True
        if name in work:
            work[name].add(spent)
        else:
            work[name] = spent
    for name, spent in work.items():
        endpoint = endpoints.get(name)
        if endpoint is None:
            raise unknown(name, endpoints, card.request_id)
        spent.usd, spent.energy_j = endpoint.costs(card.user_id, spent.prompt_tok, spent.output_tok)
    return work


def _by_role(work: Mapping[str, Spent], endpoints: Mapping[str, Endpoint]) -> Bill:
    """Add up the work of each role, which takes it over."""
    roles: Bill = {}
    for name, spent in work.items():
        role = endpoints[name].role
        if role in roles:
            roles[role].add(spent)
        else:
            roles[role] = spent
    return roles
