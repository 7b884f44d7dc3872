"""Lengths of a file of one's own under a law of arrivals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import FileLengths, GeneratedWorkload, PoissonArrivals, Reader
from discosim.runs.identity import run_id
from discosim.traces.history import Past
from discosim.traces.lengths import draw_lengths
from discosim.traces.workload import make_requests

ROWS = [(100 + 7 * i, 500 - 3 * i) for i in range(40)]
TABLE = "num_prefill_tokens,num_decode_tokens\n" + "".join(f"{p},{o}\n" for p, o in ROWS)


@pytest.fixture
def lengths(write) -> FileLengths:
    return FileLengths(file=str(write(TABLE, "lengths.csv")))


def workload(law: FileLengths, n: int) -> GeneratedWorkload:
    return GeneratedWorkload(n_requests=n, arrivals=PoissonArrivals(rate_per_s=1.0), lengths=law)


def made(law: FileLengths, n: int, replication: int = 0) -> list[tuple[int, int]]:
    table = make_requests(workload(law, n), Reader(), RandomStreams(1, replication), Path())
    return list(zip(table.prompt_tok.tolist(), table.output_tok.tolist(), strict=True))


def test_rows_are_drawn_whole_and_uniformly(lengths: FileLengths) -> None:
    drawn = made(lengths, 40_000)
    counts = np.array([drawn.count(row) for row in ROWS])
    assert counts.sum() == 40_000
    # each count is binomial with mean 1000 and SE 31; 5 SE, 40 rows: false alarm 2 in 100,000
    assert np.abs(counts - 1000).max() < 156
    assert made(lengths, 300) == drawn[:300]
    assert made(lengths, 300, replication=1) != drawn[:300]


def test_in_order_begins_again_at_the_end_and_says_so(lengths: FileLengths) -> None:
    law = replace(lengths, order="in_order")
    assert made(law, 90) == [ROWS[i % 40] for i in range(90)]
    table = make_requests(workload(law, 90), Reader(), RandomStreams(1), Path())
    assert table.warnings == ("90 requests take 40 rows of lengths in order, which begin again at the end",)
    assert make_requests(workload(law, 40), Reader(), RandomStreams(1), Path()).warnings == ()
    assert (table.notes["lengths_from"], table.notes["lengths_rows"]) == ("lengths.csv", 40)


def test_a_trace_gives_its_lengths_without_its_arrivals(write, lengths: FileLengths) -> None:
    body = "".join(f"{i},{p},{o}\n" for i, (p, o) in enumerate(ROWS))
    trace = write("arrival_s,prompt_tok,output_tok\n" + body, "trace.csv")
    assert made(FileLengths(file=str(trace)), 50) == made(lengths, 50)
    late = "".join(f"{1_700_000_000_000 + i},{p},{o}\n" for i, (p, o) in enumerate(ROWS))  # Unix time in ms: no matter
    trace.write_text("arrival_s,prompt_tok,output_tok\n" + late)
    assert made(FileLengths(file=str(trace)), 50) == made(lengths, 50)
    trace.write_text(f"arrival_s,prompt_tok,output_tok\n{late}9e12,x,5\n")
    with pytest.raises(UserError, match="row 42 column prompt_tok"):
        made(FileLengths(file=str(trace)), 50)


def test_the_past_comes_from_the_same_rows(lengths: FileLengths) -> None:
    prompt, output = Past.of(workload(lengths, 5), RandomStreams(1)).lengths(200)
    assert set(zip(prompt.tolist(), output.tolist(), strict=True)) <= set(ROWS)


def test_a_file_of_something_else_is_refused(write) -> None:
    with pytest.raises(UserError, match="'uncore' holds rtt; expected one of: azure, bailian"):
        draw_lengths(FileLengths(file=str(write("5\n3\n4\n"))), 3, np.random.default_rng(1))


def test_a_scenario_names_the_file_beside_it_and_counts_its_content(tmp_path: Path, write) -> None:
    write(TABLE, "lengths.csv")
    law = {"kind": "file", "file": "lengths.csv"}
    arrivals = {"kind": "poisson", "rate_per_s": 2}
    work = {"kind": "generate", "n_requests": 20, "arrivals": arrivals, "lengths": law}
    config = tmp_path / "mine.yaml"
    config.write_text(_scenario(work))
    scenario = load_scenario(config)
    run = simulate(scenario)
    assert {(p, o) for p, o in zip(run.requests.prompt_tok, run.requests.output_tok, strict=True)} <= set(ROWS)
    assert any("lengths lengths.csv: the user's own file" in note for note in run.notes)
    before = run_id(scenario)
    write(TABLE + "9,9\n", "lengths.csv")
    assert run_id(load_scenario(config)) != before


def _scenario(work: dict[str, object]) -> str:
    return json.dumps(
        {
            "name": "mine",
            "replications": 1,
            "workload": work,
            "devices": [{"profile": "snapdragon-8-elite-llama-3.2-1b"}],
            "server": {"kind": "replay", "digest": "openrouter-gpt-5.4", "prices": _PRICES},
            "cost": {"exchange_rate_usd_per_j": 1e-7},
            "policies": [{"kind": "server_only"}],
        }
    )


_PRICES = {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 2, "source": "ours"}
