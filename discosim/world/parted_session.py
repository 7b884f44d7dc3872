"""The verbs by which a policy has an answer written in parts, from a sketch or without one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import InvariantError, close_match
from discosim.core.request import Segment
from discosim.world.edge.tier import EdgeLoad, EdgeTier
from discosim.world.load import ServerLoad, server_load
from discosim.world.parts import PartsStream
from discosim.world.quality import Pick, Written
from discosim.world.rounding import raised
from discosim.world.stream import Stream

if TYPE_CHECKING:
    from discosim.world.world import World

Floats = NDArray[np.float64]
NOTHING = np.empty(0)
NO_SKETCH = Written()
PARTED = ("edge", "server")


class PartedSession:
    """The part of a session that knows of sketches, parts and the edge."""

    __slots__ = ("_attempts", "_is_sketch_shown", "_n_parts", "_sketch", "_written")

    request_id: int
    user_id: int
    arrival_s: float
    prompt_tok: int
    _output_tok: int
    _device_quality: float
    _speaker: Stream | None
    _streams: list[Stream]
    _world: World

    def __init__(self) -> None:
        self._attempts = 0  # requests made to the server
        self._sketch: Stream | None = None
        self._is_sketch_shown = False
        self._n_parts = 0
        self._written = NO_SKETCH

    def coin(self, role: str = "dispatch") -> float:
        """Return this request's own uniform draw on [0, 1) for ``role``; the same under every policy."""
        return self._world.luck.uniform_list(f"policy.{role}")[self.request_id]

    # --- looking ----------------------------------------------------------------------------------------------

    @property
    def server_load(self) -> ServerLoad | None:
        """How busy a white-box server is now; None where the server is a black box."""
        return server_load(self._world.server)

    @property
    def edge_load(self) -> EdgeLoad:
        """How busy the user's edge boxes are now."""
        return self._edge().load(self.user_id)

    def seems_suitable(self, error: float = 0.0) -> bool:
        """Tell whether the answer seems to fall into parts; wrong in a share ``error`` of the cases."""
        return self._world.answers.seems_suitable(self.request_id, error)

    def predicted_tok(self, error: float = 0.0) -> float:
        """Return a guess of the answer's length; the standard deviation of its log is ``error``."""
        return self._world.answers.predicted_tok(self.request_id, self._output_tok, error)

    # --- acting -----------------------------------------------------------------------------------------------

    def sketch(self, n_tok: float, *, shown: bool = False) -> Stream:
        """Ask the server for a sketch of about ``n_tok`` tokens: at least one, and none longer than the answer.

        Its tokens are no part of the answer; where ``shown``, the reader sees them before it.
        """
        if self._sketch is not None:
            raise InvariantError(f"request {self.request_id}: a second sketch")
        size = min(max(1, round(n_tok)), self._output_tok)
        self._sketch = self._ask_server(self.prompt_tok, 1, size)
        self._is_sketch_shown = shown
        self._streams.append(self._sketch)
        return self._sketch

    def expand(
        self,
        endpoint: str,
        n_parts: int,
        *,
        width: int = 1,
        pick: Pick = "random",
        error: float = 0.0,
        list_key: Callable[[float], int] | None = None,
    ) -> Stream:
        """Ask an endpoint (edge or server) for the answer in parts, written side by side from the sketch.

        Parameters
        ----------
        endpoint : str
            ``edge`` or ``server``.
        n_parts : int
            Parts, >= 1; an answer of fewer tokens gets fewer.
        width : int
            Candidates of each part, >= 1 (edge only).
        pick : str
            How one of them is picked; what it is worth is the quality model's business.
        error : float
            Standard deviation of the log error of the guessed lengths.
        list_key : callable, optional
            Gives the job list of a part by its guessed length; one list for all where left out.
        """
        if endpoint not in PARTED:
            raise InvariantError(
                f"request {self.request_id}: '{endpoint}' writes no answers in parts; {close_match(endpoint, PARTED)}"
            )
        answers, sketch_tok = self._world.answers, self._sketch.n_tok if self._sketch is not None else 0
        lengths, guesses = answers.parts_tok(self.request_id, self._output_tok, n_parts, error)
        context_tok = self.prompt_tok + sketch_tok
        parts: list[list[Stream]] = []
        first = 1
        for length, guess in zip(lengths.tolist(), guesses, strict=True):
            if endpoint == "edge":
                key = 0 if list_key is None else list_key(guess)
                candidates: list[Stream] = [
                    self._edge().start(
                        self.request_id, self.user_id, context_tok, first, length, candidate=c, list_key=key
                    )
                    for c in range(width)
                ]
            else:
                candidates = [self._ask_server(context_tok, first, length)]
            parts.append(candidates)
            first += length
        luck = self.coin("pick")
        answer = PartsStream(parts, [int(luck * len(candidates)) for candidates in parts])
        self._streams.append(answer)
        self._n_parts = len(parts)
        self._written = Written(
            sketch_tok / self._output_tok, width, pick, is_suitable=answers.is_suitable(self.request_id)
        )
        return answer

    def _ask_server(self, prompt_tok: int, first_token: int, n_tok: int) -> Stream:
        attempt = self._attempts
        self._attempts = attempt + 1
        return self._world.server.start(self.request_id, self.user_id, attempt, prompt_tok, first_token, n_tok)

    def _edge(self) -> EdgeTier:
        if self._world.edge is None:
            raise InvariantError(f"request {self.request_id}: there is no edge tier")
        return self._world.edge

    # --- closing ----------------------------------------------------------------------------------------------

    @property
    def _is_in_parts(self) -> bool:
        return isinstance(self._speaker, PartsStream)

    def _seen_sketch_s(self, delivered_s: Floats) -> Floats:
        """Return when the tokens of a sketch that the reader sees came."""
        if self._sketch is None or not self._is_sketch_shown or not delivered_s.size or not self._sketch.has_spoken:
            return NOTHING
        return raised(self._sketch.arrival_s, self.arrival_s)

    def _quality(self, status: str, segments: tuple[Segment, ...]) -> float:
        """Return the assumed quality: 0 where the request failed, NaN where nobody served it or nothing is assumed."""
        model = self._world.model.quality
        if model is None or status == "rejected":
            return math.nan
        if not segments:
            return 0.0
        written = self._written if self._is_in_parts else Written()
        return model.of(segments, written, is_in_parts=self._is_in_parts, device_factor=self._device_quality)
