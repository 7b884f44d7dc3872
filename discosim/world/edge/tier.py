"""The edge tier as an endpoint: one pool for everybody, or a box for each user."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import simpy
from simpy.events import Timeout

from discosim.core.request import RequestTable
from discosim.world.edge.box import Pool
from discosim.world.edge.model import BoxModel
from discosim.world.edge.stream import EdgeStream
from discosim.world.endpoint import MANY, Ask, Role, Site
from discosim.world.link import BYTES_PER_TOK, Link, LinkModel
from discosim.world.load import EdgeLoad
from discosim.world.luck import Luck

NO_DELAY = LinkModel()
Sharing = Literal["pooled", "own"]
OVER_MEMORY = "prompt and answer need more memory than an edge box has"


@dataclass(frozen=True)
class EdgeModel(BoxModel):
    """Parameters of an edge tier; see `BoxModel` for those of each of its boxes.

    Parameters
    ----------
    n_boxes : int
        Boxes of the pool, >= 1; of no meaning where every user has a box of their own.
    sharing : str
        ``pooled``: all boxes serve everybody. ``own``: each user has one box, for example the own device.
    link : LinkModel or None
        The way between client and box; None where it is the last hop to the server.
    prefill_j_per_tok, decode_j_per_tok : float
        Energy per token, in J, >= 0.
    prompt_usd_per_tok, output_usd_per_tok : float
        Prices, >= 0.
    """

    n_boxes: int = 1
    sharing: Sharing = "pooled"
    link: LinkModel | None = NO_DELAY
    prefill_j_per_tok: float = 0.0
    decode_j_per_tok: float = 0.0
    prompt_usd_per_tok: float = 0.0
    output_usd_per_tok: float = 0.0

    def open(self, name: str, site: Site) -> EdgeTier:
        """Return the tier in a world."""
        return EdgeTier(site.env, self, site.link, site.n_users, site.luck, name=name)


class EdgeTier:
    """Starts sequences at the edge."""

    role: Role = "edge"
    max_candidates = MANY

    def __init__(
        self,
        env: simpy.Environment,
        model: EdgeModel,
        last_hop: Link,
        n_users: int,
        luck: Luck,
        *,
        name: str = "edge",
    ) -> None:
        self.name = name
        self.env = env
        self.model = model
        link = model.link
        self.link = last_hop if link is None else luck.shared("edge.link", lambda s: Link(link, n_users, s))
        self._pools: dict[int, Pool] = {}

    def pool_of(self, user_id: int) -> Pool:
        """Return the boxes that serve a user."""
        is_pooled = self.model.sharing == "pooled"
        owner = -1 if is_pooled else user_id
        pool = self._pools.get(owner)
        if pool is None:
            n_boxes = self.model.n_boxes if is_pooled else 1
            pool = self._pools[owner] = Pool(self.env, self.model, self.link, n_boxes)
        return pool

    def load(self, user_id: int) -> EdgeLoad:
        """Return how busy a user's boxes are."""
        pool = self.pool_of(user_id)
        return EdgeLoad(pool.wait_s(), pool.lists.n, len(pool.boxes), self.model.slots)

    def costs(self, user_id: int, prompt_tok: float, output_tok: float) -> tuple[float, float]:  # noqa: ARG002 - one price for all
        """Return price and energy of work, in USD and J."""
        model = self.model
        usd = prompt_tok * model.prompt_usd_per_tok + output_tok * model.output_usd_per_tok
        return usd, prompt_tok * model.prefill_j_per_tok + output_tok * model.decode_j_per_tok

    def foreseen_ttft_s(self, table: RequestTable) -> None:
        """Return nothing: what a request meets depends on what all others do."""

    def start(self, ask: Ask) -> EdgeStream:
        """Send a sequence to the edge; it fails where its prompt and tokens are more than a box can hold.

        The prompt travels once for all sequences of a request that are sent together: they arrive together.
        """
        user_id, prompt_tok, n_tok = ask.card.user_id, ask.prompt_tok, ask.n_tok
        pool = self.pool_of(user_id)
        context = (ask.card.request_id, ask.sibling)
        stream = EdgeStream(pool, self.name, user_id, prompt_tok, ask.first_token, n_tok, context, ask.list_key)
        now_s, link = self.env.now, self.link
        up_s = link.up_s(now_s, user_id) + link.bulk_s(prompt_tok * BYTES_PER_TOK["text"])
        if prompt_tok + n_tok > self.model.memory_tok:
            stream.is_closed = True
            stream.promise_failure(now_s + up_s + link.down_s(now_s + up_s, user_id), OVER_MEMORY)
        elif up_s > 0.0:
            Timeout(self.env, up_s).callbacks.append(stream.reach)
        else:
            stream.reach()
        return stream

    def figures(self, span_s: float) -> dict[str, float]:
        """Return what the tier did as a whole, over ``span_s`` seconds: its summary metrics, by name."""
        pools = list(self._pools.values())
        n_boxes = sum(len(pool.boxes) for pool in pools)
        busy_s = sum(pool.busy_s for pool in pools)
        n_rounds = sum(pool.n_rounds for pool in pools)
        used_s = sum(pool.used_slot_s for pool in pools)
        held_s = busy_s * self.model.slots
        return {
            "edge_busy_s": busy_s,
            "edge_busy_share": busy_s / (n_boxes * span_s) if n_boxes and span_s else math.nan,
            "edge_batch_mean": sum(pool.n_begun for pool in pools) / n_rounds if n_rounds else math.nan,
            "edge_idle_slot_share": 1.0 - used_s / held_s if held_s else math.nan,
            "edge_queue_peak": max((pool.queue_peak for pool in pools), default=0),
        }
