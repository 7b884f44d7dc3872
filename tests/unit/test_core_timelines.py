"""Timelines lie flat and lose nothing: rows come back as the records they were, whole, chosen, or joined."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from worlds import Played, assert_same_records, edge_box, model, play, requests

from discosim.core.request import RequestRecord, Segment, Work
from discosim.core.timeline import Ragged
from discosim.core.timelines import SCALARS, Timelines, TimelineWriter
from discosim.policies.disco import Disco
from discosim.runs.collect import BATCH, Collector


@pytest.fixture(scope="module")
def records() -> list[RequestRecord]:
    """Records of every kind: migrated, failed, rejected, paced by a policy, sketched."""
    rejected = np.arange(40) == 11
    played: Played = play(
        Disco(constraint="device", budget=0.5), model(edge=edge_box()), requests(40, output_tok=60, rejected=rejected)
    )
    records = list(played.records)
    records[3] = replace(records[3], status="failed", segments=(), generated_s=np.empty(0), delivered_s=np.empty(0))
    records[5] = replace(records[5], paced_s=records[5].delivered_s + 1.5, sketch_s=np.array([0.25, 0.5]), n_parts=2)
    records[7] = replace(records[7], quality_assumed=0.75, gpu_s=0.1, server_prompt_tok=2**53 + 1)
    fast = Work("fast", "server", True, 2, 12.5, 2**53 + 1, 0.25, 0.0, 3, 0.5, 7.0)
    home = Work("device", "device", False, 1, 0.5, 3, 0.0, 1.5, 0, 0.0, 0.0)
    records[9] = replace(records[9], work=(fast, home))
    records[10] = replace(records[10], work=(home,))
    ends = [(60, "fast", "server")] if len(records[12].segments) == 1 else [(20, "fast", "server"), (60, "device", "")]
    starts = [1, *(end + 1 for end, _, _ in ends)]
    records[12] = replace(
        records[12],
        segments=tuple(Segment(name, at, end, role) for at, (end, name, role) in zip(starts, ends, strict=False)),
    )
    return records


def test_every_field_of_a_record_has_its_place() -> None:
    ragged = {"work", "segments", "generated_s", "delivered_s", "paced_s", "sketch_s"}
    assert {f.name for f in fields(RequestRecord)} == set(SCALARS) | ragged


def test_rows_come_back_as_the_records_they_were(records: list[RequestRecord]) -> None:
    flat = Timelines.of(records)
    back = [flat.row(i) for i in range(len(flat))]
    assert_same_records(records, back)
    for name, dtype in SCALARS.items():
        assert flat[name].dtype == np.dtype(dtype), name
        assert type(getattr(back[0], name)) is type(getattr(records[0], name)), name
    assert back[7].server_prompt_tok == 2**53 + 1  # not by way of a float
    assert math.isnan(back[0].quality_assumed)


def test_a_writer_gives_each_row_once(records: list[RequestRecord]) -> None:
    writer = TimelineWriter()
    assert [writer.add(record) for record in records[:3]] == [1, 2, 3]
    assert writer.take()["request_id"].tolist() == [0, 1, 2]
    assert writer.add(records[3]) == 1
    assert writer.take()["request_id"].tolist() == [3]
    assert len(writer.take()) == 0


@pytest.mark.parametrize("rows", [[], [3], [3, 11], [0, 1, 5, 39], [39, 0, 3, 5], [7, 7], list(range(40))])
def test_chosen_rows_are_those_rows_in_that_order(records: list[RequestRecord], rows: list[int]) -> None:
    chosen = Timelines.of(records).take(np.array(rows, dtype=np.int64))
    assert_same_records([records[i] for i in rows], [chosen.row(i) for i in range(len(chosen))])


@pytest.mark.parametrize("cuts", [[0, 40], [0, 3, 3, 4, 40], [0, 20, 40]])
def test_joined_batches_are_the_whole(records: list[RequestRecord], cuts: list[int]) -> None:
    parts = [Timelines.of(records[a:b]) for a, b in pairwise(cuts)]
    whole = Timelines.joined(parts)
    assert_same_records(records, [whole.row(i) for i in range(len(whole))])
    assert len(Timelines.joined([])) == 0


def test_endpoints_of_joined_batches_keep_their_names() -> None:
    def row(*names: str) -> RequestRecord:
        n = len(names)
        times = np.arange(1.0, n + 1)
        segments = tuple(Segment(name, i, i) for i, name in enumerate(names, 1))
        plain = dict.fromkeys((f.name for f in fields(RequestRecord) if f.name in SCALARS), 0)
        texts = {"status": "finished", "first_endpoint": names[0]}
        return RequestRecord(**{**plain, **texts}, segments=segments, generated_s=times, delivered_s=times)

    joined = Timelines.joined([Timelines.of([row("server", "device")]), Timelines.of([row("device", "edge")])])
    assert joined.segments.names().tolist() == ["server", "device", "device", "edge"]


def test_taking_ragged_rows_keeps_rows_apart() -> None:
    ragged = Ragged.of([np.array([1.0, 2.0]), np.empty(0), np.array([3.0]), np.array([4.0, 5.0, 6.0])])
    for rows in ([0, 2, 3], [0, 1, 2, 3], [1], [1, 3], [3, 1, 0]):
        taken = ragged.take(np.array(rows))
        assert [taken.row(i).tolist() for i in range(len(taken))] == [ragged.row(i).tolist() for i in rows]


def test_a_block_gives_what_its_records_give_one_by_one(records: list[RequestRecord]) -> None:
    """Whoever fills the timelines, the columns and the token rows are the same bits; also over several batches."""
    whole = [r for i, r in enumerate(records) if i not in (3, 7, 12)]  # their bills were not changed with them
    many = [replace(whole[i % len(whole)], request_id=i) for i in range(2 * BATCH + 60)]
    one, block = (Collector("disco", model().meter, True, range(5, 250)) for _ in range(2))
    for record in many[::-1]:
        one(record)
    block.take(Timelines.of(many[::-1]))
    for a, b in ((one.columns(len(many)), block.columns(len(many))), (one.tokens(), block.tokens())):
        assert list(a) == list(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    assert set(one.tokens()["request_id"].tolist()) <= set(range(5, 250))
    np.testing.assert_array_equal(one.gaps.delivered.sums_s, block.gaps.delivered.sums_s)
    np.testing.assert_array_equal(one.gaps.displayed.sums_s, block.gaps.displayed.sums_s)
