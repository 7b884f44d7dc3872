"""Files of servers that are no trace of requests: what they are, and which command takes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from server_log_files import Row, lines, table

from discosim.cli import main
from discosim.core.errors import UserError
from discosim.traces.readers import read_latency, read_requests
from discosim.traces.server_logs import read_server_log
from discosim.traces.server_series import read_server_series

SERIES = "is a series of what a server did, moment by moment, and no requests; give it to engine calibrate or validate"
PAGE = "is a page of metrics as Prometheus reads it"
VLLM = (
    "INFO 10-06 11:23:31 Engine 000: Avg prompt throughput: 474.7 tokens/s, Avg generation throughput: 9.8 tokens/s, "
    "Running: 1 reqs, Waiting: 0 reqs, GPU KV cache usage: 3.0%\n"
)
RANGE = {
    "resultType": "matrix",
    "result": [{"metric": {"__name__": "vllm:num_requests_running"}, "values": [[1, "3"]]}],
}
NAMED = [
    ("t,running,waiting,gen_throughput\n1,2,0,5\n2,2,0,5\n", SERIES),
    ('{"timestamp": 1, "num_requests_running": 2, "generation_throughput": 5}\n', SERIES),
    ("timestamp_ms,num_running,generation_tokens_per_s\n1000,2,5\n2000,2,5\n", SERIES),
    (f"INFO 10-06 11:23:00 starting\n{VLLM}", SERIES),
    ('# HELP vllm:x Histogram\n# TYPE vllm:x histogram\nvllm:x_bucket{le="0.1"} 5.0\n', PAGE),
    ("# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs 3.0\n", PAGE),
    (json.dumps({"engine_kwargs": {"max_num_seqs": 128}, "model": "m"}), "is settings of a server"),
    (json.dumps({"status": "success", "data": RANGE}), "is an answer of Prometheus"),
    (
        "[2025-09-03 05:49:00] Decode batch. #running-req: 1, #token: 5, token usage: 0.02, #queue-req: 0,\n",
        "is a log that SGLang writes of itself",
    ),
    (
        "[2025-09-03 05:49:00 TP0] Prefill batch. #new-seq: 1, #running-req: 0, #queue-req: 0, \n",
        "is a log that SGLang writes of itself",
    ),
]


@pytest.mark.parametrize(("text", "said"), NAMED)
def test_a_file_without_requests_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = tmp_path / "file.txt"
    path.write_text(text, encoding="utf-8")
    assert main(["traces", "check", str(path)]) == 2
    err = capsys.readouterr().err
    assert f"file.txt: {said}" in err
    assert "--series" in err or "--meta" in err
    for read in (read_requests, read_latency):
        with pytest.raises(UserError, match=said[:24]):
            read(path)
    if said is not SERIES:
        with pytest.raises(UserError, match=said[:24]):
            read_server_series(path)


def test_a_stamp_in_brackets_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "other.log"
    path.write_text("[2025-09-03 05:49:00] a line of another server\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"begins with '\[2025-09-03 05:49:00\] a line.*is no JSON and names no columns"
    ):
        read_server_series(path)


def stamped(**more: float) -> list[Row]:
    """Return requests as vLLM's older RequestMetrics stamps them."""
    return [
        {"num_prompt_tokens": 100 + i, "num_generation_tokens": 21, "arrival_time": 1.76e9 + i}
        | {"first_scheduled_time": 1.76e9 + i + 0.125, "first_token_time": 1.76e9 + i + 0.25, "time_in_queue": 0.125}
        | {"last_token_time": 1.76e9 + i + 0.75}
        | {name: 1.76e9 + i + late_s for name, late_s in more.items()}
        for i in range(25)
    ]


def test_the_older_metrics_of_vllm_are_a_log(tmp_path: Path) -> None:
    for path in (lines(tmp_path, stamped(finished_time=0.875)), table(tmp_path, stamped(finished_time=0.875))):
        log = read_server_log(path)
        assert np.allclose(log.e2e_s, 0.75, atol=1e-6)
        assert len(read_requests(path)) == 25
    read = read_server_log(lines(tmp_path, stamped(finished_time=0.875)), mapping={"last_token": "finished_time"})
    assert np.allclose(read.e2e_s, 0.875, atol=1e-6)


@pytest.mark.parametrize("name", ["finished_at", "finish_ts", "last_token_ts"])
def test_what_keeps_a_log_from_being_known_is_said(tmp_path: Path, name: str) -> None:
    path = lines(tmp_path, stamped(**{name: 0.875}))
    with pytest.raises(UserError, match="may all be last_token; say which with --map last_token="):
        read_requests(path)
