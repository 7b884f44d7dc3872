"""The edge tier as an endpoint: one pool for everybody, or a box for each user."""

from __future__ import annotations

import math
from dataclasses import dataclass

import simpy
from simpy.events import Timeout

from discosim.world.edge.box import Pool
from discosim.world.edge.model import EdgeModel
from discosim.world.edge.stream import EdgeStream
from discosim.world.link import BYTES_PER_TOK, Link
from discosim.world.luck import Luck

OVER_MEMORY = "prompt and answer need more memory than an edge box has"


@dataclass(frozen=True)
class EdgeLoad:
    """How busy the boxes are that would serve a user.

    Parameters
    ----------
    wait_s : float
        Estimated wait of a sequence that came now, in s.
    n_waiting : int
        Sequences that wait.
    n_boxes, slots : int
        Boxes, and slots of each.
    """

    wait_s: float
    n_waiting: int
    n_boxes: int
    slots: int


class EdgeTier:
    """Starts sequences at the edge."""

    def __init__(self, env: simpy.Environment, model: EdgeModel, last_hop: Link, n_users: int, luck: Luck) -> None:
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

    def start(
        self,
        request_id: int,
        user_id: int,
        prompt_tok: int,
        first_token: int,
        n_tok: int,
        *,
        candidate: int = 0,
        list_key: int = 0,
    ) -> EdgeStream:
        """Send a sequence to the edge; it fails where its prompt and tokens are more than a box can hold.

        The prompt travels once for all sequences of a request that are sent together: they arrive together.
        """
        pool = self.pool_of(user_id)
        stream = EdgeStream(pool, user_id, prompt_tok, first_token, n_tok, (request_id, candidate), list_key)
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
