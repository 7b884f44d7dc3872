"""When probes and calls were sent: Unix time in another unit than the name says, in two units, and probes far apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import read_latency, read_rtt

HEADS = {"rtt_ms": "20", "ttft_s,tpot_s": "0.4,0.02"}
READ = {"rtt_ms": read_rtt, "ttft_s,tpot_s": read_latency}


def table(folder: Path, head: str, at: str, moments: list[object]) -> Path:
    path = folder / "rows.csv"
    path.write_text("\n".join([f"{at},{head}", *(f"{moment},{HEADS[head]}" for moment in moments)]) + "\n")
    return path


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("unit", "per_s"), [("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_unix_time_in_a_finer_unit_is_refused(tmp_path: Path, head: str, unit: str, per_s: int) -> None:
    moments: list[object] = [(1_760_000_000 + i) * per_s for i in range(5)]
    with pytest.raises(UserError, match=f"column at_s: .* which is Unix time in {unit}; call the column at_{unit}"):
        READ[head](table(tmp_path, head, "at_s", moments))
    assert len(READ[head](table(tmp_path, head, f"at_{unit}", moments))) == 5


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("per_s", [10**3, 10**6])
def test_unix_time_in_two_units_is_refused(tmp_path: Path, head: str, per_s: int) -> None:
    moments: list[object] = [(1_760_000_000 + i) * (1 if i < 4 else per_s) for i in range(6)]
    with pytest.raises(
        UserError, match=r"row 6 column at_s: .*Unix time in .s, and row 2 has .* in s; write all in one"
    ):
        READ[head](table(tmp_path, head, "at_s", moments))


@pytest.mark.parametrize("head", HEADS)
def test_a_century_is_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(UserError, match=r"row 4 column at_s: is 126\.8 years after row 2: are they in one unit"):
        READ[head](table(tmp_path, head, "at_s", [0, 1, 4_000_000_000]))


def test_probes_have_their_spacing_in_each_unit(tmp_path: Path) -> None:
    for at, step in (("at_s", 1), ("at_ms", 1000), ("at_us", 10**6), ("at_ns", 10**9)):
        series = read_rtt(table(tmp_path, "rtt_ms", at, [step * i for i in range(9)]))
        assert series.spacing_s == 1.0
        assert not series.warnings
    dates: list[object] = [f"2026-03-01T08:00:0{i}" for i in range(9)]
    assert read_rtt(table(tmp_path, "rtt_ms", "at", dates)).spacing_s == 1.0


def test_probes_a_thousand_seconds_apart_are_perhaps_in_ms(tmp_path: Path) -> None:
    series = read_rtt(table(tmp_path, "rtt_ms", "at_s", [1000 * i for i in range(9)]))
    assert series.warnings == ("Probes are 1,000 s apart by at_s; if it is in ms, call it at_ms.",)
    every_hour: list[object] = [1_760_000_000 + 3600 * i for i in range(9)]
    assert not read_rtt(table(tmp_path, "rtt_ms", "at_s", every_hour)).warnings
