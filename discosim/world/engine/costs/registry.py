"""Cost models of other packages, through entry points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar

from discosim.core.errors import UserError
from discosim.core.own_code import is_own, own_class
from discosim.core.plugins import Plugins, classes_of, construct, points
from discosim.world.engine.costs.base import Piece

ENTRY_POINT_GROUP = "discosim.costs"


class OwnCost:
    """Base of a cost model of another package; see `discosim.world.engine.costs.base.CostModel` for what each returns.

    A subclass sets ``kind``, is made with its options as keywords, and refuses bad ones with ``ValueError``.
    """

    kind: ClassVar[str] = ""
    n_gpus: int = 1

    @property
    def name(self) -> str:
        """Name for messages."""
        return self.kind

    def prefill_s(self, tok: float, square_tok: float, later: Sequence[Piece] = ()) -> float:
        """Return the time of an iteration that only prefills, in s."""
        raise NotImplementedError

    def decode_line(self, n: int) -> tuple[float, float]:
        """Return (seconds, seconds per KV token) of a decode iteration of ``n`` requests."""
        raise NotImplementedError

    def mixed_s(self, tok: float, square_tok: float, n: int, context_tok: float, later: Sequence[Piece] = ()) -> float:
        """Return the time of an iteration that prefills and decodes, in s."""
        raise NotImplementedError


@cache
def cost_plugins() -> Plugins:
    """Return what other packages add, and what they would add if it worked."""
    return classes_of(points(ENTRY_POINT_GROUP, entry_points), OwnCost, {})


def cost_class(kind: str) -> type[OwnCost]:
    """Return the cost model of this kind, or say which there are, or why its plug-in cannot be used."""
    if is_own(kind):
        return own_class(kind, OwnCost)
    plugins = cost_plugins()
    if kind not in plugins.found:
        raise UserError(f"unknown cost model '{kind}'; {plugins.why_missing(kind, plugins.found)}")
    return plugins.found[kind].value


def make_cost(kind: str, options: Mapping[str, Any], where: str) -> OwnCost:
    """Return a cost model with options.

    Raises
    ------
    UserError
        If there is none of this kind, or it refuses its options or fails over them.
    """
    try:
        held = cost_class(kind)
    except UserError as error:
        raise UserError(error.message, where=where) from None
    return construct(held, options, where)
