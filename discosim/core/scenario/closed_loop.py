"""Users who wait for their answers before they ask again: a load that the service itself holds back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class ConstantThink:
    """The same time every time."""

    kind: Literal["constant"] = spec("constant", doc="The same time every time.")
    mean_s: float = spec(0.0, doc="How long.", unit="s", ge=0)


@dataclass(frozen=True, kw_only=True)
class ExponentialThink:
    """Exponential times."""

    kind: Literal["exponential"] = spec("exponential", doc="Exponential times.")
    mean_s: float = spec(doc="Mean.", unit="s", gt=0)


@dataclass(frozen=True, kw_only=True)
class LognormalThink:
    """Log-normal times."""

    kind: Literal["lognormal"] = spec("lognormal", doc="Log-normal times.")
    median_s: float = spec(doc="Median.", unit="s", gt=0)
    sigma: float = spec(1.0, doc="Sigma of the log.", ge=0, le=5)


Think = ConstantThink | ExponentialThink | LognormalThink


@dataclass(frozen=True, kw_only=True)
class ClosedLoopArrivals:
    """A fixed number of users, each of whom asks again when the answer is there: a test at a given concurrency."""

    kind: Literal["closed_loop"] = spec("closed_loop", doc="Users who wait for their answers.")
    users: int = spec(
        doc="Users: request i is of user i modulo their number. They are all that there are; n_users plays no part.",
        ge=1,
    )
    think_s: Think = spec(
        ConstantThink,
        doc="How long after the end of an answer, at the client, its user sends the next request; before the first too.",
        discriminator="kind",
    )
    waves: bool = spec(
        False,
        doc="Send as many requests at once as there are users, and the next wave when all answers of the former have "
        "ended (the way of llmperf); one time to think for all.",
    )
