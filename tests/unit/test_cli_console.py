"""What is printed: in the encoding of the terminal, with nothing that steers it, from any thread."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from discosim import cli
from discosim.core.printable import encodable, for_stream, printable

PACKAGE = Path(cli.__file__).parent
EVIL = "\x1b[31mred\x1b[0m \x07 \u202eltr\u202c \u200b\ufeff\u2066 \x9b31m \r\x08 \u2028 \x00"
SCENARIO = """\
name: "ünï 名前"
replications: 2
workload:
  kind: generate
  n_requests: 20
  n_users: 20
  arrivals: {kind: poisson, rate_per_s: 1}
  lengths: {kind: constant, prompt_tok: 100, output_tok: 50}
devices: [{profile: snapdragon-8-elite-llama-3.2-3b}]
server: {kind: replay, digest: openrouter-deepseek-v3.2, prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 1, source: "SOURCE"}}
cost: {exchange_rate_usd_per_j: 0}
policies: [{kind: server_only, name: "sérvé→"}, {kind: disco, name: 名前, constraint: server, budget: 0.5}]
"""  # noqa: E501


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def is_harmless(text: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in text)


# --- characters -----------------------------------------------------------------------------------------------


def test_what_steers_a_terminal_is_written_out() -> None:
    shown = printable(f"a{EVIL}b")
    assert is_harmless(shown)
    assert shown.startswith(r"a\x1b[31mred\x1b[0m \x07 \u202eltr\u202c \u200b\ufeff\u2066 \x9b31m \r\x08 \u2028 \x00b")
    assert printable(shown) == shown
    for kept in ("plain", "±−→ 名前 é 🤖", "two\nlines\tand a tab", "back\\slash"):
        assert printable(kept) == kept


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "1±2 → é 名"),
        ("cp1252", r"1±2 -> é \u540d"),
        ("ascii", r"1+-2 -> \xe9 \u540d"),
        (None, "1±2 → é 名"),
        ("no such encoding", r"1+-2 -> \xe9 \u540d"),
    ],
)
def test_signs_of_ours_have_a_form_in_ascii_and_the_rest_is_escaped(encoding: str | None, shown: str) -> None:
    assert encodable("1±2 → é 名", encoding) == shown


def test_a_name_that_python_took_for_ascii_is_read_as_utf8() -> None:
    """Under LC_ALL=C each byte of a name beyond ASCII arrives as half a surrogate pair."""
    stream = io.StringIO()
    assert for_stream("caf\udcc3\udca9", stream) == "café"
    assert for_stream("caf\udce9", stream) == r"caf\udce9"


def test_one_module_prints() -> None:
    """Whatever is printed passes one place; what writes a page of the documentation, or compiles, is no command."""
    printing = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "print", "sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write", "sys.stderr.buffer.write",
            }:  # fmt: skip
                printing.add(path.relative_to(PACKAGE).as_posix())
    assert printing == {"__main__.py", "cli_console.py", "kernel/__main__.py", "policies/describe.py"}


# --- what other people's text may hold ------------------------------------------------------------------------


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    assert cli.main(arguments) == code
    out, err = capsys.readouterr()
    assert is_harmless(out + err)
    return out + err


def test_names_and_contents_of_files_steer_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b]0;owned\x07\u202e.csv"
    Path(name).write_text(f"arrival_s,prompt_tok,output_tok,x\x1b[2J\n0,{EVIL[:8]},5\n", encoding="utf-8")
    assert r"\x1b]0;owned\x07\u202e.csv" in printed(capsys, "traces", "check", name, code=2)
    Path(f"{name}.yaml").write_text(f'"a{EVIL.encode("unicode_escape").decode()}": 1\n', encoding="utf-8")
    for arguments in (
        ("run", f"{name}.yaml"),
        ("run", "quickstart", "--set", f"name=a{EVIL[:5]}"),
        ("run", "quickstart", "--set", f"{EVIL[:5]}=1"),
        ("run", "quickstart", "--out", name),
        ("run", "quickstart", f"--{EVIL[:5]}"),
        ("run", EVIL[:5]),
        (EVIL[:5],),
        ("diff", EVIL[:5], EVIL[:5]),
        ("report", EVIL[:5]),
        ("sweep", "status", EVIL[:5]),
        ("explain", "metric", EVIL[:5]),
        ("traces", "show", EVIL[:5]),
        ("traces", "convert", "quickstart", f"{EVIL[:5]}.txt", "--to", "vidur"),
    ):
        assert "\\x1b" in printed(capsys, *arguments, code=2), arguments


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: it takes longer than the rest."""
    monkeypatch.setattr("discosim.report.figures.draw_all", lambda _: [])


