"""A last hop of one's own: what may be read as round trips, in which unit, and where a scenario takes it from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discosim import load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.runs.build import build
from discosim.runs.build_link import DEFAULT_TICK_S
from discosim.runs.identity import run_id
from discosim.traces.digest_file import read_own_digest
from discosim.traces.own_rtt import digest_rtt
from discosim.traces.readers import detect, read_rtt, read_rtt_groups

PING = """PING example.org (192.0.2.1) 56(84) bytes of data.
64 bytes from 192.0.2.1: icmp_seq=1 ttl=57 time=11.2 ms
64 bytes from 192.0.2.1: icmp_seq=3 ttl=57 time=10.9 ms
64 bytes from 192.0.2.1: icmp_seq=4 ttl=57 time=13.0 ms

--- example.org ping statistics ---
4 packets transmitted, 3 received, 25% packet loss, time 3000ms
"""


def atlas(at_s: int, *packets: dict[str, Any], probe: int = 1003, **more: Any) -> dict[str, Any]:
    return {"type": "ping", "msm_id": 1, "prb_id": probe, "timestamp": at_s, "result": list(packets), **more}


def written(folder: Path, content: Any, name: str = "rtt.txt") -> Path:
    """Write text as it is, a list as JSON lines."""
    path = folder / name
    lines = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
    path.write_text(lines, encoding="utf-8")
    return path


# --- plain lists and tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rtt_s"),
    [
        ("12.5\n*\n11\n", [0.0125, np.nan, 0.011]),
        ("# my line\n\n12.5\ntimeout\n11.0\n", [0.0125, np.nan, 0.011]),
        ("12.5 ms\n0.5s\n900 us\n", [0.0125, 0.5, 0.0009]),
        ("1.25e1\n11\n", [0.0125, 0.011]),
        ("rtt_ms\n12.5\n\n11\n", [0.0125, 0.011]),
        ("rtt_s\n0.0125\n0.011\n", [0.0125, 0.011]),
        ("rtt_us,note\n12500,a\n,b\n11000,c\n", [0.0125, np.nan, 0.011]),
        ("rtt\n12.5\n11\n", [0.0125, 0.011]),
    ],
)
def test_lists_and_tables(text: str, rtt_s: list[float], tmp_path: Path) -> None:
    series = read_rtt(written(tmp_path, text))
    np.testing.assert_allclose(series.rtt_s, rtt_s, rtol=1e-12)
    assert series.loss_share == pytest.approx(np.isnan(rtt_s).mean())
    assert ("Its numbers name no unit" in " ".join(series.warnings)) == (
        text[:6] in {"12.5\n*", "# my l", "1.25e1", "rtt\n12"}
    )


def test_a_table_has_times_and_paths(tmp_path: Path) -> None:
    text = "at_s,rtt_ms,path\n4,14,home\n0,10,home\n1,50,work\n2,12,home\n6,60,work\n"
    groups = read_rtt_groups(written(tmp_path, text))
    assert list(groups) == ["home", "work"]
    np.testing.assert_allclose(groups["home"].rtt_s, [0.010, 0.012, 0.014])
    assert (groups["home"].spacing_s, groups["work"].spacing_s) == (2.0, 5.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0.5\n0.4\n", "a median of 0.45 would be usual in s or ms; say which with link.series_unit"),
        ("rtt\n0.5\n0.4\n", "would be usual in s or ms"),
        ("12,5\n11,0\n", "row 1: expected one number, got '12,5'; write a decimal point"),
        ("12.5 ms\n11\n", "some of its numbers have a unit and some have none"),
        ("12.5 min\n", "no known format"),
        ("12.5 m\n*\n", "expected s, ms, us or ns after the number, got 'm'"),
        ("-3\n*\n", "expected a time >= 0"),
        ("*\n*\n", "no known format"),
        ("rtt_ms,rtt_s\n1,2\n", "has rtt_ms and rtt_s; leave one"),
        ("rtt_ms\n", "no rows"),
        ("rtt_ms\n-1\n", "row 2 column rtt_ms: expected a finite number of at least 0"),
        ("rtt_ms\nx\n", "row 2 column rtt_ms"),
        ("rtt_s\n12\n13\n", "so the file's times are probably in ms; say which with link.series_unit"),
        ("rtt_ms\n0.012\n0.013\n", "probably in s"),
        ("", "empty"),
    ],
)
def test_what_is_no_list_of_round_trips(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_rtt(written(tmp_path, text))
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_unit_that_is_said_counts_and_ends_the_doubt(tmp_path: Path) -> None:
    for text in ("0.5\n0.4\n", "rtt\n0.5\n0.4\n", "0.5\n*\n0.4\n"):
        series = read_rtt(written(tmp_path, text), unit="s")
        assert np.nanmax(series.rtt_s) == 0.5
        assert series.warnings == ()
        assert np.nanmax(read_rtt(written(tmp_path, text), unit="ms").rtt_s) == 0.0005
    with pytest.raises(UserError, match="names its units itself"):
        read_rtt(written(tmp_path, "12 ms\n13 ms\n"), unit="s")


def test_seconds_that_no_path_takes_are_doubted(tmp_path: Path) -> None:
    (doubt,) = read_rtt(written(tmp_path, "rtt_s\n5\n6\n")).warnings
    assert "slower than by satellite, or ms taken for s" in doubt
    assert read_rtt(written(tmp_path, "rtt_s\n0.6\n0.7\n")).warnings == ()


# --- RIPE Atlas -----------------------------------------------------------------------------------------------


def test_results_of_atlas_are_sorted_and_their_losses_and_duplicates_told_apart(tmp_path: Path) -> None:
    rows = [
        atlas(480, {"rtt": 12.0}, {"error": "connect failed"}, {"rtt": 14.0}),
        atlas(0, {"rtt": 10.0}, {"rtt": 10.5, "dup": 1}, {"x": "*"}, {"rtt": 11.0}),
        atlas(0, {"rtt": 90.0}, probe=7),
        atlas(240, {"rtt": 95.0}, probe=7),
    ]
    groups = read_rtt_groups(written(tmp_path, rows))
    assert list(groups) == ["probe 1003", "probe 7"]
    burst, single = groups.values()
    np.testing.assert_allclose(burst.rtt_s, [0.010, np.nan, 0.011, 0.012, np.nan, 0.014])
    assert burst.recording is not None
    assert burst.recording.tolist() == [0, 0, 0, 1, 1, 1]
    assert (burst.spacing_s, burst.notes["duplicates"]) == (1.0, 1)
    assert (single.spacing_s, single.recording, single.warnings) == (240.0, None, ())
    array = written(tmp_path, json.dumps(rows, indent=1), "array.json")
    assert detect(array).name == "atlas"
    np.testing.assert_array_equal(read_rtt_groups(array)["probe 1003"].rtt_s, burst.rtt_s)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (atlas(0, {"rtt": 1.0}) | {"type": "traceroute"}, "is a traceroute of RIPE Atlas"),
        (atlas(0) | {"result": "x"}, "row 1 column result: expected a list of packets"),
        (atlas(0, {"rtt": "fast"}), "row 1 column result: expected a round trip in ms"),
        (atlas(0, {"rtt": -1.0}), "expected a round trip in ms of at least 0"),
        (atlas(0), "holds no packet"),
        (atlas(0, {"x": "*"}), "every probe was lost"),
        (atlas(-5, {"rtt": 1.0}), "column timestamp"),
    ],
)
def test_results_that_are_no_pings(row: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_rtt(written(tmp_path, [row]))
    assert told in str(caught.value)


# --- M-Lab ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"id": "x", "a": {"MinRTT": 20.5, "LossRate": 0.1}},
        {"id": "x", "a": {"FinalSnapshot": {"TCPInfo": {"MinRTT": 20500, "RTT": 40000}}}},
        {"id": "x", "a": {"FinalSnapshot": {"tcpinfo": {"MinRTT": 20500}}}},
        {"UUID": "x", "FinalSnapshot": {"TCPInfo": {"MinRTT": 20500}}},
        {
            "Version": "v0.20",
            "Download": {
                "ServerMeasurements": [
                    {"BBRInfo": {"MinRTT": 1}, "TCPInfo": {"MinRTT": 25000}},
                    {"TCPInfo": {"MinRTT": 20500}},
                    {"AppInfo": {}},
                ]
            },
        },
        {"raw": {"Upload": {"ServerMeasurements": [{"TCPInfo": {"MinRTT": 20500}}]}}, "a": {"MinRTT": 99.0}},
        {"raw": {"S2C": {"MinRTT": 20_500_000}}, "a": {"MinRTT": 99.0}},
        {"Control": {}, "S2C": {"MinRTT": 20_500_000}},
    ],
    ids=["ndt7", "tcpinfo", "tcpinfo lower", "tcpinfo raw", "ndt7 archive", "ndt7 raw", "ndt5 raw", "ndt5 archive"],
)
def test_each_schema_of_mlab_has_its_own_unit(row: dict[str, Any], tmp_path: Path) -> None:
    series = read_rtt(written(tmp_path, [row, row]))
    assert series.notes["format"] == "mlab"
    np.testing.assert_allclose(series.rtt_s, [0.0205, 0.0205])
    assert "neither jitter nor loss is known" in series.warnings[0]


def test_rows_of_mlab_without_a_round_trip_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"a": {"MinRTT": 20.5}}, {"a": {"MinRTT": None}}, {"a": {"MinRTT": 0}}, {"a": {}}]
    series = read_rtt(written(tmp_path, rows))
    assert (len(series), series.loss_share) == (1, 0.0)
    assert "3 of 4 rows have no MinRTT" in series.warnings[1]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"MinRTT": 20.5}], "does not say what its times are in: a median of 20.5 would be usual in ms"),
        ([{"MinRTT": 20.5}, {"a": {"MinRTT": 20.5}}], "rows of several schemas"),
        ([{"a": {"MinRTT": "20"}}], "row 1 column MinRTT: expected a number"),
        ([{"a": {"MinRTT": 0}}], "no row has a MinRTT above 0"),
    ],
)
def test_rows_of_mlab_that_do_not_tell(rows: list[dict[str, Any]], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_rtt(written(tmp_path, rows))
    assert told in str(caught.value)


def test_a_user_keeps_the_round_trip_of_one_client(tmp_path: Path) -> None:
    """Rows of clients are no series over time: within a run, a user's round trips are all alike."""
    rows = [{"a": {"MinRTT": 10.0 + i}} for i in range(60)]
    path = written(tmp_path, rows, "mlab.jsonl")
    model = build(scenario(series=str(path), overlap="keep")).model.link
    from discosim.core.rng import RandomStreams
    from discosim.world.link import Link

    tape = Link(model, 50, RandomStreams(1))
    ways_s = np.array([[tape.up_s(at_s, user) for at_s in (0.0, 1.0, 3600.0)] for user in range(50)])
    assert (ways_s == ways_s[:, :1]).all()
    assert np.unique(ways_s).size > 10


