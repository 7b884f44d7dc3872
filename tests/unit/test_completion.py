"""Shell completion in a real bash: every verb and option of the parsers, names and files, and nothing heavy."""

from __future__ import annotations

import argparse
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from discosim import cli
from discosim.cli_completion import KINDS, SHELLS, names_of, nodes_of
from discosim.metrics.definitions import DEFINITIONS
from discosim.traces.catalogue import list_configs, list_digests, list_sweeps

BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="there is no bash")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the completion and a `discosim` to be found on the path."""
    place = tmp_path_factory.mktemp("shell")
    done = subprocess.run(
        [sys.executable, "-m", "discosim", "completion", "bash"], capture_output=True, text=True, check=True
    )
    (place / "completion.bash").write_text(done.stdout)
    program = place / "discosim"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m discosim "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (place / "here").mkdir()
    (place / "here" / "quick trace.jsonl").touch()
    (place / "here" / "quick.yaml").touch()
    return place


def completed(script: Path, *lines: list[str]) -> list[list[str]]:
    """Return what bash offers for the last word of each line, as it hears it: in COMP_WORDS and COMP_CWORD."""
    ask = ['source "$1/completion.bash"; cd "$1/here"; PATH="$1:$PATH"; compopt() { :; }']
    for line in lines:
        words = " ".join(f"'{word}'" for word in line)
        heard = f"COMP_WORDS=(discosim {words}); COMP_CWORD={len(line)}; _discosim"
        ask.append(f"{heard}; printf '%s\\n' \"${{COMPREPLY[@]}}\" --end--")
    done = subprocess.run(
        [str(BASH), "-c", "\n".join(ask), "bash", str(script)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    found = done.stdout.split("--end--\n")[:-1]
    return [[word for word in part.splitlines() if word] for part in found]


@needs_bash
def test_bash_knows_who_completes(script: Path) -> None:
    ask = 'source "$1/completion.bash"; complete -p discosim'
    done = subprocess.run([str(BASH), "-c", ask, "bash", str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "complete -F _discosim discosim\n"


@needs_bash
def test_every_verb_and_option_of_the_parsers_is_offered(script: Path) -> None:
    nodes = list(nodes_of(cli.build_parser()))
    paths = {node.path for node in nodes}
    assert {"", "run", "sweep", "sweep status", "traces check", "engine calibrate", "table"} <= paths
    lines = [[*node.path.split(), ""] for node in nodes if node.words]
    for node, offered in zip([node for node in nodes if node.words], completed(script, *lines), strict=True):
        assert set(node.words) <= set(offered), node.path
    lines = [[*node.path.split(), "--"] for node in nodes]
    for node, offered in zip(nodes, completed(script, *lines), strict=True):
        assert sorted(offered) == sorted(option for option in node.options if option.startswith("--")), node.path
    assert set(completed(script, [""])[0]) == set(cli.VERBS)


@needs_bash
@pytest.mark.long
def test_values_are_offered_by_what_they_are(script: Path) -> None:
    one, two, three, four, five, six, seven = completed(
        script,
        ["run", "quick"],
        ["table", "x", "--to", ""],
        ["run", "quickstart", "--columns", "ttft_mean_s,goodp"],
        ["explain", "metric", "qoe_andes_c"],
        ["sweep", "budget", "--executor", "=", "l"],
        ["run", "quickstart", "--seed", ""],
        ["traces", "check", "quick"],
    )
    assert set(one) == {"quickstart", "quick.yaml", "quick trace.jsonl"}
    assert two == ["text", "json", "latex", "csv"]
    assert three == ["ttft_mean_s,goodput_rps"]
    assert four == ["qoe_andes_code", "qoe_andes_code_mean"]
    assert five == ["local"]
    assert six == []
    assert set(seven) == {"quick.yaml", "quick trace.jsonl"}


def test_names_are_those_of_the_catalogue() -> None:
    assert names_of("config") == [name for name in list_configs() if name != "reference"]
    assert names_of("sweep") == list_sweeps()
    assert names_of("digest") == sorted({entry.name for entry in list_digests()})
    assert names_of("metric") == list(DEFINITIONS)
    assert {"disco", "server_only"} <= set(names_of("policy"))
    assert all(names_of(kind) for kind in KINDS)


def test_scripts_and_names_of_files_import_nothing_heavy() -> None:
    program = (
        "import sys; from discosim.cli import main; main(['completion', 'bash']); main(['completion', 'fish']);"
        "main(['completion', '--names', 'config']); main(['completion', '--names', 'digest']);"
        "print('loaded', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "discosim" in loaded
    assert not loaded & {"numpy", "pandas", "scipy", "matplotlib", "pyarrow", "pydantic", "simpy", "yaml", "tqdm"}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_every_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("no-figures", "trace-events", "calibrate", "status", "holdout"):
        assert word in script


@pytest.mark.parametrize(("arguments", "message"), [([], "required: SHELL"), (["csh"], "invalid choice: 'csh'")])
def test_other_shells_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_parser_of_any_kind_is_read() -> None:
    parser = argparse.ArgumentParser(prog="x", add_help=False)
    parser.add_argument("--file", metavar="FILE", type=Path, help="100 %% mine")
    parser.add_argument("--quiet", action="store_true")
    (node,) = nodes_of(parser)
    assert node.options == {"--file": ("files", "100 % mine"), "--quiet": ("", "")}
