"""Round trips as ping prints them: what came back, which probes were lost, and how far apart they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import RttSeries, detect, read_rtt, read_rtt_groups

LINUX = """PING example.org (192.0.2.1) 56(84) bytes of data.
64 bytes from 192.0.2.1: icmp_seq=2 ttl=57 time=11.2 ms
64 bytes from example.org (192.0.2.1): icmp_seq=3 ttl=57 time=10.9 ms
64 bytes from 192.0.2.1: icmp_seq=3 ttl=57 time=12.9 ms (DUP!)
64 bytes from 192.0.2.1: icmp_seq=6 ttl=57 time=0.045 ms
64 bytes from 192.0.2.1: icmp_seq=5 ttl=57 time=1003 ms
From 192.0.2.9 icmp_seq=7 Destination Host Unreachable

--- example.org ping statistics ---
8 packets transmitted, 4 received, +1 duplicates, +1 errors, 50% packet loss, time 3500ms
rtt min/avg/max/mdev = 0.045/256.286/1003.000/431.2 ms
"""
MAC = """PING example.org (192.0.2.1): 56 data bytes
64 bytes from 192.0.2.1: icmp_seq=0 ttl=56 time=11.632 ms
Request timeout for icmp_seq 1
64 bytes from 192.0.2.1: icmp_seq=2 ttl=56 time=14.051 ms
Request timeout for icmp_seq 3

--- example.org ping statistics ---
4 packets transmitted, 2 packets received, 50.0% packet loss
round-trip min/avg/max/stddev = 11.632/12.842/14.051/1.210 ms
"""
WINDOWS = """
Pinging example.org [192.0.2.1] with 32 bytes of data:
Reply from 192.0.2.1: bytes=32 time=11ms TTL=57
Request timed out.
Reply from 192.0.2.1: bytes=32 time<1ms TTL=57
Reply from 192.0.2.9: Destination host unreachable.

Ping statistics for 192.0.2.1:
    Packets: Sent = 4, Received = 2, Lost = 2 (50% loss),
Approximate round trip times in milli-seconds:
    Minimum = 0ms, Maximum = 11ms, Average = 5ms
"""
GERMAN = """
Ping wird ausgeführt für example.org [192.0.2.1] mit 32 Bytes Daten:
Antwort von 192.0.2.1: Bytes=32 Zeit=11ms TTL=57
Zeitüberschreitung der Anforderung.
Antwort von 192.0.2.1: Bytes=32 Zeit=13ms TTL=57

Ping-Statistik für 192.0.2.1:
    Pakete: Gesendet = 3, Empfangen = 2, Verloren = 1
    (33% Verlust),
Ca. Zeitangaben in Millisek.:
    Minimum = 11ms, Maximum = 13ms, Mittelwert = 12ms
"""
BUSYBOX = """PING 192.0.2.1 (192.0.2.1): 56 data bytes
64 bytes from 192.0.2.1: seq=0 ttl=57 time=11.234 ms
64 bytes from 192.0.2.1: seq=2 ttl=57 time=10.987 ms

