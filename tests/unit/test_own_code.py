"""Policies, schedulers and cost models in files of the user's: `kind: file.py:Class`."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import discosim
from discosim import Policy, load_results, load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.core.own_code import load_own
from discosim.core.scenario import EngineServer, Scenario
from discosim.runs.basis import changed_since
from discosim.runs.build_engine import engine_model
from discosim.runs.identity import policy_id, run_id
from discosim.runs.provenance import fingerprints
from discosim.world.engine.schedulers.registry import maker_of

POLICY = '''
from __future__ import annotations

from dataclasses import dataclass
from discosim import Policy
from discosim.core.spec import spec


@dataclass(kw_only=True)
class Mine(Policy):
    """Ask the service."""

    wait_s: float = spec(0.0, doc="Wait before.", unit="s", ge=0)
    helped: bool = False

    def serve(self, session):
        yield session.wait(self.wait_s)
        stream = session.start("server")
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        yield session.finished()


class Other:
    pass
'''
SMALL = ["workload.n_requests=30", "replications=1"]


def scenario(folder: Path, **changes: Any) -> Scenario:
    policies = [{"kind": "server_only"}, {"kind": f"{folder / 'mine.py'}:Mine", "name": "mine", **changes}]
    return load_scenario({"base": "quickstart", "policies": policies, "baseline": None}, overrides=SMALL)


def written(folder: Path, text: str = POLICY, name: str = "mine.py") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def code_of(held: Scenario) -> str:
    return fingerprints(held)["policy code: mine.py:Mine"]


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


def test_what_counts_is_the_source_and_what_lies_beside_it_and_not_the_folder(tmp_path: Path) -> None:
    text = POLICY.replace("import dataclass\n", "import dataclass\nfrom helper import SHARE\nimport lib.deep\n", 1)
    written(tmp_path / "a", text)
    written(tmp_path / "a", "SHARE = 1\n", "helper.py")
    written(tmp_path / "a" / "lib", "", "__init__.py")
    written(tmp_path / "a" / "lib", "from . import deeper\n", "deep.py")
    written(tmp_path / "a" / "lib", "X = 1\n", "deeper.py")
    written(tmp_path / "a", "X = 1\n", "unused.py")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first = scenario(tmp_path / "a")
    assert run_id(first) == run_id(scenario(tmp_path / "b"))
    written(tmp_path / "b", "X = 2\n", "unused.py")
    assert code_of(scenario(tmp_path / "b")) == code_of(first)
    seen = {code_of(first)}
    for folder, content, name in (
        ("b", "SHARE = 2\n", "helper.py"),
        ("b/lib", "X = 2\n", "deeper.py"),
        ("b", f"{text}\n", "mine.py"),
    ):
        written(tmp_path / folder, content, name)
        seen.add(code_of(scenario(tmp_path / "b")))
    assert len(seen) == 4
    assert "own file (mine.py, helper, lib)" in " ".join(simulate(first).notes)


def test_an_edited_file_is_run_as_it_is_now_its_helpers_too(tmp_path: Path) -> None:
    text = POLICY.replace("import dataclass\n", "import dataclass\nfrom helper import SHARE\n", 1)
    text = text.replace("session.wait(self.wait_s)", "session.wait(SHARE)")

    def mean_s(held: Scenario) -> float:
        return float(simulate(held).summary.value("mine", "ttft_mean_s").mean)

    written(tmp_path / "a", text)
    written(tmp_path / "a", "SHARE = 1\n", "helper.py")
    written(tmp_path / "b", text)
    written(tmp_path / "b", "SHARE = 5\n", "helper.py")  # of the same name, in another folder
    first, other = scenario(tmp_path / "a"), scenario(tmp_path / "b")
    assert mean_s(other) - mean_s(first) == pytest.approx(4.0, abs=0.02)
    before, identity = mean_s(first), run_id(first)
    written(tmp_path / "a", "SHARE = 3\n", "helper.py")  # of the same size, within the same second
    assert mean_s(first) - before == pytest.approx(2.0, abs=0.02)
    assert run_id(first) != identity


def test_the_identity_of_a_policy_knows_nothing_of_those_beside_it(tmp_path: Path) -> None:
    written(tmp_path)
    one, other = scenario(tmp_path), scenario(tmp_path, wait_s=1)
    assert policy_id(one, "server_only") == policy_id(other, "server_only")
    assert policy_id(one, "mine") != policy_id(other, "mine")
    assert policy_id(one, "mine", fingerprints(one)) == policy_id(one, "mine")
    written(tmp_path, POLICY + "\n")
    edited = scenario(tmp_path)
    assert policy_id(edited, "mine") != policy_id(load_scenario(as_other(tmp_path)), "mine")
    assert policy_id(edited, "server_only") == policy_id(other, "server_only")


def as_other(folder: Path) -> dict[str, Any]:
    """Return the scenario with the first text of the policy, in a folder of its own."""
    written(folder / "first")
    policies = [{"kind": "server_only"}, {"kind": f"{folder / 'first' / 'mine.py'}:Mine", "name": "mine"}]
    held: dict[str, Any] = yaml.safe_load("workload: {n_requests: 30}\nreplications: 1\nbaseline: null\n")
    return {"base": "quickstart", **held, "policies": policies}


def test_a_scenario_can_be_read_and_fingerprinted_without_running_its_code(tmp_path: Path) -> None:
    marker = tmp_path / "was_run"
    written(tmp_path, f"{POLICY}\n\nopen({str(marker)!r}, 'a').close()\n")
    source = {"base": "quickstart", "policies": {"mine": {"kind": f"{tmp_path / 'mine.py'}:Mine", "wait": 1}}}
    held = load_scenario(source, runs_own=False)
    assert held.policies[-1].options == {"wait": 1}
    code = code_of(held)
    assert not marker.exists()
    with pytest.raises(UserError, match="was not imported"):
        run_id(held)
    assert code == code_of(scenario(tmp_path))
    assert marker.exists()


@pytest.mark.long
def test_results_of_a_stranger_are_read_without_running_his_code(tmp_path: Path) -> None:
    marker = tmp_path / "was_run"
    written(tmp_path, f"{POLICY}\n\nopen({str(marker)!r}, 'a').close()\n")
    (tmp_path / "s.yaml").write_text("base: quickstart\npolicies: [{kind: server_only}, {kind: 'mine.py:Mine'}]\n")
    (tmp_path / "sweep.yaml").write_text(
        "name: s\nbase: s.yaml\nset: {workload.n_requests: 30}\nsweep: {seeds: {n: 2}}\n"
        "compare: [{metric: ttft_mean_s, policy: Mine}]\n"
    )
    run, sweep = str(tmp_path / "run"), str(tmp_path / "sweep")
    small = [part for text in SMALL for part in ("--set", text)]
    assert main(["run", str(tmp_path / "s.yaml"), *small, "--out", run]) == 0
    assert main(["sweep", str(tmp_path / "sweep.yaml"), "--executor", "serial", "--out", sweep]) == 0
    assert marker.exists()
    marker.unlink()
    written(tmp_path, (tmp_path / "mine.py").read_text() + "\n")  # nothing of it is known to this process any more
    for command in (
        ["report", run],
        ["report", sweep],
        ["diff", run, run],
        ["diff", sweep, sweep],
        ["table", run],
        ["table", sweep],
        ["plot", sweep, "--y", "ttft_mean_s", "--to", str(tmp_path / "plot.png")],
        ["sweep", "status", sweep],
        ["sweep", "collect", sweep],
        ["sweep", "clean", sweep, "--stale"],
    ):
        assert main(command) in {0, 1}, command
    load_results(run)
    assert not marker.exists()
    held = load_scenario(Path(run) / "config.yaml", runs_own=False)
    assert not marker.exists()
    with pytest.raises(UserError, match="was not imported"):
        run_id(load_scenario({**as_other(tmp_path / "x")}, runs_own=False))
    assert held.policies[1].kind.endswith("mine.py:Mine")


def test_whoever_reads_a_stored_scenario_says_that_its_code_is_not_to_be_run() -> None:
    lines = [line for path in Path(discosim.__file__).parent.rglob("*.py") for line in path.read_text().splitlines()]
    stored = [line.strip() for line in lines if "load_scenario(" in line and "config.yaml" in line]
    assert stored
    assert all("runs_own=False" in line for line in stored)


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


def test_the_folder_of_a_run_with_objects_holds_their_text_and_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"Cell": Cell, "Policy": Policy, "dataclass": dataclass}.items():  # as in a notebook
        monkeypatch.setattr("__main__." + name, value, raising=False)
    monkeypatch.setattr(Cell, "__module__", "__main__")
    written(tmp_path)
    first = load_scenario("quickstart", overrides=SMALL)
    held = load_own(f"{tmp_path / 'mine.py'}:Mine", Policy)
    of_file = simulate(first, policies={"mine": held(wait_s=0.5)}).write(tmp_path / "file", figures=False)
    of_cell = simulate(first, policies={"cell": Cell(wait_s=0.5)}).write(tmp_path / "cell", figures=False)
    (text,) = (of_cell / "code").iterdir()
    assert "class Cell(Policy)" in text.read_text()
    assert (of_file / "code" / "mine.py").read_text() == POLICY
    again = simulate(load_scenario(of_cell / "config.yaml")).write(tmp_path / "again", figures=False)
    for name in ("requests.parquet", "replications.parquet", "example_tokens.parquet"):
        assert (again / name).read_bytes() == (of_cell / name).read_bytes()
    ids = {json.loads((folder / "run.json").read_text())["run_id"] for folder in (of_file, of_cell, again)}
    assert len(ids) == 2
    assert simulate(first, policies={"cell": Cell(wait_s=0.5)}).write(of_cell, figures=False) == of_cell


@dataclass(kw_only=True)
class Cell(Policy):
    """Ask the service after a while."""

    wait_s: float = 0.0

    def serve(self, session):
        yield session.wait(self.wait_s)
        stream = session.start("server")
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        yield session.finished()


def test_what_was_simulated_is_not_written_beside_other_code_or_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: a user who edited a file, or a number that a class of the notebook uses, before writing the result."""
    written(tmp_path)
    (tmp_path / "s.yaml").write_text("base: quickstart\npolicies: {mine: {kind: 'mine.py:Mine', wait_s: 0.5}}\n")
    of_file = simulate(load_scenario(tmp_path / "s.yaml", overrides=SMALL))
    path = tmp_path / "mine.py"
    path.write_text(path.read_text() + "\nMORE = 1\n")
    load_scenario(tmp_path / "s.yaml", overrides=SMALL)
    with pytest.raises(UserError, match=r"policy code: mine\.py:Mine: has changed since this was simulated"):
        of_file.write(tmp_path / "file", figures=False)
    for name, value in {"Cell": Cell, "Policy": Policy, "dataclass": dataclass}.items():
        monkeypatch.setattr("__main__." + name, value, raising=False)
    monkeypatch.setattr(Cell, "__module__", "__main__")
    object_ = Cell(wait_s=0.5)
    of_cell = simulate(load_scenario("quickstart", overrides=SMALL), policies={"cell": object_})
    object_.wait_s = 0.25
    with pytest.raises(UserError, match=r"policy cell: has changed since this was simulated"):
        of_cell.write(tmp_path / "cell", figures=False)
    object_.wait_s = 0.5
    assert of_cell.write(tmp_path / "cell", figures=False).is_dir()
    assert not (tmp_path / "file").exists()


