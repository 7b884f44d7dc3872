"""Request tables that count characters: they become tokens, and a note says how."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.traces.readers import read_lengths, read_requests

ROWS = [(0.0, 400, 20), (1.5, 1, 30), (2.5, 401, 10)]


def written(path: Path, prompt: str, output: str, extra: str = "") -> Path:
    if path.suffix == ".csv":
        head = f"arrival_s,{prompt},{output}" + (f",{extra}" if extra else "")
        rows = [",".join(map(str, (*row, 7) if extra else row)) for row in ROWS]
        path.write_text("\n".join([head, *rows]) + "\n")
    else:
        rows = [json.dumps(dict(zip(("arrival_s", prompt, output), row, strict=True))) for row in ROWS]
        path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl"])
def test_four_characters_are_a_token_rounded_up(tmp_path: Path, name: str) -> None:
    trace = read_requests(written(tmp_path / name, "prompt_chars", "output_tok"))
    assert trace.prompt_tok.tolist() == [100, 1, 101]
    assert trace.output_tok.tolist() == [20, 30, 10]
    (said,) = [doubt for doubt in trace.warnings if "characters" in doubt]
    assert said.startswith("lengths are characters (prompt_chars); 4 characters were taken for a token, rounded up")
    assert said.endswith("call the column prompt_tok where that matters")


def test_answers_may_be_counted_so_too(tmp_path: Path) -> None:
    trace = read_requests(written(tmp_path / "r.csv", "prompt_chars", "output_chars"))
    assert trace.output_tok.tolist() == [5, 8, 3]
    assert any(
        "(prompt_chars, output_chars)" in doubt and "prompt_tok and output_tok" in doubt for doubt in trace.warnings
    )


def test_tokens_count_where_both_are_there(tmp_path: Path) -> None:
    trace = read_requests(written(tmp_path / "r.csv", "prompt_tok", "output_tok", extra="prompt_chars"))
    assert trace.prompt_tok.tolist() == [400, 1, 401]
    assert not [doubt for doubt in trace.warnings if "characters" in doubt]


def test_a_replayed_run_says_how_characters_became_tokens(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", "prompt_chars", "output_tok")
    sets = [f"workload={{kind: replay, file: {path}}}", "replications=1", "policies=[{kind: server_only}]"]
    run = simulate(load_scenario("quickstart", overrides=sets))
    assert run.requests["prompt_tok"].tolist() == [100, 1, 101]
    assert [note for note in run.notes if "workload: lengths are characters (prompt_chars); 4 characters" in note]


def test_a_table_of_lengths_alone_too(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("prompt_chars,output_tok\n400,20\n5,3\n")
    table = read_lengths(path)
    assert table.prompt_tok.tolist() == [100, 2]
    assert [doubt for doubt in table.warnings if "characters" in doubt]


def test_broken_characters_are_refused_with_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("arrival_s,prompt_chars,output_tok\n0,NaN,20\n")
    with pytest.raises(UserError, match="column prompt_chars: expected a whole number of at least 0"):
        read_requests(path)
