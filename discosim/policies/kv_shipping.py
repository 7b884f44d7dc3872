"""Ship the KV cache: the cloud prefills, the cache travels over the last hop, the device decodes on it.

Paper: an alternative that P/D-Device (arXiv 2508.09035) argues against, second-hand: caches of gigabytes are too large
for a last hop. The policy itself is our choice, with the two sizes that decide it as options. Needs: a server of any
kind, a device that can take a cache of the cloud's model.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.going_on import finish_at
from discosim.world.verbs.adopting import adopt
from discosim.world.verbs.battery import can_take

if TYPE_CHECKING:
    from discosim.world.session import Session

BITS_PER_BYTE = 8.0


@dataclass(kw_only=True)
class KVShipping(Policy):
    """The cloud prefills and sends its KV cache; the device decodes from there."""

    kind: ClassVar[str] = "kv_shipping"
    paper: ClassVar[str] = "Baseline that P/D-Device (arXiv 2508.09035) argues against; known second-hand, no details."
    departures: ClassVar[str] = (
        "Both sides are assumed to run one model. The cache leaves when the first token does, as one stream that the "
        "token stream does not slow; its slot in the cloud is free while it travels. A busy device is not waited for. "
        "What receiving costs the battery is left out."
    )

    kv_bytes_per_tok: float = spec(
        131072.0, doc="KV cache of one token (Llama-3-8B at FP16: 128 KiB, derived from its shape).", unit="B", gt=0
    )
    downlink_mbit_per_s: float = spec(100.0, doc="Bandwidth for the cache (assumed).", unit="Mbit/s", gt=0)
    speaks_meanwhile: bool = spec(
        True, doc="The cloud goes on answering, and its cache growing, until the device has all; else one token only."
    )

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request."""
        is_helpful = not session.is_device_busy and can_take(session, session.prompt_tok + 1)
        at_most_tok = 1 if is_helpful and not self.speaks_meanwhile else None
        cloud = session.start("server", at_most_tok=at_most_tok)
        if (yield session.first_token_of(cloud)) is None:
            device = session.start("device")
            if (yield session.first_token_of(device)) is None:
                session.fail()
                return
            session.keep(device)
            yield session.finished()
            return
        session.keep(cloud)
        over = session.finished()
        if not is_helpful:
            yield over
            return
        tok_s = self.kv_bytes_per_tok * BITS_PER_BYTE / (self.downlink_mbit_per_s * 1e6)
        begun_s = session.now_s
        while True:
            received = session.received_tok(cloud)
            if session.is_whole(cloud):
                return
            left_s = begun_s + (session.prompt_tok + received) * tok_s - session.now_s
            if left_s <= 1e-9:
                break
            yield (session.wait(left_s) | over) if received < cloud.n_tok else session.wait(left_s)
        if not can_take(session, session.prompt_tok + received):
            yield from finish_at(session, cloud)
            return
        device = adopt(session, received)
        session.hand_over(device)
        yield session.first_token_of(device)
        yield session.finished()