--- 192.0.2.1 ping statistics ---
3 packets transmitted, 2 packets received, 33% packet loss
round-trip min/avg/max = 10.987/11.110/11.234 ms
"""
NAN = np.nan


def read(folder: Path, text: str | bytes, name: str = "ping.txt") -> RttSeries:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    assert detect(path).name == "ping"
    return read_rtt(path)


@pytest.mark.parametrize(
    ("text", "ms", "spacing_s"),
    [
        # eight were sent, numbered from 1; 1, 4, 7 and 8 have no reply
        (LINUX, [NAN, 11.2, 10.9, NAN, 1003, 0.045, NAN, NAN], 0.5),
        (MAC, [11.632, NAN, 14.051, NAN], None),
        (WINDOWS, [11, NAN, 0.5, NAN], None),
        (GERMAN, [11, NAN, 13], None),  # the words for a lost one are not known, the number of such lines is
        (BUSYBOX, [11.234, NAN, 10.987], None),
    ],
)
def test_every_system_is_read(tmp_path: Path, text: str, ms: list[float], spacing_s: float | None) -> None:
    series = read(tmp_path, text)
    np.testing.assert_allclose(series.rtt_s * 1e3, ms, rtol=1e-12)
    assert series.lost.tolist() == np.isnan(ms).tolist()
    assert series.loss_share == np.isnan(ms).mean()
    assert series.spacing_s == spacing_s
    assert series.group == "ping"


def test_what_is_guessed_is_said(tmp_path: Path) -> None:
    assert read(tmp_path, LINUX).notes["duplicates"] == 1
    assert "1 replies took less than 1 ms" in read(tmp_path, WINDOWS).warnings[0]
    assert read(tmp_path, GERMAN).warnings == ()
    more = read(tmp_path, GERMAN.replace("Gesendet = 3", "Gesendet = 4").replace("Verloren = 1", "Verloren = 2"))
    assert "counts 2 lost probes that have no line; they were put at the end" in more.warnings[0]
    assert more.lost.tolist() == [False, False, True, True]
    cut = read(tmp_path, LINUX.partition("\n---")[0])
    assert "no summary: probes lost at its end are not known" in cut.warnings[0]
    assert cut.rtt_s.size == 7  # the one that was unreachable had a number
    wrong = read(tmp_path, MAC.replace("2 packets received", "3 packets received"))
    assert "The summary counts 3 replies; 2 were read." in wrong.warnings


def test_stamps_give_the_time_between_probes(tmp_path: Path) -> None:
    lines = [f"[{1_700_000_000 + 0.2 * i:.6f}] 64 bytes from h: icmp_seq={i} ttl=57 time=9.0 ms" for i in (1, 2, 4, 5)]
    series = read(tmp_path, "PING h (192.0.2.1) 56(84) bytes of data.\n" + "\n".join(lines))
    assert series.spacing_s == pytest.approx(0.2, abs=1e-6)
    assert series.lost.tolist() == [False, False, True, False, False]


def test_numbers_go_on_after_their_last(tmp_path: Path) -> None:
    order = [65533, 65534, 0, 65535, 2]  # 1 is lost, 65535 came late
    text = "".join(f"64 bytes from h: icmp_seq={n} ttl=57 time={10 + i}.0 ms\n" for i, n in enumerate(order))
    np.testing.assert_allclose(read(tmp_path, text).rtt_s * 1e3, [10, 11, 13, 12, NAN, 14])


def test_several_calls_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "ping.txt"
    path.write_text(MAC + MAC + WINDOWS + BUSYBOX)
    assert list(read_rtt_groups(path)) == ["example.org", "example.org#2", "example.org#3", "192.0.2.1"]
    dead = "PING h (192.0.2.7) 56(84) bytes of data.\n\n4 packets transmitted, 0 received, 100% packet loss, time 3ms\n"
    path.write_text(dead + MAC)
    assert read_rtt(path).received_s.tolist() == pytest.approx([0.011632, 0.014051])
    assert "Left out: 1 of the 2 calls in the file had no reply." in read_rtt(path).warnings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LINUX.replace("time=10.9 ms", "time=fast ms"), "row 3: expected a reply with a time in ms"),
        (LINUX.replace("icmp_seq=3", "icmp_seq=99999"), "row 3: expected a sequence number below 65,536, got 99999"),
        (LINUX.replace("8 packets", "999999999 packets"), "counts 999,999,999 probes; at most 10,000,000 are read"),
        (
            "PING h (192.0.2.1) 56(84) bytes of data.\n\n3 packets transmitted, 3 received, 0% packet loss, time 3ms\n",
            r"holds the summary alone \(ping -q\)",
        ),
        ("PING h (192.0.2.1) 56(84) bytes of data.\n", "holds no replies; a series needs the replies one by one"),
        (MAC.replace("time=11.632", "time=0.0").replace("time=14.051", "time=0"), "every probe was lost, or is 0"),
    ],
)
def test_bad_output_is_refused_in_a_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, text)
    assert "ping.txt" in str(caught.value)


def test_round_trips_of_zero_are_lost_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("11.0\n0\n10.0\n")
    (tmp_path / "s.txt").write_text("1694477135.50\t1\t44.5\n1694477135.65\t2\t0\n1694477135.80\t3\t40\n")
    for name in ("u.csv", "s.txt"):
        series = read_rtt(tmp_path / name)
        assert series.lost.tolist() == [False, True, False]
        assert "1 of 3 round trips are 0, as none is" in series.warnings[-1]
    (tmp_path / "s.txt").write_text("1694477135.50\t1\t-1\n1694477135.65\t2\t-1\n")
    with pytest.raises(UserError, match="holds no round trip: every probe was lost"):
        read_rtt(tmp_path / "s.txt")
