"""Iterations of a fixed length, for tests and theory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from discosim.world.engine.costs.base import Piece


@dataclass(frozen=True)
class ConstantCost:
    """A cost model without any dependence on load.

    Parameters
    ----------
    prefill_iteration_s, decode_iteration_s : float
        Length of an iteration that prefills, and of one that only decodes, > 0.
    """

    prefill_iteration_s: float
    decode_iteration_s: float
    name: str = "constant"
    n_gpus: int = 1

    def prefill_s(
        self,
        tok: float,  # noqa: ARG002 - the point of this model
        square_tok: float,  # noqa: ARG002
        later: Sequence[Piece] = (),  # noqa: ARG002
    ) -> float:
        """Return the fixed prefill time."""
        return self.prefill_iteration_s

    def decode_line(self, n: int) -> tuple[float, float]:  # noqa: ARG002
        """Return the fixed decode time, without a slope."""
        return self.decode_iteration_s, 0.0

    def mixed_s(
        self,
        tok: float,  # noqa: ARG002
        square_tok: float,  # noqa: ARG002
        n: int,  # noqa: ARG002
        context_tok: float,  # noqa: ARG002
        later: Sequence[Piece] = (),  # noqa: ARG002
    ) -> float:
        """Return the fixed prefill time."""
        return self.prefill_iteration_s