def test_who_runs_a_configuration_again_is_told_that_its_code_has_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path)
    (tmp_path / "s.yaml").write_text("base: quickstart\npolicies: {mine: {kind: 'mine.py:Mine', wait_s: 0.5}}\n")
    folder = simulate(load_scenario(tmp_path / "s.yaml", overrides=SMALL)).write(tmp_path / "run", figures=False)
    assert changed_since(folder / "config.yaml", load_scenario(folder / "config.yaml")) == []
    assert changed_since(tmp_path / "s.yaml", load_scenario(tmp_path / "s.yaml")) == []
    path = tmp_path / "mine.py"
    path.write_text(path.read_text() + "\nMORE = 1\n")
    assert main(["run", str(folder / "config.yaml"), "--no-figures", "--out", str(tmp_path / "again")]) == 0
    assert "note: policy code: mine.py:Mine has changed since the run beside this" in capsys.readouterr().err


def test_an_object_is_held_to_the_bounds_of_its_options(tmp_path: Path) -> None:
    written(tmp_path)
    held = load_own(f"{tmp_path / 'mine.py'}:Mine", Policy)
    with pytest.raises(UserError, match=r"policy mine\.wait_s: must be >= 0 \(got -1"):
        simulate(load_scenario("quickstart", overrides=SMALL), policies={"mine": held(wait_s=-1.0)})
