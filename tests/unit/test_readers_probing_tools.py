"""Reports of tools that probe a path are named, with what is read instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import read_rtt

MTR = """Start: 2025-10-06T11:23:16+0000
HOST: laptop                      Loss%   Snt   Last   Avg  Best  Wrst StDev
  1.|-- gateway                    0.0%    10    1.1   1.2   0.9   2.0   0.3
"""
TRACEROUTE = """traceroute to example.org (192.0.2.1), 30 hops max, 60 byte packets
 1  gw (192.168.1.1)  1.123 ms  0.998 ms  1.020 ms
 2  * * *
"""
TRACERT = """
Tracing route to example.org [192.0.2.1]
over a maximum of 30 hops:

  1    <1 ms    <1 ms    <1 ms  192.168.1.1
"""
TRACEPATH = " 1?: [LOCALHOST]                      pmtu 1500\n 1:  gateway                0.312ms\n"
MTR_CSV = "Mtr_Version,Start_Time,Status,Host,Hop,Ip,Loss%,Snt, ,Last,Avg,Best\nMTR.0.95,1,OK,a,1,b,0,9,,1,1,1\n"
MTR_JSON = '{\n    "report": {\n        "mtr": {"src": "laptop", "dst": "example.org"},\n        "hubs": []\n    }\n}\n'
FPING = "example.org : [0], 64 bytes, 20.1 ms (20.1 avg, 0% loss)\n"
FPING_LOST = (
    "192.0.2.1 : [0], timed out (NaN avg, 100% loss)\n192.0.2.1 : [1], 64 bytes, 20.4 ms (20.4 avg, 50% loss)\n"
)
FPING_LIST = "example.org : 20.1 20.4 - 19.9 20.0\n"
FPING_SUM = "example.org : xmt/rcv/%loss = 10/10/0%, min/avg/max = 19.9/20.2/22.0\n"
FPING_ALIVE = "example.org is alive (20.1 ms)\n"
IPERF = "Connecting to host example.org, port 5201\n[  5] local 10.0.0.2 port 40000 connected to 192.0.2.1 port 5201\n"


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        (MTR, "a report of mtr"),
        (MTR_CSV, "a report of mtr"),
        (MTR_JSON, "a report of mtr"),
        (TRACEROUTE, "a report of traceroute"),
        (TRACERT, "a report of tracert"),
        (TRACEPATH, "a report of tracepath"),
        (FPING, "an output of fping"),
        (FPING_LOST, "an output of fping"),
        (FPING_LIST, "an output of fping"),
        (FPING_SUM, "a summary of fping"),
        (FPING_ALIVE, "an output of fping"),
        (IPERF, "an output of iperf"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_tool_is_named(tmp_path: Path, text: str, tool: str, end: str) -> None:
    path = tmp_path / "probes.txt"
    path.write_bytes(text.replace("\n", end).encode())
    with pytest.raises(UserError, match=f"is {tool}.*give what `ping -c 600 HOST` prints"):
        read_rtt(path)
