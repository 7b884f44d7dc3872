"""Policies, schedulers and cost models in files of the user's: `kind: file.py:Class`."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_policies import POLICY, SMALL, scenario, written

from discosim import Policy, load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.core.own_code import load_own
from discosim.core.scenario import EngineServer, Scenario
from discosim.runs.build_engine import engine_model
from discosim.runs.identity import run_id
from discosim.runs.provenance import fingerprints
from discosim.world.engine.schedulers.registry import maker_of


def test_a_file_names_it_relative_to_itself_and_its_options_are_those_of_the_class(tmp_path: Path) -> None:
    written(tmp_path / "below")
    (tmp_path / "mine.yaml").write_text(
        "base: quickstart\npolicies: [{kind: server_only}, {kind: 'below/mine.py:Mine', wait_s: 2}]\n"
    )
    held = load_scenario(tmp_path / "mine.yaml", overrides=SMALL)
    spec = held.policies[1]
    assert spec.kind == f"{tmp_path / 'below' / 'mine.py'}:Mine"
    assert spec.name == "Mine"
    assert dict(spec.options) == {"wait_s": 2.0, "helped": False}
    summary = simulate(held).summary
    change = summary.value("Mine", "ttft_mean_s").mean - summary.value("server_only", "ttft_mean_s").mean
    assert change == pytest.approx(2.0, abs=0.02)  # the link may differ by the moment


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("mine.py:Mines", "mine.py has no class 'Mines'; did you mean 'Mine'? Known: Mine"),
        ("mine.py", "names a file and no class of it; write mine.py:Class"),
        ("mine.py:a.b", "names a file and no class of it; write mine.py:Class"),
        ("mime.py:Mine", "mime.py; did you mean 'mine.py'?"),
        ("mine.py:Other", "'Other' of mine.py derives from no Policy; write `class Other(Policy):`"),
        ("mine.py:spec", "'spec' of mine.py is no class but a function"),
        ("broken.py:Mine", "broken.py:2: ZeroDivisionError: division by zero"),
        ("grammar.py:Mine", "grammar.py:3: SyntaxError: "),
        ("leaves.py:Mine", "leaves.py:1: SystemExit: 3"),
        ("lacks.py:Mine", "lacks.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("inner.py:Mine", "broken.py:2: ZeroDivisionError"),
        ("runs.py:Mine", "put that under `if __name__ == '__main__':`"),
        ("taken.py:Mine", "has an option named name, which a scenario needs for itself"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, kind: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path)
    written(tmp_path, "\n1 / 0\n", "broken.py")
    written(tmp_path, "\n\ndef f(:\n", "grammar.py")
    written(tmp_path, "import sys; sys.exit(3)\n", "leaves.py")
    written(tmp_path, "import no_such_module\n", "lacks.py")
    written(tmp_path, "import broken\n", "inner.py")
    written(tmp_path, f"from discosim import load_scenario\nload_scenario({str(tmp_path / 's.yaml')!r})\n", "runs.py")
    written(tmp_path, POLICY.replace("helped: bool = False", "name: str = ''"), "taken.py")
    (tmp_path / "s.yaml").write_text(f"base: quickstart\npolicies: [{{kind: '{kind}'}}]\nbaseline: null\n")
    assert main(["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert f"{tmp_path / 's.yaml'}:2:19 policies[0].kind: " in errors[0]
    assert said in errors[0]
    assert not (tmp_path / "out").exists()


def test_a_misspelt_option_is_refused_like_any_other(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(UserError, match=r"policies\[1\].wait: unknown key; did you mean 'wait_s'?"):
        scenario(tmp_path, wait=1)
    with pytest.raises(UserError, match=r"policies\[1\].wait_s: must be >= 0"):
        scenario(tmp_path, wait_s=-1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("yield session.wait(1 / self.wait_s)", r"mine.py:17: ZeroDivisionError: float division by zero"),
        ("yield 3", r"mine.py: a policy must yield events of its session \(got 3\)"),
        ("return; yield", r"mine.py: .*request 0"),
    ],
)
def test_an_error_while_it_serves_names_the_line_of_the_file(tmp_path: Path, line: str, said: str) -> None:
    written(tmp_path, POLICY.replace("yield session.wait(self.wait_s)", line))
    with pytest.raises(UserError, match=rf"policy mine: .*{said}"):
        simulate(scenario(tmp_path))


SCHEDULER = '''
from dataclasses import dataclass
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.costs.registry import OwnCost


@dataclass(kw_only=True)
class Mine(Fcfs):
    """First come, first served, again."""

    patience: int = 3


@dataclass(frozen=True, kw_only=True)
class Flat(OwnCost):
    decode_s: float = 0.01
    asked = []

    def prefill_s(self, tok, square_tok, later=()):
        self.asked.append(tok)
        return 0.5

    def decode_line(self, n):
        return self.decode_s, 0.0

    def mixed_s(self, tok, square_tok, n, context_tok, later=()):
        return 0.5
'''


def engine(folder: Path, scheduler: str, iterations: str) -> Scenario:
    (folder / "e.yaml").write_text(
        f"base: engine\nserver: {{scheduler: {scheduler}, iterations: {iterations}, kv_tok: 9000}}\n"
    )
    return load_scenario(folder / "e.yaml", overrides=SMALL)


def test_schedulers_and_cost_models_come_from_files_too(tmp_path: Path) -> None:
    written(tmp_path, SCHEDULER)
    held = engine(tmp_path, "{kind: 'mine.py:Mine', patience: 4}", "{kind: 'mine.py:Flat', decode_s: 0.02}")
    assert isinstance(held.server, EngineServer)
    model = engine_model(held.server)
    assert model.replica.cost.decode_line(3) == (0.02, 0.0)
    assert vars(maker_of(held.server.scheduler)())["patience"] == 4
    assert {"scheduler code: mine.py:Mine", "cost code: mine.py:Flat"} <= fingerprints(held).keys()
    before = run_id(held)
    written(tmp_path, SCHEDULER.replace("0.5", "0.6"))
    again = engine(tmp_path, "{kind: 'mine.py:Mine', patience: 4}", "{kind: 'mine.py:Flat', decode_s: 0.02}")
    assert run_id(again) != before
    assert isinstance(again.server, EngineServer)
    cost = engine_model(again.server).replica.cost
    before_it = list(vars(type(cost))["asked"])
    simulate(again)
    assert vars(type(cost))["asked"] == before_it, "the next run begins with it as it was"
    with pytest.raises(UserError, match=r"unknown option; did you mean 'decode_s'"):
        engine(tmp_path, "{kind: 'mine.py:Mine'}", "{kind: 'mine.py:Flat', decode: 0.02}")
    with pytest.raises(UserError, match=r"scheduler\.patiance: unknown key; did you mean 'patience'"):
        engine(tmp_path, "{kind: 'mine.py:Mine', patiance: 4}", "{kind: 'mine.py:Flat'}")
    with pytest.raises(UserError, match=r"'Flat' of mine\.py derives from no Scheduler"):
        engine(tmp_path, "{kind: 'mine.py:Flat'}", "{kind: 'mine.py:Flat'}")


def test_an_object_is_held_to_the_bounds_of_its_options(tmp_path: Path) -> None:
    written(tmp_path)
    held = load_own(f"{tmp_path / 'mine.py'}:Mine", Policy)
    with pytest.raises(UserError, match=r"policy mine\.wait_s: must be >= 0 \(got -1"):
        simulate(load_scenario("quickstart", overrides=SMALL), policies={"mine": held(wait_s=-1.0)})