# --- digests and scenarios ------------------------------------------------------------------------------------


def scenario(**link: Any) -> Any:
    return load_scenario(
        {
            "name": "hop",
            "replications": 1,
            "workload": {
                "kind": "generate",
                "n_requests": 8,
                "arrivals": {"kind": "poisson", "rate_per_s": 1},
                "lengths": {"kind": "constant", "prompt_tok": 20, "output_tok": 20},
            },
            "devices": [{"profile": "snapdragon-8-elite-llama-3.2-1b"}],
            "server": {
                "kind": "replay",
                "digest": "openrouter-gpt-5.4",
                "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1},
            },
            "link": {"kind": "digest", **link},
            "cost": {"exchange_rate_usd_per_j": 0},
            "policies": [{"kind": "server_only"}],
        }
    )


def test_a_series_and_its_digest_are_one_last_hop(tmp_path: Path) -> None:
    ping, out = written(tmp_path, PING, "ping.txt"), tmp_path / "home.json"
    assert main(["traces", "digest-rtt", str(ping), "--out", str(out), "--title", "Mine"]) == 0
    held = read_own_digest(out, "rtt")
    assert (held.name, held.card.title, held.card.contains) == ("ping", "Mine", ("access", "wide_area"))
    first, second = simulate(scenario(series=str(ping))), simulate(scenario(digest_file=str(out)))
    for name, column in first.columns.items():
        np.testing.assert_array_equal(column, second.columns[name], err_msg=name)
    for result, name in ((first, "ping.txt"), (second, "home.json")):
        assert f"last hop {name}: the user's own file" in result.notes
        assert any("last hop: Only 3 round trips" in note for note in result.notes)
    model = build(scenario(series=str(ping), overlap="keep")).model.link
    assert model.rtt is not None
    assert model.rtt.table.values[0] == pytest.approx(0.0109)
    assert (model.tick_s, model.loss_share) == (pytest.approx(1.0), 0.25)


