"""What generated scenarios name: policies and schedulers of other packages, and files with odd names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from discosim.core import scenario as s
from discosim.core.spec import spec
from discosim.policies import Policy, known_policies
from discosim.traces.catalogue import load_digest
from discosim.traces.digest_file import write_own_digest
from discosim.traces.model_config import known_models
from discosim.world.engine.schedulers.base import Orders, Scheduler
from discosim.world.engine.schedulers.registry import known_schedulers

# --- parts of other packages ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Corner:
    """A section inside an option."""

    x: float = spec(1, doc="A number, whose default is written as a whole one.")
    names: tuple[str, ...] = ("a", "b")


@dataclass(kw_only=True)
class Manifold(Policy):
    """A policy with options of every type that a file can hold, some with defaults that are odd."""

    kind: ClassVar[str] = "manifold"
    paper: ClassVar[str] = "Our choice: a test."

    whole_default: float = 3
    negative_zero: float = -0.0
    numpy_default: float = field(default_factory=lambda: np.float64(0.25))  # type: ignore[assignment]
    none_default: float = None  # type: ignore[assignment]  # as people write it
    out_of_range: float = spec(-1.0, doc="A default outside its own range.", ge=0)
    anything: Any = (1, 2, ("x", None))
    weights: Mapping[str, float] = field(default_factory=lambda: {"a": 1, "b": 2.5})
    table: dict[str, Any] = field(default_factory=dict)
    steps: list[int] = field(default_factory=lambda: [1, 2])
    pair: tuple[int, str] = (1, "one")
    grid: tuple[tuple[float, ...], ...] = ((1, 2), ())
    waits: float | tuple[float, ...] | None = (0.5, 1)
    either: int | float | str = 1
    corner: Corner = field(default_factory=Corner)
    corners: tuple[Corner, ...] = ()
    order: Sequence[str] = ("b", "a")
    mood: Literal["calm", "wild"] | None = None
    is_on: bool | None = None
    cap: float = math.inf
    place: Path = Path("some/where")
    array: Any = field(default_factory=lambda: np.array([[1, 2.5]]))
    bare: dict = field(default_factory=lambda: {"k": (1, 2)})  # type: ignore[type-arg]
    state: Any = field(init=False, default=None)


class Plain(Policy):
    """A policy that is no dataclass of its own."""

    kind: ClassVar[str] = "plain"


@dataclass(kw_only=True)
class Fifo(Scheduler):
    """A scheduler of another package."""

    kind: ClassVar[str] = "fifo"
    limits: tuple[float, ...] = (1, 2)
    extra: Any = field(default_factory=lambda: {"deep": [1, {"er": (2,)}]})

    def schedule(self, replica: Any) -> Orders:
        """Give no orders."""
        return Orders()


class Undressed(Scheduler):
    """A scheduler that is no dataclass."""

    kind: ClassVar[str] = "undressed"

    def schedule(self, replica: Any) -> Orders:
        """Give no orders."""
        return Orders()


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the parts above be known beside those of the package."""
    policies = dict(sorted({**known_policies(), "manifold": Manifold, "plain": Plain}.items()))
    schedulers = dict(sorted({**known_schedulers(), "fifo": Fifo, "undressed": Undressed}.items()))
    monkeypatch.setattr("discosim.policies.known_policies", lambda: policies)
    monkeypatch.setattr("discosim.policies.registry.known_policies", lambda: policies)
    monkeypatch.setattr("discosim.world.engine.schedulers.registry.known_schedulers", lambda: schedulers)


# --- files ----------------------------------------------------------------------------------------------------


def write_files(folder: Path) -> dict[tuple[type, str], list[str]]:
    """Write what scenarios may name, of one name in two folders and with odd names; return them by section and key."""
    names: dict[tuple[type, str], list[str]] = {}
    row = '{"arrival_s": 0, "prompt_tok": 5, "output_tok": 5}\n'
    for name in (
        "trace.csv",
        "a/trace.csv",
        "b/trace.csv",
        "a b/ü #1.jsonl",
        "null",
        "1e3",
        "--- x",
        'say "x": y.json',
    ):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(row * (1 + len(name)), encoding="utf-8")
        for key in (
            (s.ReplayedWorkload, "file"),
            (s.FileLengths, "file"),
            (s.ReplayedServer, "series"),
            (s.DigestLink, "series"),
        ):
            names.setdefault(key, []).append(name)
    for key, digest, kind in (
        ((s.ReplayedServer, "digest_file"), "openrouter-gpt-5.4", "latency"),
        ((s.Device, "profile_file"), "pixel-7-pro-bloom-1.1b", "device"),
        ((s.FileIterations, "file"), "llama2-70b-a100-tp4", "engine"),
        ((s.DigestLink, "digest_file"), "phone-4g", "rtt"),
        ((s.Chunks, "digest_file"), "azure-gpt-4-1106-chunks", "chunks"),
    ):
        for name in ("trace.json", "a/trace.json", "'own' digest.json"):
            path = folder / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_own_digest(load_digest(digest, kind), path)
            names.setdefault(key, []).append(f"{kind}/{name}")
    for name in ("config.json", "a/config.json"):
        (folder / name).write_text(json.dumps(known_models()["Llama-3.1-8B"]["config"]))
        names.setdefault((s.PhysicsIterations, "model_file"), []).append(name)
    return names
