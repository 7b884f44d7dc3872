"""Each run-time check raises when its promise is broken: one corrupted record, one message with its number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from worlds import DEAR_SERVER, Played, model, play, requests

from discosim.core.errors import InvariantError
from discosim.core.request import RequestRecord, Segment
from discosim.core.timelines import Timelines
from discosim.metrics.timeline import request_columns
from discosim.policies.disco import Disco
from discosim.runs.checks import check_columns, check_complete, check_timelines
from discosim.runs.collect import Collector

VICTIM = 7


@pytest.fixture(scope="module")
def played() -> Played:
    return play(Disco(constraint="device", budget=0.5), model(), requests(20, output_tok=60))


def columns_of(records: list[RequestRecord]) -> dict[str, Any]:
    return request_columns(Timelines.of(records), pacer=True)


def moved(times: Any, at: int, to: float) -> Any:
    changed = np.array(times)
    changed[at] = to
    return changed


RECORD_FAULTS: dict[str, tuple[int, Callable[[RequestRecord], dict[str, Any]]]] = {
    "delivered before generated": (2, lambda r: {"generated_s": moved(r.generated_s, 10, r.delivered_s[10] + 1e-3)}),
    "delivered out of order": (2, lambda r: {"delivered_s": moved(r.delivered_s, 10, r.delivered_s[12])}),
    "a NaN in the first token": (2, lambda r: {"delivered_s": moved(r.delivered_s, 0, np.nan)}),
    "a NaN inside": (2, lambda r: {"delivered_s": moved(r.delivered_s, 30, np.nan)}),
    "a NaN in the last generation": (2, lambda r: {"generated_s": moved(r.generated_s, -1, np.nan)}),
    "never delivered": (2, lambda r: {"delivered_s": moved(r.delivered_s, -1, np.inf)}),
    "generated before the request": (2, lambda r: {"generated_s": r.generated_s - 1e6}),
    "a token too few": (3, lambda r: {"delivered_s": r.delivered_s[:-1], "generated_s": r.generated_s[:-1]}),
    "a time without a token": (3, lambda r: {"generated_s": np.append(r.generated_s, r.generated_s[-1])}),
    "a gap between segments": (3, lambda _: {"segments": (Segment("server", 1, 20), Segment("device", 22, 60))}),
    "a token twice": (3, lambda _: {"segments": (Segment("server", 1, 20), Segment("device", 20, 60))}),
    "an empty segment": (3, lambda _: {"segments": (Segment("server", 1, 60), Segment("device", 61, 60))}),
    "segments end early": (3, lambda _: {"segments": (Segment("server", 1, 59),)}),
    "a failed request with tokens": (3, lambda _: {"status": "failed"}),
}


@pytest.mark.parametrize("fault", RECORD_FAULTS)
def test_a_corrupted_record_is_found(played: Played, fault: str) -> None:
    number, change = RECORD_FAULTS[fault]
    records = list(played.records)
    check_timelines(Timelines.of(records), "disco")
    records[VICTIM] = replace(records[VICTIM], **change(records[VICTIM]))
    with pytest.raises(InvariantError, match=f"INV-{number}: request {VICTIM} under disco"):
        check_timelines(Timelines.of(records), "disco")


COLUMN_FAULTS: dict[str, tuple[int, str, float]] = {
    "a bill too high": (4, "server_cost_usd", 1e-9),
    "a unified cost too low": (4, "unified_cost_usd", -1e-9),
    "a prompt not billed": (4, "server_prompt_tok", 1),
    "negative energy": (4, "device_energy_j", -1e9),
    "negative prefill": (4, "device_prefill_tok", -1e6),
    "a token shown but not generated at the server": (5, "n_tok_server", 10_000),
    "a token shown but not generated on the device": (5, "n_tok_device", 10_000),
    "a wasted token not counted": (5, "n_tok_wasted", -1),
    "a device token out of nowhere": (5, "device_decode_tok", 1),
}


@pytest.mark.parametrize("fault", COLUMN_FAULTS)
def test_a_corrupted_column_is_found(played: Played, fault: str) -> None:
    number, name, by = COLUMN_FAULTS[fault]
    columns = columns_of(played.records)
    check_columns(columns, DEAR_SERVER, "disco")
    columns[name] = columns[name].copy()
    columns[name][VICTIM] += by
    with pytest.raises(InvariantError, match=f"INV-{number}: request {VICTIM} under disco"):
        check_columns(columns, DEAR_SERVER, "disco")


def test_a_nan_in_a_bill_is_found(played: Played) -> None:
    for name in ("server_cost_usd", "unified_cost_usd", "device_energy_j"):
        columns = columns_of(played.records)
        columns[name][VICTIM] = np.nan
        with pytest.raises(InvariantError, match="INV-4"):
            check_columns(columns, DEAR_SERVER, "disco")


@pytest.mark.parametrize(
    ("ids", "missing"),
    [([0, 1, 3], r"\[2\]"), ([0, 1, 1, 3], r"\[2\]"), ([0, 1, 2, 3, 3], r"\[\]"), ([], "0, 1, 2, 3")],
)
def test_a_lost_or_repeated_request_is_found(ids: list[int], missing: str) -> None:
    check_complete(np.array([2, 0, 3, 1]), 4, "disco")
    with pytest.raises(InvariantError, match=f"INV-1.*{missing}"):
        check_complete(np.array(ids, dtype=np.int64), 4, "disco")


def test_the_collector_runs_every_check(played: Played) -> None:
    def collect(records: list[RequestRecord], n: int = 20) -> None:
        collector = Collector("disco", DEAR_SERVER, True, range(0))
        for record in records:
            collector(record)
        collector.columns(n)

    def broken(**change: Any) -> list[RequestRecord]:
        records = list(played.records)
        records[VICTIM] = replace(records[VICTIM], **change)
        return records

    collect(list(played.records))
    victim = played.records[VICTIM]
    for number, records in (
        (1, list(played.records)[1:]),
        (2, broken(delivered_s=victim.delivered_s[::-1].copy())),
        (3, broken(segments=())),
        (4, broken(unified_cost_usd=victim.unified_cost_usd + 1.0)),
        (5, broken(n_tok_wasted=-5)),
    ):
        with pytest.raises(InvariantError, match=f"INV-{number}"):
            collect(records)
