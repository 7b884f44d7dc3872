"""The bill of a request: the work of its streams by endpoint, priced once for each, and added up by role.

Work is summed by endpoint in the order in which the streams were opened, and priced then: to price stream by stream
would change last bits, as floats round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from discosim.world.cards import Card
from discosim.world.endpoint import Endpoint, Role, unknown
from discosim.world.spent import Spent
from discosim.world.stream import Stream

Bill = dict[Role, Spent]
"""What each role did for a request, and what it costs; roles that did nothing are left out."""

NO_WORK = Spent()


def bill(streams: Sequence[Stream], endpoints: Mapping[str, Endpoint], card: Card, n_dispatch: int) -> Bill:
    """Return the bill of one request.

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
    work: dict[str, Spent] = {}
    for i, stream in enumerate(streams):
        name, spent = stream.endpoint, stream.spent()
        if i < n_dispatch and not stream.failure:
            spent.is_dispatched = True
        if name in work:
            work[name].add(spent)
        else:
            work[name] = spent
    roles: Bill = {}
    for name, spent in work.items():
        endpoint = endpoints.get(name)
        if endpoint is None:
            raise unknown(name, endpoints, card.request_id)
        spent.usd, spent.energy_j = endpoint.costs(card.user_id, spent.prompt_tok, spent.output_tok)
        role = endpoint.role
        if role in roles:
            roles[role].add(spent)
        else:
            roles[role] = spent
    return roles