@pytest.mark.usefixtures("no_figures")
def test_notes_of_a_run_steer_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    evil = EVIL.replace("\x00", "").encode("unicode_escape").decode()
    Path("s.yaml").write_text(SCENARIO.replace("SOURCE", evil), encoding="utf-8")
    assert r"\x1b[31mred" in printed(capsys, "run", "s.yaml", "--out", "out", code=0)
    printed(capsys, "report", "out", code=0)
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert r"\x1b[31mred" in page
    assert is_harmless(re.sub("[\t\xa0]", "", page))  # a page keeps a number and its unit on one line


# --- encodings ------------------------------------------------------------------------------------------------

LIGHT = {
    "explain metric": 0,
    "traces show azure-conv": 0,
    "traces check ß.json": 0,
    "run --help": 0,
    "run né.yaml": 2,
    "run s.yaml --set naïme=3": 2,
}
RUNS = {
    "run s.yaml --out out": 0,
    "run s.yaml --out dé/out --trace-events té.json": 0,
    "report dé/out": 0,
    "diff out dé/out": 0,
}
RUN_THEM = """\
import shlex, sys, warnings
warnings.filterwarnings("error", category=EncodingWarning, module="discosim")
warnings.filterwarnings("ignore", category=EncodingWarning, module="discosim.runs.identity")  # git speaks ASCII
from discosim.cli import main
encoding = sys.getfilesystemencoding()
for line in open("commands", encoding="utf-8").read().splitlines():
    try:
        code = main([part.encode().decode(encoding, "surrogateescape") for part in shlex.split(line)])
    except SystemExit as stop:
        code = stop.code
    print("==", code, flush=True)
"""


@pytest.mark.parametrize("lines", [LIGHT, pytest.param(RUNS, marks=pytest.mark.long)], ids=["light", "runs"])
@pytest.mark.parametrize(
    "settings",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp1252"}],
    ids=["ascii", "cp1252"],
)
def test_no_encoding_ends_a_command(settings: dict[str, str], lines: dict[str, int]) -> None:
    Path("s.yaml").write_text(SCENARIO, encoding="utf-8")
    Path("commands").write_text("\n".join(lines), encoding="utf-8")
    n = 40
    measured = {"date": "20261101-101010", "backend": "x", "model_id": "模型-日本", "num_prompts": n, "duration": 9.0,
                "completed": n, "input_lens": [100] * n, "output_lens": [3] * n, "ttfts": [0.2] * n,
                "itls": [[0.1, 0.2]] * n, "generated_texts": ["é"] * n, "errors": [""] * n}  # fmt: skip
    Path("ß.json").write_text(json.dumps(measured, ensure_ascii=False), encoding="utf-8")
    Path("dé").mkdir()
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", RUN_THEM],
        env={**os.environ, **settings}, capture_output=True, check=False,
    )  # fmt: skip
    codes = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith(b"==")]
    assert codes == list(lines.values()), done.stderr.decode("latin-1")
    assert b"Traceback" not in done.stderr
    if lines is RUNS:
        assert (b"+-" if "LC_ALL" in settings else b"\xb1") in done.stdout
        for name in ("config.yaml", "summary.json"):
            assert "sérvé→" in Path("out", name).read_text(encoding="utf-8")


# --- threads --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_figures")
def test_commands_work_in_a_thread_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the main thread may say what a signal does."""
    Path("s.yaml").write_text(SCENARIO, encoding="utf-8")
    codes: dict[str, int] = {}

    def work(name: str) -> None:
        codes[name] = cli.main(["run", "s.yaml", "--out", name, "--seed", name])

    for names in (("1", "2"), ("1", "3")):
        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert codes == {"1": 0, "2": 0, "3": 0}
    assert cli.main(["run", "s.yaml", "--out", "1", "--seed", "1"]) == 0
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in Path().iterdir()) == ["1", "2", "3", "s.yaml"]


@pytest.mark.long
def test_threads_draw_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Settings of matplotlib are those of the process; each thread's pictures must be as if it were alone."""
    Path("s.yaml").write_text(SCENARIO, encoding="utf-8")
    threads = [
        threading.Thread(target=cli.main, args=(["run", "s.yaml", "--out", f"{i}", "--seed", "1"],)) for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capsys.readouterr().err == ""
    pictures = [{path.name: path.read_bytes() for path in Path(f"{i}/figures").iterdir()} for i in range(4)]
    assert len(pictures[0]) == 6
    assert all(found == pictures[0] for found in pictures)
