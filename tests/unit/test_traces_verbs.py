"""The verbs of `discosim traces` on pipes, packed files and units that are said."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from discosim import cli, load_scenario
from discosim.core.errors import UserError
from discosim.traces.readers import read_requests

NATIVE = "arrival_s,prompt_tok,output_tok\n0,10,5\n1500,20,6\n"
posix = pytest.mark.skipif(sys.platform == "win32", reason="named pipes of POSIX")


@pytest.fixture
def pipe(tmp_path: Path) -> Callable[[bytes], Path]:
    """Return a function that makes a pipe which gives some bytes once."""

    def made(content: bytes) -> Path:
        path = tmp_path / "given.csv"
        os.mkfifo(path)
        threading.Thread(target=path.write_bytes, args=(content,), daemon=True).start()
        return path

    return made


@posix
def test_check_reads_a_pipe_once(pipe, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["traces", "check", str(pipe(NATIVE.encode()))]) == 0
    facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if len(line.split()) == 2)
    assert (facts["file"], facts["requests"], facts["stored_bytes"]) == ("given.csv", "2", str(len(NATIVE)))


@posix
def test_convert_reads_a_pipe_once_and_errors_name_it(pipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.csv"
    assert cli.main(["traces", "convert", str(pipe(NATIVE.encode())), str(out), "--to", "vidur", "--unit", "ms"]) == 0
    assert read_requests(out).arrival_s.tolist() == [0.0, 1.5]
    capsys.readouterr()
    (tmp_path / "given.csv").unlink()
    given = pipe(NATIVE.replace("20", "x").encode())
    assert cli.main(["traces", "check", str(given)]) == 2
    assert f"{given} row 3 column prompt_tok: expected a whole number" in capsys.readouterr().err


LATENCIES = "ttft_s,tpot_s\n0.5,0.1\n1.5,0.1\n1.0,0.2\n"
ITERATIONS = "phase,batch,tokens,time_s\n" + "".join(
    f"prefill,1,{tok},{0.01 + 1e-4 * tok}\ndecode,{batch},{64 * batch + tok},{0.02 + 1e-3 * batch + 1e-6 * tok}\n"
    for batch, tok in enumerate((100, 300, 350, 900, 1500), 1)
)


@posix
@pytest.mark.parametrize(
    ("verb", "content", "options"),
    [
        ("digest-latency", LATENCIES, ""),
        (
            "fit-engine",
            ITERATIONS,
            "--model m --hardware h --n-gpus 1 --kv-tok 100000 --kv-bytes-per-tok 1e5 --max-context-tok 4096",
        ),
    ],
)
def test_a_digest_of_a_pipe_is_that_of_the_file(pipe, tmp_path: Path, verb: str, content: str, options: str) -> None:
    command = ["traces", verb, "given.csv", *options.split()]
    outs = [tmp_path / "mine.json", tmp_path / "other" / "mine.json"]
    outs[1].parent.mkdir()
    given = pipe(content.encode())
    for out in outs:
        command[2] = str(given)
        assert cli.main([*command, "--out", str(out)]) == 0
        if given.is_fifo():
            given.unlink()
            given.write_text(content)
    assert outs[0].read_bytes() == outs[1].read_bytes()


@posix
def test_a_scenario_refuses_a_pipe_before_it_runs(tmp_path: Path) -> None:
    pipe = tmp_path / "given.csv"
    os.mkfifo(pipe)
    workload = json.dumps({"kind": "replay", "file": str(pipe)})
    with pytest.raises(UserError, match=r"given\.csv is a pipe, which can be read only once; save it to a file"):
        load_scenario("quickstart", overrides=[f"workload={workload}"])


def test_a_unit_is_for_arrivals(write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(NATIVE)
    assert cli.main(["traces", "check", str(path), "--unit", "ms"]) == 0
    assert any(line.split() == ["span_s", "1.5"] for line in capsys.readouterr().out.splitlines())
    assert cli.main(["traces", "check", str(write("num_prefill_tokens,num_decode_tokens\n1,2\n")), "--unit", "ms"]) == 2
    assert "holds lengths; a unit is said for the arrivals of requests" in capsys.readouterr().err
    assert cli.main(["traces", "check", str(write(NATIVE)), "--unit", "min"]) == 2
    assert "unknown unit of time 'min'" in capsys.readouterr().err
    assert cli.main(["traces", "convert", "quickstart", "x.csv", "--to", "vidur", "--unit", "ms"]) == 2
    assert "--unit is for a trace file; a configuration says workload.time_unit" in capsys.readouterr().err


def test_a_time_unit_that_is_none_is_refused_by_the_schema(write) -> None:
    workload = json.dumps({"kind": "replay", "file": str(write(NATIVE)), "time_unit": "sec"})
    with pytest.raises(UserError, match="time_unit: unknown value 'sec'; Known: auto, ms, ns, s, us"):
        load_scenario("quickstart", overrides=[f"workload={workload}"])


@pytest.mark.parametrize("out", ["in.yaml", "in.csv"])
def test_convert_never_replaces_what_it_reads(out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The header of BLIS goes to the name of the data with another ending, which may be the scenario's."""
    scenario = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
    source = tmp_path / out
    source.write_text(scenario.read_text(encoding="utf-8") if out.endswith("yaml") else NATIVE, encoding="utf-8")
    before = source.read_bytes()
    assert cli.main(["traces", "convert", str(source), str(tmp_path / "in.csv"), "--to", "blis"]) == 2
    assert "would replace what it reads; give another name" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [out]
