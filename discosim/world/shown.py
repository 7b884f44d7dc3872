"""Which tokens were shown, by whom, and when: one timeline from the streams that spoke one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from discosim.core.errors import InvariantError
from discosim.core.request import Segment
from discosim.world.cards import Card
from discosim.world.rounding import raised
from discosim.world.stream import NOTHING, Floats, Stream

Timeline = tuple[tuple[Segment, ...], Floats, Floats]
"""Who showed which tokens; when each was generated, and when it reached the client."""

NEVER_SHOWN: Timeline = ((), NOTHING, NOTHING)
NO_ROLES: Mapping[str, str] = {}


def timeline(
    card: Card, before: Sequence[tuple[Stream, int]], last: Stream, roles: Mapping[str, str] = NO_ROLES
) -> Timeline:
    """Return what was shown of an answer, token by token.

    Parameters
    ----------
    card : Card
        The request.
    before : sequence of (Stream, int)
        Streams that were handed over from, and the last token shown of each.
    last : Stream
        The stream that showed the rest.
    roles : mapping of str to str
        Of endpoints that are not named by their role, the role.

    Raises
    ------
    InvariantError
        If it is not the whole answer.
    """
    if not before:
        if last.n_tok != card.output_tok:
            raise InvariantError(f"request {card.request_id}: {last.n_tok} of {card.output_tok} tokens shown")
        generated_s, delivered_s = last.generated_s, last.arrival_s
        if generated_s[0] < card.arrival_s or last.is_growing:
            generated_s = raised(generated_s, card.arrival_s, in_order=not last.is_growing)
            delivered_s = raised(delivered_s, card.arrival_s)
        return (Segment(last.endpoint, 1, card.output_tok, roles.get(last.endpoint, "")),), generated_s, delivered_s
    segments: list[Segment] = []
    generated: list[Floats] = []
    delivered: list[Floats] = []
    before_s = card.arrival_s  # what a segment cannot come before
    for stream, end in [*before, (last, card.output_tok)]:
        n = end - stream.first_token + 1
        if n > 0:
            if segments and segments[-1].endpoint == stream.endpoint:  # back from a target that refused
                first_token = segments.pop().first_token
            else:
                first_token = stream.first_token
            segments.append(Segment(stream.endpoint, first_token, end, roles.get(stream.endpoint, "")))
            generated.append(raised(stream.generated_s[:n], card.arrival_s, in_order=not stream.is_growing))
            delivered.append(shown_s := raised(stream.arrival_s[:n], before_s))
            before_s = shown_s[-1]
    return tuple(segments), np.concatenate(generated), np.concatenate(delivered)
