"""What a newcomer gets wrong: each mistake is one line that helps, and leaves nothing behind."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from discosim import cli
from discosim.cli_help import COLUMNS
from discosim.traces.catalogue import list_configs

SCENARIO = """\
name: mine
replications: 2
workload:
  kind: generate
  n_requests: 5
  arrivals: {kind: poisson, rate_per_s: 2}
  lengths: {kind: constant, prompt_tok: 20, output_tok: 20}
devices: [{profile: snapdragon-8-elite-llama-3.2-1b}]
server:
  kind: replay
  digest: openrouter-gpt-5.4
  prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}
cost: {exchange_rate_usd_per_j: 1.0e-7}
policies: [{kind: server_only}, {kind: disco, budget: 0.3}]
"""
SWEEP = """\
name: many
base: mine.yaml
sweep:
  grid: {policies.disco.budget: [0.2, 0.6]}
  seeds: {n: 2}
"""
TRACE = "arrival_s,prompt_tok,output_tok\n0,10,5\n1,x,5\n"
REPLAY = SCENARIO[: SCENARIO.index("  kind: generate")] + "  kind: replay\n  file: t.csv\n"
REPLAY += SCENARIO[SCENARIO.index("devices") :]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("mine.yaml", SCENARIO)
    write("many.yaml", SWEEP)
    write("t.csv", TRACE)


def write(name: str, text: str, *changes: tuple[str, str]) -> None:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    Path(name).write_text(text, encoding="utf-8")


def refused(capsys: pytest.CaptureFixture[str], command: str) -> str:
    """Run a command that must be refused in one line and change nothing; return the line."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    folders = {path for path in Path().rglob("*") if path.is_dir()}
    assert cli.main(shlex.split(command)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    assert {path for path in Path().rglob("*") if path.is_dir()} == folders
    (line,) = printed.err.splitlines()
    return line.removeprefix("discosim: error: ")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("run mien.yaml", "mien.yaml: no such file; did you mean 'mine.yaml'?"),
        ("run ''", "expected a YAML file or the name of a shipped configuration (got empty text)"),
        ("run pice.yaml", "pice.yaml: no such file; the shipped configuration goes by its name, pice"),
        ("run budget", "'budget' is a sweep; run it with `discosim sweep budget`"),
        ("run many.yaml", "many.yaml: is a sweep, not a scenario; run it with `discosim sweep many.yaml`"),
        (
            "run mine.yaml --sed 3",
            "unrecognized arguments: --sed 3; did you mean '--seed'? (see `discosim run --help`)",
        ),
        ("run mine.yaml x", "unrecognized arguments: x (see `discosim run --help`)"),
        ("run mine.yaml --set devices[1].share=2", "--set devices[1].share=2: devices has 1 item, counted from 0"),
        ("run mine.yaml --trace-policy disco", "--trace-policy: has a meaning only beside --trace-events"),
        (
            "run mine.yaml --trace-events t.json --trace-policy dico",
            "--trace-policy: the scenario has no policy 'dico'; did you mean 'disco'? Known: disco, server_only",
        ),
        ("run mine.yaml --trace-events .", ".: is a folder; name a file"),
        ("run mine.yaml --trace-events no/t.json", "no/t.json: cannot be written (no folder no)"),
        ("sweep quickstart", "'quickstart' is a scenario, not a sweep; run it with `discosim run quickstart`"),
        ("sweep mine.yaml", "mine.yaml: is a scenario, not a sweep; run it with `discosim run mine.yaml`"),
        (
            "sweep many.yaml --set seed=4",
            "--set seed=4: has no effect: seeds stand in sweep.seeds",
        ),
        (f"run mine.yaml --out {'x' * 300}", f"{'x' * 80}...: cannot be used (File name too long)"),
        (f"run {'x' * 300}", f"{'x' * 80}...: cannot be used (File name too long)"),
        (
            "run mine.yaml --set workload.n_requests=2e9",
            "--set workload.n_requests=2e9 workload.n_requests: must be <= 1,000,000,000 (got 2000000000)",
        ),
        ("sweep many.yaml --profile quick", "many.yaml: unknown profile 'quick'; this sweep has none"),
        ("sweep statsu results/many", "unknown command 'sweep statsu'; did you mean 'status'?"),
        (
            "sweep many.yaml --executor lcal",
            "--executor: unknown executor 'lcal'; did you mean 'local'? Known: dask, local, ray, serial",
        ),
        ("traces check nt.csv", "nt.csv: no such file; did you mean 't.csv'?"),
        ("traces digest-latency t.csv --out t.csv", "t.csv: would replace what it reads; give another name"),
        (
            "traces fit-engine t.csv --kv-tok 0 --kv-bytes-per-tok 1 --max-context-tok 1 --out o.json",
            "--kv-tok: must be a finite number > 0 (got 0)",
        ),
    ],
)
def test_commands(command: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, command) == message


