"""Which worlds are repeated in arrays: a list of what is, so that whatever is new goes through SimPy by itself."""

from __future__ import annotations

from typing import Any

from discosim.core.known_fields import says_only
from discosim.core.request import RequestTable
from discosim.world.api_server import ApiServer, ApiServerModel, ServerStream
from discosim.world.device_profile import DeviceProfile
from discosim.world.fleet import Fleet
from discosim.world.link import Link, LinkModel
from discosim.world.meter import Meter
from discosim.world.world import World, WorldModel

OF_REQUESTS = frozenset(
    {
        "arrival_s",
        "prompt_tok",
        "output_tok",
        "user_id",
        "reader_tok_per_s",
        "ttft_target_s",
        "rejected",
        "prefix_hashes",
        "hash_block_tok",
        "notes",
        "warnings",
    }
)
"""What is known of requests; not the users of a closed loop."""

REPEATED: dict[type, frozenset[str]] = {
    WorldModel: frozenset({"fleet", "server", "link", "meter", "answers"}),
    Meter: frozenset({"prompt_usd_per_tok", "output_usd_per_tok", "exchange_rate_usd_per_j"}),
    ApiServerModel: frozenset(
        {
            "ttft",
            "tpot",
            "ttft_s_per_prompt_tok",
            "ttft_reference_prompt_tok",
            "jitter_p99_over_p50",
            "failure_share",
            "failure_run",
            "failure_after_s",
            "prompt_usd_per_tok",
            "output_usd_per_tok",
            "chunks",
        }
    ),
    LinkModel: frozenset(
        {"rtt", "tick_s", "up_share", "loss_share", "retransmit_s", "tokens_per_packet", "uplink_bit_per_s"}
    ),
    DeviceProfile: frozenset(
        {
            "name",
            "prefill_s_per_tok",
            "prefill_intercept_s",
            "chunk_tok",
            "decode_tok_per_s",
            "prefill_j_per_tok",
            "decode_j_per_tok",
            "max_context_tok",
            "residual",
        }
    ),
    RequestTable: OF_REQUESTS,
}
"""What is repeated of each part. Any other field has to hold its default; a part of any other type is not covered."""

OPENED = ((Fleet, "fleet"), (ApiServer, "server"), (Link, "link"))


def is_covered(world: World) -> bool:
    """Tell whether requests of this world can be done in arrays."""
    model = world.model
    if any(type(getattr(world, name)) is not held for held, name in OPENED):
        return False
    if not isinstance(world.server, ApiServer) or world.server.stream_class is not ServerStream:
        return False
    profiles = [profile for profile, _ in model.fleet]
    if any(profile.first > 1.0 for profile in profiles):  # a phone's past would count
        return False
    parts: list[Any] = [world.requests, model, model.meter, model.server, model.link, *profiles]
    return all(map(is_repeated, parts))


def is_repeated(part: Any) -> bool:
    """Tell whether a part of a world is of a known type and says nothing that is not repeated."""
    return says_only(part, REPEATED)
