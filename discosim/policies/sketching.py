"""What policies that write from a sketch share: the way of one answer, its rounds, and a forecast of its time."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.view import ASSUMED, View
from discosim.world.answers import AnswerModel
from discosim.world.edge.tier import EdgeModel
from discosim.world.quality import Pick, QualityModel, Written
from discosim.world.world import ONE_KIND

if TYPE_CHECKING:
    from discosim.world.session import Session


def from_server(session: Session) -> Generator[Any, Any, None]:
    """Serve a request by the server alone; where it refuses, by the edge alone."""
    for endpoint in ("server", "edge"):
        stream = session.start(endpoint)
        if (yield session.first_token_of(stream)) is not None:
            session.keep(stream)
            yield session.finished()
            return
    session.fail()


def cut_into_rounds(lengths: Sequence[float], slots: int) -> list[list[float]]:
    """Return the rounds of at most ``slots`` that take the least time: longest first.

    Source: "sort by length and cut", the role described for PICE's execution optimizer (secondary source; the cut is
    ours). Of all partitions into rounds it has the smallest sum of longest lengths.
    """
    ranked = sorted(lengths, reverse=True)
    return [ranked[i : i + slots] for i in range(0, len(ranked), slots)]


def expansion_s(lengths: Sequence[float], edge: EdgeModel) -> float:
    """Return the time to decode all lengths on one idle box: the sum over rounds of longest length times token time."""
    rounds = cut_into_rounds(lengths, edge.slots)
    return sum(held[0] * edge.token_s(len(held)) for held in rounds)


@dataclass(kw_only=True)
class Sketching(Policy):
    """Base of policies whose answers are sketched by the server and written out at the edge."""

    needs_edge: ClassVar[bool] = True

    width: int = spec(1, doc="Candidates of each part (ensemble).", ge=1)
    pick: Pick = spec("both", doc="How one of several candidates is picked; its worth stands in the quality model.")
    max_parts: int = spec(12, doc="Most parts of an answer (our choice).", ge=1)
    length_grouping: bool = spec(
        True, doc="Let parts of like length share a batch (execution optimizer); false takes them as they come."
    )
    list_ratio: float = spec(1.25, doc="Ratio of lengths from one job list to the next (our choice).", gt=1)
    show_sketch: bool = spec(True, doc="Show the sketch before the answer; decides the `visible` columns.")
    class_error: float = spec(0.0, doc="Share of questions whose suitability is misjudged.", ge=0, le=1)
    length_error: float = spec(
        0.2, doc="Standard deviation of the log of guessed over true lengths (our choice).", ge=0
    )

    _edge: EdgeModel = field(init=False, repr=False, default=EdgeModel(decode_s=1.0))
    _answers: AnswerModel = field(init=False, repr=False, default=ONE_KIND)
    _quality: QualityModel = field(init=False, repr=False, default=ASSUMED)

    def prepare(self, view: View) -> None:
        """Look at the edge tier."""
        self._edge = view.edge_for(self.kind)
        self._answers = view.answers
        self._quality = view.quality

    def n_parts(self, answer_tok: float) -> int:
        """Return in how many parts an answer of this length is written."""
        return max(1, min(self.max_parts, round(answer_tok / self._answers.part_tok)))

    def quality_of(self, rho: float) -> float:
        """Return the assumed quality of a suitable answer that is written from a sketch of ratio ``rho``."""
        return self._quality.at_edge(Written(rho, self.width, self.pick))

    def sketch_then_write(self, session: Session, rho: float) -> Generator[Any, Any, None]:
        """Serve a request by sketch and edge; by the server alone where the edge cannot or should not."""
        guess_tok = session.predicted_tok(self.length_error)
        sketch = session.sketch(rho * guess_tok, shown=self.show_sketch)
        if (yield session.first_token_of(sketch)) is None:
            yield from from_server(session)
            return
        yield sketch.ended()
        if not self.is_edge_worth_it(session, guess_tok, rho):
            yield from from_server(session)
            return
        answer = session.expand(
            "edge",
            self.n_parts(guess_tok),
            width=self.width,
            pick=self.pick,
            error=self.length_error,
            list_key=self._list_key if self.length_grouping else None,
        )
        if (yield session.first_token_of(answer)) is None:
            yield from from_server(session)
            return
        session.keep(answer)
        yield session.finished()

    def is_edge_worth_it(self, session: Session, guess_tok: float, rho: float) -> bool:  # noqa: ARG002 - for others
        """Tell, with the sketch at hand, whether the edge should still write the answer."""
        return True

    def _list_key(self, guess_tok: float) -> int:
        return math.floor(math.log(max(guess_tok, 1.0)) / math.log(self.list_ratio))


@dataclass(frozen=True)
class Forecast:
    """Expected times of one request, from what is known when it is dispatched.

    Parameters
    ----------
    answer_tok, prompt_tok : float
        Guessed length of the answer, and its prompt.
    server_wait_s : float
        Wait until the server's first token, prefill and way included.
    server_token_s : float
        Token time of the server now.
    queue_s_per_tok : float
        By how much one more token at the server delays all others there, summed, in s.
    edge_wait_s, edge_write_s : float
        Wait for a box, and prefill and rounds of the parts on one box.
    edge_queue_s : float
        By how much the answer delays everybody who waits at the edge, summed, in s.
    way_s : float
        Round trip to the edge and transmission.

    Source: completion times of our reconstruction (PICE's own cost model could not be read): T_cloud = W_c + p pi_c +
    L tau_c(B); T_prog = W_c + p pi_c + s tau_c(B) + RTT + a (p + s)/R + W_e + (p + s) pi_e + T_exp.
    """

    answer_tok: float
    prompt_tok: float
    server_wait_s: float
    server_token_s: float
    queue_s_per_tok: float
    edge_wait_s: float
    edge_write_s: float
    edge_queue_s: float
    way_s: float

    @property
    def cloud_s(self) -> float:
        """Return the expected time of an answer by the server."""
        return self.server_wait_s + self.answer_tok * self.server_token_s

    def progressive_s(self, rho: float) -> float:
        """Return the expected time of an answer by sketch and edge."""
        sketch_s = self.server_wait_s + rho * self.answer_tok * self.server_token_s
        return sketch_s + self.way_s + self.edge_wait_s + self.edge_write_s


@dataclass
class Forecaster:
    """Makes forecasts; remembers how much the server was asked for lately.

    Parameters
    ----------
    view : View
        History of the server and figures of the edge.
    """

    view: View
    asked_tok: float = field(init=False)
    ttft_s: float = field(init=False)

    MEMORY = 0.05
    """Weight of the newest request in the running mean of tokens asked of the server (our choice)."""

    def __post_init__(self) -> None:
        known = self.view.server_ttft_s[np.isfinite(self.view.server_ttft_s)]
        self.ttft_s = float(known.mean()) if known.size else math.inf
        self.asked_tok = float(self.view.output_tok.mean())

    def ask(self, n_tok: float) -> None:
        """Note how many tokens the server was asked for."""
        self.asked_tok += self.MEMORY * (n_tok - self.asked_tok)

    def of(self, session: Session, answer_tok: float, n_parts: int, width: int, edge: EdgeModel) -> Forecast:
        """Forecast a request with the present queues.

        A request that waits at a white-box server waits until as many others have left as stand before it: they leave
        at the rate of the batch over the tokens asked for (Little's law; our choice). A slot that is held for a token
        delays those who wait, and whoever comes next if the batch is full by then; the share of slots in use stands for
        that chance (our choice). A black box is known by its past.
        """
        load, boxes = session.server_load, session.edge_load
        if load is None:
            wait_s, token_s, queue_s = self.ttft_s, self.view.server_tpot_s, 0.0
        else:
            token_s = load.token_s
            slot_s = token_s / max(1, load.n_resident)
            wait_s = load.n_waiting * self.asked_tok * slot_s + session.prompt_tok * load.prefill_s_per_tok
            wait_s += 2.0 * self.view.link_delay_s
            queue_s = token_s * (load.n_waiting + load.n_resident) / load.max_batch
        way_s = self.view.link_delay_s * 2.0 if edge.link is None else 2.0 * edge.link.mean_delay_s()
        n_boxes = boxes.n_boxes
        box_s = width * answer_tok / edge.tok_per_s()
        others = boxes.n_waiting / (width * n_parts)
        return Forecast(
            answer_tok=answer_tok,
            prompt_tok=session.prompt_tok,
            server_wait_s=wait_s,
            server_token_s=token_s,
            queue_s_per_tok=queue_s,
            edge_wait_s=boxes.wait_s,
            edge_write_s=edge.prefill_s(width * session.prompt_tok)
            + expansion_s([answer_tok / n_parts] * (width * n_parts), edge),
            edge_queue_s=others * box_s / n_boxes,
            way_s=way_s,
        )