def test_where_it_was_measured_to_says_what_is_taken_out(tmp_path: Path) -> None:
    ping = written(tmp_path, PING, "ping.txt")
    far, near = (build(scenario(series=str(ping), series_to=end)) for end in ("host", "gateway"))
    assert any("its p1 of 11 ms was taken out" in note for note in far.notes)
    assert not any("taken out" in note for note in near.notes)
    assert far.model.link.mean_delay_s() < near.model.link.mean_delay_s()
    with pytest.raises(UserError, match="did you mean 'gateway'"):
        digest_rtt(ping, measured_to="gatway")


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    quirks = " ".join(digest_rtt(written(tmp_path, "12\n11\n13\n")).card.quirks)
    assert f"a run takes {DEFAULT_TICK_S:g} s" in quirks
    seldom = written(tmp_path, "at_s,rtt_ms\n0,12\n300,13\n600,11\n")
    assert "Probes were 300 s apart: in between, the round trip stands still." in digest_rtt(seldom).card.quirks
    with pytest.raises(UserError, match="holds 1 round trip; a digest needs 2"):
        digest_rtt(written(tmp_path, "rtt_ms\n12\n"))


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ({}, "needs exactly one of digest, digest_file and series (got none)"),
        ({"digest": "phone-4g", "series": "p.txt"}, "(got digest and series)"),
        ({"digest": "phone-4g", "series_unit": "ms"}, "has a meaning only beside series"),
        ({"digest": "phone-4g", "series_to": "gateway"}, "has a meaning only beside series"),
        ({"series": "none.txt"}, "no such file"),
        ({"digest_file": "p.txt"}, "make one with `discosim traces digest-rtt`"),
    ],
)
def test_a_link_says_once_where_it_is_from(
    link: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, PING, "p.txt")
    with pytest.raises(UserError) as caught:
        scenario(**link)
    assert told in str(caught.value)


def test_the_content_of_the_file_counts_in_the_name_of_a_run(tmp_path: Path) -> None:
    ping = written(tmp_path, PING, "ping.txt")
    first = run_id(scenario(series=str(ping)))
    assert run_id(scenario(series=str(ping), series_to="gateway")) != first
    written(tmp_path, PING.replace("11.2", "11.3"), "ping.txt")
    assert run_id(scenario(series=str(ping))) != first
