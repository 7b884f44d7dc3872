"""The command line: exit codes, one line per mistake, results on stdout only, light start."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from config_samples import SCENARIO, small_world

import discosim
from discosim import cli
from discosim.core.errors import InvariantError


@pytest.fixture(autouse=True)
def _small_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small_world(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SCENARIO, encoding="utf-8")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Run a command that must be refused; return its error lines without the common start."""
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert all(line.startswith("discosim: error: ") for line in lines)
    return [line.removeprefix("discosim: error: ") for line in lines]


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m discosim`` for real."""
    return subprocess.run(
        [sys.executable, "-m", "discosim", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# --- a light start ------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy() -> None:
    program = "import sys; from discosim.cli import build_parser; build_parser(); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {
        "numpy",
        "pandas",
        "scipy",
        "matplotlib",
        "pyarrow",
        "pydantic",
        "simpy",
        "yaml",
        "tqdm",
    }


@pytest.mark.parametrize(
    "verb",
    [
        [],
        ["run"],
        ["sweep"],
        ["sweep", "status"],
        ["diff"],
        ["traces"],
        ["traces", "convert"],
        ["traces", "digest"],
        ["explain"],
        ["explain", "metric"],
        ["schema"],
    ],
)
def test_every_verb_has_help(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([*verb, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {' '.join(['discosim', *verb])}")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"discosim {discosim.__version__}\n"


def test_the_known_verbs_are_those_of_the_parser() -> None:
    text = cli.build_parser().format_help()
    assert all(f"    {verb} " in text for verb in cli.VERBS)


# --- bad usage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: VERB (see `discosim --help`)"),
        (
            ["rnu"],
            f"unknown command 'rnu'; did you mean 'run'? Known: {', '.join(sorted(cli.VERBS))}",
        ),
        (
            ["traces", "lst"],
            (
                "unknown command 'lst'; did you mean 'list'? "
                "Known: check, convert, digest, digest-chunks, digest-device, digest-latency, digest-rtt, fit-engine, "
                "fit-profile, list, show"
            ),
        ),
        (["traces"], "the following arguments are required: ACTION (see `discosim traces --help`)"),
        (["explain", "metrics"], "unknown command 'metrics'; did you mean 'metric'? Known: metric, policy, scheduler"),
        (["run"], "the following arguments are required: CONFIG (see `discosim run --help`)"),
        (
            ["run", "s.yaml", "--seed", "x"],
            "argument --seed: invalid int value: 'x' (see `discosim run --help`)",
        ),
        (
            ["run", "s.yaml", "--tok"],
            "unrecognized arguments: --tok; did you mean '--tokens'? (see `discosim run --help`)",
        ),
        (["traces", "digest"], "traces digest: name the digests to compute, or give --all"),
        (["traces", "digest", "x", "--all"], "traces digest: name the digests to compute, or give --all"),
        (
            ["explain", "policy", "dise"],
            "unknown policy 'dise'; did you mean 'dice'? Known: device_only, dice",
        ),
    ],
)
def test_bad_usage_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, *arguments) == [message]


def test_digests_need_the_raw_traces(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("DISCOSIM_TRACES", raising=False)
    (line,) = refused(capsys, "traces", "digest", "--all")
    assert "set DISCOSIM_TRACES to the folder of the raw traces" in line


def test_an_unknown_metric_gets_a_close_match(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused(capsys, "explain", "metric", "tttf_s")
    assert "did you mean" in line
    assert "ttft_s" in line


def test_an_unknown_digest_gets_a_close_match(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused(capsys, "traces", "show", "phon")
    assert "did you mean 'phone'" in line


# --- bad input ----------------------------------------------------------------------------------------------

BAD_FILES = {
    "unknown key": (
        "name: sample",
        "name: sample\nsed: 1",
        "s.yaml:2:1 sed: unknown key; did you mean 'seed'?",
    ),
    "wrong type": (
        "1e-1",
        "quick",
        "s.yaml:4:41 workload.arrivals.rate_per_s: must be a number > 0 (got text",
    ),
    "negative rate": ("1e-1", "-0.5", "s.yaml:4:41 workload.arrivals.rate_per_s: must be > 0 (got -0.5)"),
    "NaN": ("1e-1", ".nan", "s.yaml:4:41 workload.arrivals.rate_per_s: must be a finite number (got nan)"),
    "unknown policy": (
        "kind: dice",
        "kind: dise",
        "s.yaml:19:11 policies[1].kind: unknown kind 'dise'; did you",
    ),
    "unknown digest": (
        "digest: service",
        "digest: servce",
        "s.yaml:13:11 server.digest: unknown latency digest 'se",
    ),
    "budget": ("budget: 0.5", "budget: 1.01", "s.yaml:21:13 policies[1].budget: must be <= 1 (got 1.01)"),
    "duplicate key": (
        "name: sample",
        "name: sample\nname: x",
        "s.yaml:2:1 name: duplicate key, first given in line",
    ),
    "duplicate name": (
        "name: Dice-0.5",
        "name: device_only",
        "s.yaml:20:11 policies[1].name: the name 'device_on",
    ),
    "baseline": (
        "name: sample",
        "name: sample\nbaseline: x",
        "s.yaml:2:11 baseline: names no policy of this scen",
    ),
    "number as text": (
        "1e-1",
        "'1e-1'",
        "s.yaml:4:41 workload.arrivals.rate_per_s: must be a number > 0 (got text",
    ),
    "no YAML": ("name: sample", "name: [", "s.yaml:3:7: not valid YAML: while parsing a flow sequence"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_input_is_one_line_and_exit_code_2(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, start = BAD_FILES[case]
    assert SCENARIO.count(old) == 1
    Path("s.yaml").write_text(SCENARIO.replace(old, new), encoding="utf-8")
    (line,) = refused(capsys, "run", "s.yaml")
    assert line.startswith(start)
    assert not Path("results").exists()


def test_several_mistakes_are_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.yaml").write_text(SCENARIO.replace("1e-1", "-1").replace("5E-6", "-1"), encoding="utf-8")
    lines = refused(capsys, "run", "s.yaml", "--set", "sed=3", "--seed=-4")
    assert sorted(line.partition(": ")[0] for line in lines) == [
        "--seed -4 seed",
        "--set sed=3 sed",
        "s.yaml:16:28 cost.exchange_rate_usd_per_j",
        "s.yaml:4:41 workload.arrivals.rate_per_s",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.yaml", None, "none.yaml: no such file"),
        ("empty.yaml", b"", "empty.yaml: is empty; expected a mapping of keys to values"),
        ("list.yaml", b"- 1\n", "list.yaml:1:1: must be a mapping of keys to values (got a list)"),
        ("latin.yaml", b"name: caf\xe9\n", "latin.yaml:1: is not UTF-8 text"),
        ("twice.yaml", b"a: 1\na: 2\n", "twice.yaml:2:1 a: duplicate key, first given in line 1"),
    ],
)
def test_end_to_end_refusals(name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    done = in_a_process("run", name)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"discosim: error: {message}\n")


# --- what verbs do ------------------------------------------------------------------------------------------


def test_run_hands_the_scenario_over_and_prints_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []
    drawn: list[Path] = []

    def execute_to_folder(scenario: object, out: Path, **options: object) -> types.SimpleNamespace:
        calls.append((scenario, out, options))
        return types.SimpleNamespace(folder=out)

    monkeypatch.setattr("discosim.report.text.render", lambda result, columns: f"table of {result.folder}")
    monkeypatch.setattr("discosim.report.figures.draw_all", drawn.append)
    monkeypatch.setattr("discosim.runs.execute_to_folder", execute_to_folder, raising=False)
    command = [
        "run",
        "s.yaml",
        "--set",
        "name=new name",
        "--seed",
        "5",
        "--out",
        "there",
        "--tokens",
        "--force",
    ]
    assert cli.main(command) == 0
    ((scenario, out, options),) = calls
    assert (scenario.name, scenario.seed, out) == ("new name", 5, Path("there"))
    assert options == {
        "tokens": True,
        "force": True,
        "progress": False,
        "command": "discosim run s.yaml --set 'name=new name' --seed 5 --out there --tokens --force",
    }
    assert drawn == [Path("there")]
    assert capsys.readouterr().out == "table of there\n"
    assert cli.main([*command, "--no-figures"]) == 0
    assert drawn == [Path("there")]


def test_traces_list_and_show_speak_of_the_shipped_digests() -> None:
    listed = in_a_process("traces", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    kinds_and_names = [line.split()[:2] for line in listed.stdout.splitlines()]
    assert ["workload", "azure-conv"] in kinds_and_names
    assert {kind for kind, _ in kinds_and_names} == {
        "workload",
        "clients",
        "latency",
        "rtt",
        "device",
        "engine",
        "chunks",
        "quality",
    }
    shown = in_a_process("traces", "show", "azure-conv")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "sha256" in shown.stdout


def test_traces_check_reads_a_file_and_refuses_a_broken_one() -> None:
    Path("requests.jsonl").write_text('{"arrival_s": 0, "prompt_tok": 1, "output_tok": 2}\n', encoding="utf-8")
    done = in_a_process("traces", "check", "requests.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert "prompt_tok" in done.stdout
    Path("requests.jsonl").write_text('{"arrival_s": 0, "prompt_tok": 1, "output_tok": -2}\n', encoding="utf-8")
    done = in_a_process("traces", "check", "requests.jsonl")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("discosim: error: requests.jsonl")


def test_explain_lists_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "metric"]) == 0
    assert any(line.startswith("ttft_s ") for line in capsys.readouterr().out.splitlines())
    assert cli.main(["explain", "policy"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["device_only", "dice"]


def test_explain_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "policy", "dice"]) == 0
    assert capsys.readouterr().out.startswith("dice: Throw a die.\n")


def test_schema_prints_json_or_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert capsys.readouterr().out.startswith('{\n  "$schema": "http://json-schema.org/draft-07/schema#"')
    assert cli.main(["schema", "--reference"]) == 0
    assert "\npolicies:\n" in capsys.readouterr().out


# --- interruptions and bugs ---------------------------------------------------------------------------------


def raising(error: BaseException) -> Any:
    """Return a verb that raises."""

    def verb(_options: object) -> None:
        raise error

    return verb


def test_an_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "_run", raising(KeyboardInterrupt()))
    assert cli.main(["run", "s.yaml"]) == 130
    assert capsys.readouterr().err == "discosim: interrupted\n"


@pytest.mark.parametrize("error", [InvariantError("INV-1"), ZeroDivisionError()])
def test_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(cli, "_run", raising(error))
    with pytest.raises(type(error)):
        cli.main(["run", "s.yaml"])


def test_a_closed_pipe_is_silent() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "discosim", "explain", "metric"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        message = process.stderr.read()
    assert (process.returncode, message) == (141, b"")
