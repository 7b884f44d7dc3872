"""Files that configurations name: relative to what names them, at any depth; the command line to where one stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discosim.cli import main
from discosim.config import dump_scenario, load_scenario
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.sweep.plan import load_plan
from discosim.traces.catalogue import load_digest
from discosim.traces.digest_file import write_own_digest

REST = """\
devices: [{profile: snapdragon-8-elite-llama-3.2-3b}]
cost: {exchange_rate_usd_per_j: 0}
policies: [{kind: server_only}]
"""
PRICES = "prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 1}"
WORKLOAD = "workload: {kind: replay, file: mine.jsonl}\n"
GENERATED = (
    "workload: {kind: generate, arrivals: {kind: poisson, rate_per_s: 1}, "
    "lengths: {kind: constant, prompt_tok: 5, output_tok: 5}}\n"
)
SERVER = f"server: {{kind: replay, digest: openrouter-deepseek-v3.2, {PRICES}}}\n"
ENGINE = f"server: {{kind: engine, iterations: {{kind: file, file: mine.json}}, {PRICES}}}\n"
OWN_DIGEST = f"server: {{kind: replay, digest_file: mine.json, {PRICES}}}\n"
SERIES = f"server: {{kind: replay, series: mine.jsonl, {PRICES}}}\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with `base`, `sweeps` and `cwd`, each with files of the same names and of other content."""
    for i, name in enumerate(("base", "sweeps", "cwd")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine.jsonl").write_text(f'{{"arrival_s": 0, "prompt_tok": {i + 1}, "output_tok": 5}}\n')
    for name, digest, kind in (("base", "llama2-70b-a100-tp4", "engine"), ("sweeps", "opt-66b-a100-tp4", "engine")):
        write_own_digest(load_digest(digest, kind), tmp_path / name / "mine.json")
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def base(place: Path, text: str, name: str = "base/base.yaml") -> Path:
    """Write a scenario."""
    (place / name).write_text(f"name: base\n{text}{REST}")
    return place / name


def swept(place: Path, rest: str, **options: Any) -> list[Scenario]:
    """Return the points of a sweep over the base."""
    path = place / "sweeps" / "s.yaml"
    path.write_text(f"name: s\n{rest}")
    return [point.scenario for point in load_plan(path, **options).points]


def file_of(scenario: Scenario) -> Path:
    """Return the one file that a scenario names."""
    server: Any = scenario.server
    held = (
        getattr(scenario.workload, "file", None),
        getattr(server, "digest_file", None),
        getattr(server, "series", None),
    )
    (name,) = filter(None, (*held, getattr(getattr(server, "iterations", None), "file", None)))
    return Path(name)


BASE = "base: ../base/base.yaml\n"


@pytest.mark.parametrize(("text", "name"), [(WORKLOAD + SERVER, "mine.jsonl"), (GENERATED + ENGINE, "mine.json")])
def test_what_the_base_names_lies_beside_the_base(text: str, name: str, place: Path) -> None:
    base(place, text)
    for rest in ("", "set: {reader.pacer: false}\n", "sweep: {grid: {reader.pacer: [true, false]}}\n"):
        assert {file_of(scenario) for scenario in swept(place, BASE + rest)} == {place / "base" / name}


def test_a_change_beside_a_file_does_not_move_it(place: Path) -> None:
    base(place, WORKLOAD + SERVER)
    (scenario,) = swept(place, BASE + "set: {workload.time_scale: 2, workload.n_users: 3}\n")
    assert file_of(scenario) == place / "base" / "mine.jsonl"
    base(place, GENERATED + ENGINE)
    (scenario,) = swept(place, BASE + "set: {server.n_replicas: 2}\n")
    assert file_of(scenario) == place / "base" / "mine.json"


REPLAY = "{kind: replay, file: mine.jsonl}"
FILE = "{kind: file, file: mine.json}"
WAYS = {
    "set": "set: {workload.file: mine.jsonl}\n",
    "set of a section": f"set: {{workload: {REPLAY}}}\n",
    "grid": "sweep: {grid: {workload.file: [mine.jsonl]}}\n",
    "grid of a section": f"sweep: {{grid: {{workload: [{REPLAY}]}}}}\n",
    "zip": "sweep: {zip: {workload.file: [mine.jsonl], reader.pacer: [true]}}\n",
    "profile": "profiles: {p: {set: {workload.file: mine.jsonl}}}\n",
    "profile's grid": (
        "sweep: {grid: {workload.file: [nowhere]}}\nprofiles: {p: {grid: {workload.file: [mine.jsonl]}}}\n"
    ),
    "profile's zip": (
        "sweep: {zip: {workload.file: [nowhere, here]}}\nprofiles: {p: {zip: {workload.file: [mine.jsonl]}}}\n"
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_the_sweep_names_lies_beside_the_sweep(way: str, place: Path) -> None:
    base(place, WORKLOAD + SERVER)
    (scenario,) = swept(place, BASE + way, profile="p" if "profiles" in way else "")
    assert file_of(scenario) == place / "sweeps" / "mine.jsonl"


@pytest.mark.parametrize("path", ["server.iterations.file: mine.json", f"server.iterations: {FILE}"])
def test_at_any_depth(path: str, place: Path) -> None:
    base(place, GENERATED + ENGINE)
    (scenario,) = swept(place, f"{BASE}set: {{{path}}}\n")
    assert file_of(scenario) == place / "sweeps" / "mine.json"
    whole = f"{{kind: engine, iterations: {FILE}, {PRICES}}}"
    (scenario,) = swept(place, f"{BASE}sweep: {{grid: {{server: [{whole}]}}}}\n")
    assert file_of(scenario) == place / "sweeps" / "mine.json"


def test_a_scenario_inside_the_sweep_is_the_sweeps(place: Path) -> None:
    inside = "".join(f"  {line}\n" for line in f"name: base\n{WORKLOAD}{SERVER}{REST}".splitlines())
    (scenario,) = swept(place, f"base:\n{inside}")
    assert file_of(scenario) == place / "sweeps" / "mine.jsonl"


def test_a_base_lies_beside_the_sweep_and_nowhere_else(place: Path) -> None:
    base(place, WORKLOAD + SERVER, "cwd/base.yaml")
    with pytest.raises(
        UserError, match=r"no such file.*; it is relative to the sweep's folder, not to the working dir"
    ):
        swept(place, "base: base.yaml\n")
    base(place, WORKLOAD + SERVER, "sweeps/base.yaml")
    (scenario,) = swept(place, "base: base.yaml\n")
    assert file_of(scenario) == place / "sweeps" / "mine.jsonl"


def test_a_missing_file_says_where_it_was_looked_for(place: Path) -> None:
    base(place, WORKLOAD.replace("mine", "mime") + SERVER)
    wanted = rf"base\.yaml:2:32 workload\.file: no such file: {place}/base/mime\.jsonl; did you mean 'mine\.jsonl'\?"
    with pytest.raises(UserError, match=wanted):
        swept(place, BASE)


@pytest.mark.parametrize("text", [WORKLOAD + SERVER, GENERATED + ENGINE, GENERATED + SERIES])
def test_a_config_of_a_run_is_the_same_from_anywhere(text: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = load_scenario(base(place, text))
    (place / "cwd" / "config.yaml").write_text(dump_scenario(scenario))
    monkeypatch.chdir(place / "sweeps")
    assert load_scenario("../cwd/config.yaml") == scenario


def test_a_mapping_has_the_working_directory(place: Path) -> None:
    base(place, WORKLOAD + SERVER, "cwd/base.yaml")
    assert file_of(load_scenario("base.yaml")) == place / "cwd" / "mine.jsonl"


def test_a_configuration_that_is_a_link_has_the_folder_of_its_file(place: Path) -> None:
    base(place, WORKLOAD + SERVER)
    (place / "cwd" / "link.yaml").symlink_to(place / "base" / "base.yaml")
    assert file_of(load_scenario("link.yaml")) == place / "base" / "mine.jsonl"


# --- the command line -----------------------------------------------------------------------------------------


def by_scenario(place: Path, *overrides: str) -> Scenario:
    return load_scenario(place / "base" / "base.yaml", overrides=overrides)


def by_sweep(place: Path, *overrides: str) -> Scenario:
    (scenario,) = swept(place, BASE, overrides=overrides)
    return scenario


@pytest.mark.parametrize(("load", "config"), [(by_scenario, "base"), (by_sweep, "sweeps")])
@pytest.mark.parametrize(
    "override",
    ["workload.file=@", "workload={kind: replay, file: @}", f"server={{kind: replay, series: @, {PRICES}}}"],
)
def test_an_override_names_a_file_as_the_shell_does(
    load: Callable[..., Scenario], config: str, override: str, place: Path
) -> None:
    base(place, (GENERATED if "series" in override else WORKLOAD) + SERVER)
    (place / "cwd" / "here.jsonl").write_text("{}\n")
    assert file_of(load(place, override.replace("@", "here.jsonl"))) == place / "cwd" / "here.jsonl"
    (place / config / "there.jsonl").write_text("{}\n")
    assert file_of(load(place, override.replace("@", "there.jsonl"))) == place / config / "there.jsonl"
    (place / config / "here.jsonl").write_text("{}\n")
    assert file_of(load(place, override.replace("@", "here.jsonl"))) == place / "cwd" / "here.jsonl", (
        "they hold the same"
    )
    (place / config / "here.jsonl").write_text("{ }\n")
    with pytest.raises(UserError) as caught:
        load(place, override.replace("@", "here.jsonl"))
    (line,) = str(caught.value).splitlines()
    assert "may mean two files that differ" in line
    assert str(place / "cwd" / "here.jsonl") in line
    assert str(place / config / "here.jsonl") in line
    assert (
        file_of(load(place, override.replace("@", str(place / config / "here.jsonl")))) == place / config / "here.jsonl"
    )
    with pytest.raises(UserError, match=f"no such file: {place}/cwd/no.jsonl or {place}/{config}/no.jsonl"):
        load(place, override.replace("@", "no.jsonl"))


def test_a_sweep_override_does_not_move_what_the_files_name(place: Path) -> None:
    base(place, WORKLOAD + SERVER)
    assert file_of(by_sweep(place, "workload.n_users=7")) == place / "base" / "mine.jsonl"


def test_a_shipped_scenario_takes_a_file_of_the_working_directory(place: Path) -> None:
    assert file_of(load_scenario("quickstart", overrides=[f"workload={REPLAY}"])) == place / "cwd" / "mine.jsonl"


def test_a_folder_of_the_name_of_a_shipped_scenario_does_not_hide_it(place: Path) -> None:
    (place / "cwd" / "quickstart").mkdir()
    assert load_scenario("quickstart").name == "quickstart"
    with pytest.raises(UserError, match="is a folder, not a YAML file"):
        load_scenario("./quickstart/../quickstart")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("'.'", "is a folder, not a file"),
        ("x" * 300, "is no file name"),
        ('"a\\0b"', "is no file name"),
        ("pipe", "is a pipe, which can be read only once"),
    ],
)
def test_what_is_no_file_is_refused(name: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import os

    os.mkfifo(place / "cwd" / "pipe")
    assert main(["run", "quickstart", "--set", f"workload={{kind: replay, file: {name}}}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
