"""What a replayed service lets through: how many at once, how many a second, how much a user and day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a replayed service works on at once; who comes when it is full waits, first in, first out."""

    concurrent: int | None = spec(
        None,
        doc="Requests at once, each from its begin to its last token or cancel; either this or `tok_per_s`.",
        ge=1,
    )
    tok_per_s: float | None = spec(
        None,
        doc="Tokens of answers a second: the next request begins when those before it have had their tokens at this rate.",
        unit="tok/s",
        gt=0,
    )


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """A bucket of requests: so many a second, and a burst."""

    requests_per_s: float = spec(doc="Requests that flow into the bucket.", unit="1/s", gt=0)
    burst: int = spec(1, doc="Requests that the bucket holds; it is full at the beginning.", ge=1)
    per: Literal["all", "user"] = spec("all", doc="One bucket for all users, or one for each.")
    excess: Literal["refuse", "wait"] = spec("refuse", doc="What happens to a request that finds the bucket empty.")


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What a user may ask for in a day, which begins at midnight of `server.start_hour` (else at time 0)."""

    requests_per_user_per_day: int | None = spec(
        None, doc="Requests taken, refused ones aside; null for no limit.", ge=1
    )
    tok_per_user_per_day: int | None = spec(
        None, doc="Prompt tokens and tokens asked for, of requests taken; null for no limit.", unit="tok", ge=1
    )
