"""A small valid scenario and a small world of names, for the tests of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from discosim.config.yaml_loader import read_text
from discosim.core.spec import spec
from discosim.policies import Policy
from discosim.policies.device_only import DeviceOnly

SCENARIO = """\
name: sample
workload:
  kind: generate
  arrivals: {kind: poisson, rate_per_s: 1e-1}
  lengths:
    kind: constant
    prompt_tok: 10
    output_tok: 20
devices:
  - profile: phone
server:
  kind: replay
  digest: service
  prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}
cost:
  exchange_rate_usd_per_j: 5E-6
policies:
  - kind: device_only
  - kind: dice
    name: Dice-0.5
    budget: 0.5
"""


@dataclass(kw_only=True)
class Dice(Policy):
    """Throw a die."""

    kind: ClassVar[str] = "dice"
    paper: ClassVar[str] = "Our choice: a policy with every type of option."

    budget: float = spec(doc="Share of requests.", ge=0, le=1)
    side: Literal["server", "device"] = spec("server", doc="Where to.")
    waits_s: tuple[float, ...] = spec((), doc="Waits.", unit="s", ge=0)
    retries: int = spec(0, doc="Retries.", ge=0)
    is_fair: bool = spec(True, doc="Fair or not.")
    bias: float | None = spec(None, doc="Bias.", gt=0)

    def __post_init__(self) -> None:
        if self.is_fair and self.bias is not None:
            raise ValueError("a fair die has no bias")


DIGESTS = {"device": "phone", "latency": "service", "workload": "chat", "clients": "crowd", "rtt": "wifi"}


def small_world(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let exactly these policies and digests exist."""
    known: dict[str, Any] = {"device_only": DeviceOnly, "dice": Dice}
    monkeypatch.setattr("discosim.policies.known_policies", lambda: known)
    monkeypatch.setattr("discosim.policies.registry.known_policies", lambda: known)
    monkeypatch.setattr("discosim.policies.describe.known_policies", lambda: known)
    for kind, name in DIGESTS.items():
        path = folder / "digests" / kind / f"{name}.json"
        path.parent.mkdir(parents=True)
        path.touch()
    monkeypatch.setattr("discosim.traces.catalogue.shipped_root", lambda: folder / "digests")


def data() -> dict[str, Any]:
    """Return the sample as a mapping."""
    read: dict[str, Any] = read_text(SCENARIO, "sample").data
    return read
