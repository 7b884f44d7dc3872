"""Latency series: LLMPerf in three forms and hourly probes."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import read_latency, read_latency_groups

HEADER = (
    "provider,model,index,ttft_s,inter_token_latency_s,end_to_end_latency_s,input_tokens,output_tokens,error_code\n"
)


def _record(ttft: float, e2e: float, n: int, code: int | None = None) -> dict[str, object]:
    return {
        "error_code": code,
        "error_msg": "",
        "inter_token_latency_s": e2e / n,
        "ttft_s": ttft,
        "end_to_end_latency_s": e2e,
        "number_input_tokens": 550,
        "number_output_tokens": n,
    }


RECORDS = [_record(0.5, 1.5, 101), _record(0, 0, 1, 429), _record(0.4, 0.9, 11), _record(0, 0, 1, -100)]


def test_tpot_is_the_formula_and_not_the_inter_token_latency(tmp_path: Path) -> None:
    path = tmp_path / "acme_7b.json"
    path.write_text(json.dumps(RECORDS))
    series = read_latency(path)
    assert series.group == "acme/7b"
    np.testing.assert_allclose(series.tpot_s, [(1.5 - 0.5) / 100, (0.9 - 0.4) / 10], rtol=1e-15)
    trap = np.array([r["inter_token_latency_s"] for r in RECORDS if r["error_code"] is None], dtype=float)
    assert np.all(trap > 1.4 * series.tpot_s)
    assert series.ttft_s.tolist() == [0.5, 0.4]


def test_failures_are_counted_by_code_and_keep_their_place(tmp_path: Path) -> None:
    path = tmp_path / "acme_7b.json"
    path.write_text(json.dumps(RECORDS))
    series = read_latency(path)
    assert series.is_failed.tolist() == [False, True, False, True]
    assert series.failure_share == 0.5
    assert series.attempt.tolist() == [0, 2]
    assert series.notes["failed_code_429"] == 1
    assert series.notes["failed_code_-100"] == 1


def test_tar_and_csv_give_the_same_series(tmp_path: Path) -> None:
    archive, table = tmp_path / "individual.tar.xz", tmp_path / "per_request.csv"
    services = {"acme_7b": RECORDS, "acme_70b": RECORDS[:1]}
    with tarfile.open(archive, "w:xz") as tar:
        for name, records in services.items():
            data = json.dumps(records, indent=4).encode()
            info = tarfile.TarInfo(f"raw_data/individual/{name}.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    rows = [
        f"acme,{name.split('_')[1]},{i},{r['ttft_s']},{r['inter_token_latency_s']},{r['end_to_end_latency_s']},"
        f"550,{r['number_output_tokens']},{'' if r['error_code'] is None else r['error_code']}"
        for name, records in services.items()
        for i, r in enumerate(records)
    ]
    table.write_text(HEADER + "\n".join(rows) + "\n")
    packed, flat = read_latency_groups(archive), read_latency_groups(table)
    assert set(packed) == set(flat) == {"acme/7b", "acme/70b"}
    for group, series in packed.items():
        np.testing.assert_array_equal(series.ttft_s, flat[group].ttft_s)
        np.testing.assert_array_equal(series.tpot_s, flat[group].tpot_s)
        np.testing.assert_array_equal(series.is_failed, flat[group].is_failed)


def test_one_token_answers_have_a_ttft_and_no_tpot(tmp_path: Path) -> None:
    path = tmp_path / "acme_7b.json"
    path.write_text(json.dumps([_record(0.2, 0.2, 1), _record(0.5, 0.8, 4)]))
    series = read_latency(path)
    assert series.ttft_s.tolist() == [0.2, 0.5]
    assert series.seen_tpot_s.tolist() == pytest.approx([0.1])
    assert (series.notes["unseen_ttft"], series.notes["unseen_tpot"]) == (0, 1)
    assert series.attempt.tolist() == [0, 1]


def test_groups_are_named_or_offered(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(HEADER + "a,7b,0,0.1,0.1,0.5,550,5,\nb,7b,0,0.2,0.1,0.5,550,5,\n")
    assert read_latency(path, group="b/7b").ttft_s.tolist() == [0.2]
    with pytest.raises(UserError, match="holds 2 series; name one of: a/7b, b/7b"):
        read_latency(path)
    with pytest.raises(UserError, match="holds no series 'c/7b'; did you mean"):
        read_latency(path, group="c/7b")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,7b,0,nan,0.1,0.5,550,5,", "row 3 column ttft_s: expected a finite number of at least 0"),
        ("a,7b,0,-0.1,0.1,0.5,550,5,", "row 3 column ttft_s"),
        ("a,7b,0,0.1,0.1,inf,550,5,", "row 3 column end_to_end_latency_s"),
        ("a,7b,0,0.6,0.1,0.5,550,5,", "row 3 column end_to_end_latency_s: is below ttft_s"),
        ("a,7b,0,0.1,0.1,0.5,550,many,", "row 3 column output_tokens"),
        ("a,7b,0,0.1,0.1,0.5", "row 3: expected 9 cells, got 6"),
    ],
)
def test_bad_latency_rows(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(HEADER + "a,7b,0,0.1,0.1,0.5,550,5,\n" + row + "\n")
    with pytest.raises(UserError) as caught:
        read_latency(path)
    assert message in str(caught.value)


def test_nonsense_in_a_failed_row_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(HEADER + "a,7b,0,0.1,0.1,0.5,550,5,\na,7b,1,,nan,-1,,,429\n")
    series = read_latency(path)
    assert (len(series), series.failure_share) == (1, 0.5)


def test_bad_json_records(tmp_path: Path) -> None:
    path = tmp_path / "acme_7b.json"
    path.write_text(json.dumps([*RECORDS, {"ttft_s": 1}]))
    with pytest.raises(UserError, match=r"acme_7b\.json record 5: no key 'end_to_end_latency_s'"):
        read_latency(path, format="llmperf")
    path.write_text(json.dumps(RECORDS)[:-20])
    with pytest.raises(UserError, match=r"acme_7b\.json: is not JSON"):
        read_latency(path, format="llmperf")
    path.write_text("[]")
    with pytest.raises(UserError, match="holds no records"):
        read_latency(path, format="llmperf")


PROBES = "hour_utc,model,status,ttft_ms,latency_ms,token_count\n"


def test_probes_split_failures_unseen_and_measured(tmp_path: Path) -> None:
    path = tmp_path / "probes.csv"
    path.write_text(
        PROBES
        + "0,a/x,ok,1000,1900,10\n0,b/y,ok,,1016,20\n1,a/x,error_http429,,,\n1,b/y,ok,500,500,1\n"
        + "2,a/x,ok,1200,1400,11\n2,b/y,ok,400,800,5\n3,a/x,error_client_dns,,,\n"
    )
    groups = read_latency_groups(path)
    x, y = groups["a/x"], groups["b/y"]
    assert x.ttft_s.tolist() == [1.0, 1.2]
    np.testing.assert_allclose(x.tpot_s, [0.1, 0.02])
    assert x.hour is not None
    assert x.hour.tolist() == [0, 2]
    assert x.attempt.tolist() == [0, 2]
    assert x.is_failed.tolist() == [False, True, False, True]
    assert (x.notes["failed_error_http429"], x.notes["failed_error_client_dns"]) == (1, 1)
    assert y.seen_ttft_s.tolist() == [0.5, 0.4]
    assert y.seen_tpot_s.tolist() == [0.1]
    assert y.failure_share == 0.0
    assert (y.notes["unseen_ttft"], y.notes["unseen_tpot"]) == (1, 2)


def test_bad_probe_rows(tmp_path: Path) -> None:
    path = tmp_path / "probes.csv"
    for row, message in {
        "0,a,ok,-5,10,3": "row 2 column ttft_ms",
        "0,a,ok,50,10,3": "row 2 column latency_ms: is below ttft_ms",
        "x,a,ok,5,10,3": "row 2 column hour_utc",
        "0,a,ok,5,,3": "row 2 column latency_ms",
    }.items():
        path.write_text(PROBES + row + "\n")
        with pytest.raises(UserError) as caught:
            read_latency(path)
        assert message in str(caught.value)