def test_a_bad_row_of_a_trace_leaves_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    write("replay.yaml", REPLAY)
    line = refused(capsys, "run replay.yaml")
    assert line.endswith("t.csv row 3 column prompt_tok: expected a whole number of at least 0, got 'x'")


def test_a_result_folder_keeps_its_parents(capsys: pytest.CaptureFixture[str]) -> None:
    """Folders made on the way stay where the run went well, and the next refusal leaves them alone."""
    assert cli.main(["run", "mine.yaml", "--out", "a/b"]) == 0
    assert Path("a/b/run.json").is_file()
    capsys.readouterr()
    write("replay.yaml", REPLAY)
    refused(capsys, "run replay.yaml --out a/c/d")


def test_a_damaged_result_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for out in ("a", "b"):
        assert cli.main(["run", "mine.yaml", "--out", out]) == 0
    capsys.readouterr()
    Path("a/run.json").write_text("[]", encoding="utf-8")
    assert refused(capsys, "diff a b").startswith("a/run.json: does not hold what a run writes there (")


def test_a_misspelt_path_of_an_axis_is_one_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    write("many.yaml", SWEEP, ("disco.budget", "disco.bugdet"))
    line = refused(capsys, "sweep many.yaml")
    assert line.startswith("many.yaml:4:")
    assert "unknown key; did you mean 'budget'?" in line


def test_every_wrong_value_of_an_axis_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    write("many.yaml", SWEEP, ("[0.2, 0.6]", "[2, 6]"))
    assert cli.main(["sweep", "many.yaml"]) == 2
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "must be <= 1 (got 2)",
        "must be <= 1 (got 6)",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("own.json", "x", "not a JSON digest"),
        ("own.json", "[]", "expected an object"),
        ("own.json", '{"nmae": 1}', "unknown key 'nmae'; did you mean 'name'?"),
    ],
)
def test_a_bad_digest_file_is_told_where_the_scenario_names_it(
    name: str, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(name, text)
    write("mine.yaml", SCENARIO, ("digest: openrouter-gpt-5.4", f"digest_file: {name}"))
    line = refused(capsys, "run mine.yaml")
    assert line.startswith("mine.yaml:11:16 server.digest_file: ")
    assert message in line
    assert line.endswith("make one with `discosim traces digest-latency`")


@pytest.mark.parametrize(
    ("digest", "problem"),
    [
        ("starlink-lagos", "digest 'starlink-lagos' is of kind rtt and has no lengths; Known: azure-code, azure-conv"),
        ("azur-conv", "unknown digest of lengths 'azur-conv'; did you mean 'azure-conv'? Known: azure-code"),
    ],
)
def test_lengths_name_the_digests_that_hold_them(digest: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        "mine.yaml",
        SCENARIO,
        ("{kind: constant, prompt_tok: 20, output_tok: 20}", f"{{kind: digest, digest: {digest}}}"),
    )
    assert problem in refused(capsys, "run mine.yaml")


def test_a_table_with_a_misspelt_column_says_what_a_table_needs(capsys: pytest.CaptureFixture[str]) -> None:
    write("t.csv", TRACE, ("prompt_tok", "promt_tok"))
    line = refused(capsys, "traces check t.csv")
    assert "a table with the columns arrival_s, promt_tok, output_tok" in line
    assert "the nearest format is native, of which it lacks prompt_tok" in line


# --- help -------------------------------------------------------------------------------------------------------


def verbs(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Give every parser below one, and itself."""
    yield parser
    for action in parser._actions:
        for inner in action.choices.values() if isinstance(action.choices, dict) else ():
            yield from verbs(inner)


VERBS = {parser.prog: parser for parser in verbs(cli.build_parser())}


@pytest.mark.parametrize("verb", [name for name in VERBS if name != "discosim"])
def test_every_help_says_what_it_does_and_shows_commands_that_are_understood(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    parser = VERBS[verb]
    text = parser.format_help()
    assert parser.description
    assert all(len(line) <= COLUMNS + 1 for line in text.splitlines())
    described = [action for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]
    assert [action.dest for action in described if not action.help] == []
    epilog = (parser.epilog or "").replace("\\\n", " ")
    shown = [line.strip() for line in epilog.splitlines() if line.startswith("  discosim ")]
    assert shown
    for line in shown:
        _, *arguments = shlex.split(line.partition(">")[0])
        assert callable(cli.build_parser().parse_args(arguments).call)


def test_the_help_of_run_names_what_is_shipped() -> None:
    named = VERBS["discosim run"].format_help().partition("shipped:\n  ")[2].partition("\n")[0].split(", ")
    assert sorted([*named, "reference"]) == list_configs()


def test_a_missing_section_says_what_belongs_into_it(capsys: pytest.CaptureFixture[str]) -> None:
    write("mine.yaml", SCENARIO, ("cost: {exchange_rate_usd_per_j: 1.0e-7}\n", ""))
    assert refused(capsys, "run mine.yaml").endswith(
        "cost: is missing. Exchange rate. A section with exchange_rate_usd_per_j."
    )
