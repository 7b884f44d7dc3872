"""Windows in which nothing gets through."""

from __future__ import annotations

from dataclasses import dataclass

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A window in which a server refuses every request, or a last hop lets nothing pass."""

    start_s: float = spec(doc="Start of the window.", unit="s", ge=0)
    end_s: float = spec(doc="End of the window.", unit="s", gt=0)
