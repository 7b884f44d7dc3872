"""Logs of servers that cannot be right, and settings that a log contradicts: one line each, and exit code 2."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from discosim.calibrate.setup import scenario_of, server_keys
from discosim.cli import main
from discosim.traces.server_logs import read_server_log

Row = dict[str, Any]
CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "vocab_size": 100,
    "max_position_embeddings": 4096,
}


def rows(n: int = 40) -> list[Row]:
    luck, at_s, found = random.Random(1), 0.0, []
    for i in range(n):
        at_s += luck.expovariate(5.0)
        taken_s = at_s + 0.1 * luck.random()
        row = {"request_id": f"r{i}", "input_toks": luck.randrange(50, 500), "output_toks": luck.randrange(20, 100)}
        row |= {"queued_ts": at_s, "scheduled_ts": taken_s, "first_token_ts": taken_s + 0.1}
        found.append(row | {"last_token_ts": taken_s + 0.1 + 0.02 * (row["output_toks"] - 1)})
    return found


def lines(held: list[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in held)


def changed(change: Callable[[list[Row]], None]) -> str:
    held = rows()
    change(held)
    return lines(held)


def in_ms(held: list[Row]) -> None:
    for row in held[20:]:
        for name in ("queued_ts", "scheduled_ts", "first_token_ts", "last_token_ts"):
            row[name] *= 1000.0


def in_waves(held: list[Row]) -> None:
    """Let the second half wait for the whole of the first: 60 s and no more to the token."""
    for row in held[20:]:
        for name in ("scheduled_ts", "first_token_ts", "last_token_ts"):
            row[name] += 60.0


def test_who_waits_for_the_batch_before_his_is_in_no_other_unit(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(changed(in_waves), encoding="utf-8")
    log = read_server_log(path)
    assert sorted(log.ttft_s)[20] / sorted(log.ttft_s)[19] > 300.0


BAD: dict[str, tuple[str, str]] = {
    "few": (lines(rows(19)), "at least 20 are needed"),
    "no arrivals": (lines([{k: v for k, v in row.items() if k != "queued_ts"} for row in rows()]), "with arrivals"),
    "backwards": (
        changed(lambda held: held[7].update(first_token_ts=0.0001)),
        "row 8 column first_token_ts: runs back",
    ),
    "nan": (changed(lambda held: held[7].update(queued_ts=float("nan"))), "row 8 column queued_ts: is blank"),
    "two units": (changed(in_ms), "rows in different units"),
    "for ever": (changed(lambda held: held[7].update(last_token_ts=1e12)), "row 8: takes 1e+12 s to its last token"),
    "twice": (
        changed(lambda held: held[7].update(request_id="r8")),
        "row 9 column request_id: 'r8' stands in row 8 too",
    ),
    "cut line": (lines(rows())[:-40], "row 40: is not JSON"),
    "cut first of many": (lines(rows()[:1])[:-9] + "\n" + lines(rows()[1:]), "log.jsonl row 1: is not JSON"),
    "cut object": (json.dumps({"requests": rows()})[:-30], "it ends in the middle, was it cut off?"),
    "cut first row": (json.dumps(rows()[0])[:-3], "it ends in the middle, was it cut off?"),
    "cut summary": ('{"1": {"num_concurrent_requests": 1, "results_', "it ends in the middle, was it cut off?"),
    "nothing": ("", "the file is empty"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "good.jsonl").write_text(lines(rows()))
    (folder / "any.yaml").write_text(yaml.safe_dump(scenario_of(server_keys("vllm-v1"), None)))
    return folder


def refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", BAD)
def test_a_bad_log_is_one_line_of_either_verb(name: str, place: Path, capsys) -> None:
    text, message = BAD[name]
    log = place / "log.jsonl"
    log.write_text(text)
    refused(["calibrate", str(log), "--out", str(place / "mine.json")], message, capsys)
    refused(["validate", str(place / "any.yaml"), "--against", str(log)], message, capsys)
    assert not (place / "mine.json").exists()


def test_settings_that_the_log_contradicts_are_refused(place: Path, capsys) -> None:
    meta, series, config = place / "meta.json", place / "series.csv", place / "config.json"
    calibrate = ["calibrate", str(place / "good.jsonl"), "--out", str(place / "mine.json")]
    meta.write_text('{"max_model_len": 100}')
    refused([*calibrate, "--meta", str(meta)], "max_model_len is 100, and good.jsonl holds a request of", capsys)
    meta.write_text('{"model": "Qwen/Qwen3-32B"}')
    named = ["--model", "Llama-3.1-8B", "--gpu", "H100"]
    refused([*calibrate, "--meta", str(meta), *named], "ran Qwen/Qwen3-32B, and --model names Llama-3.1-8B", capsys)
    head = "t,prompt_throughput,gen_throughput,running,waiting\n"
    series.write_text(head + "".join(f"{t},1e9,50,3,0\n" for t in range(1, 9)))
    refused([*calibrate, "--series", str(series)], "are both of one run?", capsys)
    series.write_text("t,gen_throughput,waiting\n1,50,0\n")
    refused([*calibrate, "--series", str(series)], "no column with running", capsys)
    refused(["calibrate", *2 * [calibrate[1]], *calibrate[2:]], "good.jsonl: is named twice", capsys)
    config.write_text(json.dumps(CONFIG))
    headless = ["--model", str(config), "--gpu", "H100"]
    refused([*calibrate, *headless], "config.json: has no num_attention_heads", capsys)


def test_a_first_line_longer_than_any_head_is_no_cut_off_object(place: Path, capsys) -> None:
    held = rows()
    held[0]["prompt"] = "word " * 400_000
    log = place / "log.jsonl"
    log.write_text(lines(held))
    assert main(["engine", "validate", str(place / "any.yaml"), "--against", str(log)]) == 0
    assert "all 40 requests" in capsys.readouterr().out
