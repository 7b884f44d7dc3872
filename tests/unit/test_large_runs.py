"""What a million requests need: columns of one value that take no memory, sums batch by batch, files in row groups."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from discosim.core.request import RequestRecord, Segment
from discosim.core.timelines import Timelines
from discosim.kernel.library import SWITCH
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.timeline import BATCH_ROWS, request_columns
from discosim.runs import row_groups
from discosim.runs.placed import Placed, is_one_value, joined, one_value
from discosim.runs.row_groups import repeats, write_requests
from discosim.runs.tables import request_table, write_parquet

# --- columns ------------------------------------------------------------------------------------------------------


def bits(values: Any) -> Any:
    return values.view(np.int64) if values.dtype == np.float64 else values


@pytest.mark.parametrize(
    "others", [[0.0, 0.0], [0.0, -0.0], [np.nan, np.nan], [np.nan, 1.0], [1.0, np.nan], [2, 2], [2, 3]]
)
def test_rows_lie_in_their_places_whether_or_not_they_are_alike(others: list[float]) -> None:
    first, last = (np.array([value] * 3) for value in others)
    placed = Placed(6)
    placed.put(np.array([5, 0, 2]), {"x": first, "name": np.array(["a", "a", "a"], dtype=object)})
    placed.put(np.array([4, 1, 3]), {"x": last, "name": np.array(["a", "b", "a"], dtype=object)})
    found = placed.columns()
    wanted = np.where(np.isin(np.arange(6), [5, 0, 2]), first[0], last[0])
    assert found["x"].dtype == first.dtype
    assert (bits(found["x"]) == bits(wanted)).all()
    assert is_one_value(found["x"]) == bool((bits(first) == bits(last)).all())
    assert found["name"].tolist() == ["a", "b", "a", "a", "a", "a"]


def test_columns_of_one_value_stay_that_where_all_parts_have_it() -> None:
    same = joined([one_value(np.array([0.5]), 3), one_value(np.array([0.5]), 4)])
    assert is_one_value(same)
    assert same.tolist() == [0.5] * 7
    assert joined([one_value(np.array([0.5]), 2), one_value(np.array([-0.0]), 2)]).tolist() == [0.5, 0.5, 0.0, 0.0]
    assert joined([one_value(np.array([0.5]), 2), np.array([0.5, 1.0])]).tolist() == [0.5, 0.5, 0.5, 1.0]


@pytest.mark.parametrize("n", [1, 7, 129, 1000, 10_001])
def test_sums_over_one_value_have_the_bits_of_sums_over_a_full_column(n: int) -> None:
    for value in (0.1, 1e300, 3.0, np.nan):
        alone, full = one_value(np.array([value]), n), np.full(n, value)
        assert (bits(np.array([alone.sum(), alone.mean()])) == bits(np.array([full.sum(), full.mean()]))).all()


# --- sums -----------------------------------------------------------------------------------------------------------


def answers(n: int) -> Timelines:
    """Make answers of up to 40 tokens; one in nine requests was refused."""
    rng, records = np.random.default_rng(7), []
    for i in range(n):
        n_tok = 0 if i % 9 == 4 else int(rng.integers(1, 40))
        times_s = 3.0 * i + np.cumsum(rng.exponential(0.15, n_tok))
        shown = (Segment("server", 1, n_tok),) if n_tok else ()
        records.append(
            RequestRecord(
                request_id=i,
                user_id=0,
                arrival_s=3.0 * i,
                prompt_tok=10,
                output_tok=max(n_tok, 1),
                reader_tok_per_s=5.0,
                ttft_target_s=1.0,
                status="finished" if n_tok else "rejected",
                segments=shown,
                first_endpoint="server" if n_tok else "",
                is_device_dispatched=False,
                is_server_dispatched=n_tok > 0,
                n_tok_wasted=0,
                server_prompt_tok=10,
                server_output_tok=n_tok,
                device_prefill_tok=0.0,
                device_decode_tok=0,
                server_cost_usd=0.0,
                device_energy_j=0.0,
                unified_cost_usd=0.0,
                generated_s=times_s,
                delivered_s=times_s,
            )
        )
    return Timelines.of(records)


@pytest.mark.parametrize("n", [BATCH_ROWS, 3 * BATCH_ROWS, 3 * BATCH_ROWS + 77])
@pytest.mark.usefixtures("kernel")
def test_many_requests_at_once_have_the_bits_of_batches(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    timelines, at_once, by_batch = answers(n), PooledGaps(), PooledGaps()
    columns = request_columns(timelines, pacer=True, gaps=at_once)
    monkeypatch.setenv(SWITCH, "1")
    for start in range(0, n, BATCH_ROWS):
        part = timelines.part(start, min(start + BATCH_ROWS, n))
        for name, values in request_columns(part, pacer=True, gaps=by_batch).items():
            assert (bits(columns[name][start : start + BATCH_ROWS]) == bits(values)).all(), name
    for name in ("delivered", "displayed"):
        mine, other = getattr(at_once, name), getattr(by_batch, name)
        assert (mine.counts == other.counts).all()
        assert (bits(mine.sums_s) == bits(other.sums_s)).all()


@pytest.mark.parametrize("n_rows", [(0, 5), (40, 3, 60), (7,)])
def test_rows_of_several_parts_are_those_of_the_parts_end_to_end(n_rows: tuple[int, ...]) -> None:
    """Runs of neighbours, single rows, rows without tokens; and the order in which SimPy would have ended them."""
    rng, whole = np.random.default_rng(3), answers(sum(n_rows))
    starts = np.cumsum([0, *n_rows])
    parts = [whole.part(start, end) for start, end in pairwise(starts.tolist())]
    owner = rng.permutation(np.repeat(np.arange(len(n_rows)), n_rows))
    in_turns = np.argsort(np.argsort(owner, kind="stable"), kind="stable")
    for rows in (np.arange(sum(n_rows)), in_turns, rng.permutation(sum(n_rows)), np.empty(0, dtype=np.int64)):
        found = Timelines.interleaved(parts, rows)
        assert found["request_id"].tolist() == rows.tolist()
        assert [found.row(i).delivered_s.tolist() for i in range(rows.size)] == [
            whole.row(int(i)).delivered_s.tolist() for i in rows
        ]
        assert found.segments.row(0) == whole.segments.row(int(rows[0])) if rows.size else not len(found)


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_file_of_many_rows_says_what_a_small_one_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = request_columns(answers(450), pacer=True)
    nothing, name = np.zeros(1, dtype=np.int64), np.array(["p"], dtype=object)
    columns = {"policy": one_value(name, 450), **columns, "n_parts": one_value(nothing, 450)}
    write_parquet(request_table(columns), tmp_path / "plain.parquet")
    monkeypatch.setattr(row_groups, "SMALL", 100)
    monkeypatch.setattr(row_groups, "ROW_GROUP", 128)
    write_requests(columns, tmp_path / "large.parquet")
    plain, large = (parquet.read_table(tmp_path / f"{name}.parquet") for name in ("plain", "large"))
    assert parquet.read_metadata(tmp_path / "large.parquet").num_row_groups == 4
    assert large.schema.equals(plain.schema, check_metadata=True)
    assert large.unify_dictionaries().to_pandas().equals(plain.to_pandas())


def test_what_is_new_in_most_rows_does_not_repeat() -> None:
    n = 30_000
    assert not repeats(np.random.default_rng(1).random(n))
    assert not repeats(np.arange(n))
    assert repeats(np.arange(n) // 100)
    assert repeats(one_value(np.array([np.nan]), n))
    assert repeats(np.array(["a", "b"] * (n // 2), dtype=object))
