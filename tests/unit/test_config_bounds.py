"""Numbers without bounds: each key has some, and what no machine can hold is refused before it is begun."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discosim import load_scenario, simulate
from discosim.cli import main
from discosim.config.shape import item_type, keys_of, members_of, sections_of, without_none
from discosim.core import bounds, machine
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.core.spec import spec
from discosim.policies import known_policies
from discosim.runs import size
from discosim.sweep.file import SweepFile
from discosim.world.engine.schedulers.registry import known_schedulers


def sections(annotation: Any) -> list[type]:
    """Return all sections inside a type."""
    inner, _ = without_none(annotation)
    inner = item_type(inner) or inner
    found = []
    for section in sections_of(inner):
        found.append(section)
        for key in keys_of(section).values():
            found += sections(key.type)
    return found


ALL = list(
    dict.fromkeys(
        [*sections(Scenario), *sections(SweepFile), *known_policies().values(), *known_schedulers().values()],
    )
)


def numbers() -> list[tuple[type, str, Any]]:
    """Return every key of this package that takes a number."""
    found = []
    for section in ALL:
        for key in keys_of(section).values():
            if {int, float} & set(members_of(key.type)):
                found.append((section, key.name, key))
    return found


@pytest.mark.parametrize(
    ("section", "name", "key"), numbers(), ids=lambda value: getattr(value, "__name__", str(value))[:40]
)
def test_every_number_is_bounded_on_both_sides(section: type, name: str, key: Any) -> None:
    limits = key.limits
    most = limits.get("le", limits.get("lt", limits.get("most")))
    assert most is not None
    assert most <= 1e12 or name in {"seed", "root"}
    if limits.get("gt") == 0 and key.description.rpartition("[")[2].rstrip("]") in bounds.LEAST:
        assert "ge" in limits or "least" in limits, "its inverse has no end"
    if key.has_default and isinstance(key.default, int | float) and not isinstance(key.default, bool):
        assert key.default <= most


@dataclass(frozen=True, kw_only=True)
class Theirs:
    bytes_held: float = spec(64e9, doc="Of another package.", unit="B", ge=0)
    n: int = field(default=1, metadata={"ge": 0})


def test_options_of_other_packages_are_theirs() -> None:
    assert {name: dict(key.limits) for name, key in keys_of(Theirs).items()} == {
        "bytes_held": {"ge": 0},
        "n": {"ge": 0},
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("workload.arrivals.rate_per_s=1e10", "must be <= 1,000,000,000 (got 10000000000.0)"),
        ("workload.arrivals.rate_per_s=1e-10", "must be >= 1e-09 (got 1e-10)"),
        ("workload.arrivals.rate_per_s=0", "must be > 0 (got 0)"),
        ("workload.lengths={kind: constant, prompt_tok: 1000000000000000000, output_tok: 5}", "must be <= 10,000,000"),
        ("seed=9223372036854775808", "must be <= 9,223,372,036,854,775,807"),
        ("workload.n_users=1e18", "must be <= 10,000,000"),
        ("reader.tok_per_s=1e308", "must be <= 1,000,000,000"),
        ("devices[0].decode_tok_per_s=1e-308", "must be >= 1e-06 (got 1e-308)"),
        ("cost.exchange_rate_usd_per_j=1e308", "must be <= 1,000,000,000"),
    ],
)
def test_numbers_beyond_are_one_line(override: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["run", "quickstart", "--set", "workload.arrivals={kind: poisson, rate_per_s: 1}", "--set", override]) == 2
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


# --- products -------------------------------------------------------------------------------------------------


def scenario(*overrides: str) -> Scenario:
    calm = (
        "workload.n_requests=20",
        "replications=1",
        "workload.lengths={kind: constant, prompt_tok: 5, output_tok: 5}",
    )
    return load_scenario("quickstart", overrides=[*calm, *overrides])


def test_rows_that_no_memory_holds_are_refused_before_any_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "memory_bytes", lambda: 64e9)
    room = sys.modules[simulate.__module__]
    monkeypatch.setattr(room, "build", lambda *_: pytest.fail("must not be begun"))
    with pytest.raises(UserError, match=r"^workload: 1,000,000,000 requests under 5 policies .* 3,500 GB .* has 64 GB"):
        simulate(scenario("workload.n_requests=1e9"))


def test_tokens_that_no_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "memory_bytes", lambda: 16e9)
    lengths = "workload.lengths={kind: constant, prompt_tok: 5, output_tok: 10000000}"
    with pytest.raises(UserError, match=r"20 requests of up to 10,000,000 output tokens take about 30 GB .* has 16 GB"):
        simulate(scenario(lengths))


def test_a_machine_that_does_not_say_refuses_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine.os, "sysconf", lambda _: (_ for _ in ()).throw(ValueError))
    monkeypatch.setattr(machine, "CGROUP", tmp_path / "none")
    assert machine.memory_bytes() == math.inf
    size.check_rows(scenario("workload.n_requests=1e9"), 5)
    (tmp_path / "none").write_text("max\n")
    assert machine.memory_bytes() == math.inf
    (tmp_path / "none").write_text("4096\n")
    assert machine.memory_bytes() == 4096


@pytest.mark.parametrize("law", ["kind: poisson, rate_per_s: 1e-9", "kind: gamma, rate_per_s: 1e-9"])
def test_a_run_of_centuries_is_refused(law: str) -> None:
    with pytest.raises(UserError, match=r"^workload: the last request arrives after .* s; at most 1e\+10 s"):
        simulate(scenario(f"workload.arrivals={{{law}}}"))


def test_lengths_that_a_law_draws_are_bounded_unless_they_are_limited() -> None:
    wide = "workload.lengths={kind: lognormal, prompt_median_tok: 5, output_median_tok: 1e6, output_sigma: 5}"
    with pytest.raises(
        UserError, match=r"^workload: holds a request of [\d,]+ output tokens, at most 10,000,000 .* max_out"
    ):
        simulate(scenario(wide))
    clipped = simulate(scenario(wide, "workload.max_output_tok=50", "workload.over_limit=clip"))
    assert clipped.requests["output_tok"].max() == 50
    rejected = simulate(scenario(wide, "workload.max_output_tok=50", "workload.n_requests=5"))
    assert set(rejected.requests["status"]) <= {"rejected", "finished"}
    assert np.isin("rejected", rejected.requests["status"])
