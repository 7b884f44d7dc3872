"""Formats of other tools: Bailian, LLMServingSim and BLIS, on tiny hand-made files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import RequestTrace, detect, read_requests
from discosim.traces.writers import write_requests


def lines(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# --- bailian ----------------------------------------------------------------------------------------------------


def chat(number: object, before: object, at_s: float, ids: list[int] | None = None, turn: int = 1) -> dict[str, object]:
    ids = [1] if ids is None else ids
    lengths = {"input_length": 16 * len(ids), "output_length": 9}
    return {"chat_id": number, "parent_chat_id": before, "timestamp": at_s, **lengths, "turn": turn, "hash_ids": ids}


def test_bailian_counts_in_seconds_and_blocks_of_sixteen(write) -> None:
    path = write(lines(chat(3, -1, 61.114, [4, 5, 6]), chat(7, 3, 61.614, [4, 5, 6, 9], 2)), "b.jsonl")
    assert detect(path).name == "bailian"
    trace = read_requests(path)
    assert trace.arrival_s == pytest.approx([0.0, 0.5], abs=1e-12)
    assert trace.notes["first_arrival"] == 61.114
    assert (trace.hash_block_tok, trace.notes["tick_s"], trace.warnings) == (16, 0.001, ())
    assert trace.hash_ids is not None
    assert trace.hash_ids[0].tolist() == trace.hash_ids[1].tolist()[:3]


def test_the_first_chat_of_a_chain_is_the_session(write) -> None:
    path = write(
        lines(
            chat(1, -1, 0.0),
            chat(2, 1, 1.0),
            chat(9, -1, 2.0),
            chat(3, 2, 3.0),
            chat(5, 4, 4.0),  # chat 4 lies before the cut
            chat(6, 4, 5.0),
            chat(9, -1, 6.0),  # the same chat again
            chat(7, 8, 7.0),  # a chain that bites its tail
            chat(8, 7, 8.0),
        ),
        "b.jsonl",
    )
    sessions = read_requests(path).session_id
    assert sessions is not None
    assert sessions[:7].tolist() == ["1", "1", "9", "1", "4", "4", "9"]
    assert sessions[7] == sessions[8]


def test_bailian_without_parents_or_with_a_first_record_that_lacks_a_key(write) -> None:
    rows = [chat(1, -1, 0.0), chat(1, -1, 1.0), chat(2, -1, 2.0)]
    for row in rows:
        del row["parent_chat_id"], row["hash_ids"]
    trace = read_requests(write(lines(*rows), "b.jsonl"))
    assert trace.session_id is not None
    assert (trace.session_id.tolist(), trace.hash_ids) == (["1", "1", "2"], None)
    del rows[0]["chat_id"]
    with pytest.raises(UserError, match=r"b\.jsonl row 1: no key 'chat_id'"):
        read_requests(write(lines(*rows), "b.jsonl"))


def test_bailian_read_as_mooncake_is_refused(write) -> None:
    path = write(lines(chat(1, -1, 0.0), chat(2, 1, 1.0)), "b.jsonl")
    with pytest.raises(UserError, match="holds chat_id, as Bailian's traces do, whose timestamps are seconds"):
        read_requests(path, format="mooncake")
    assert read_requests(path, format="mooncake", time_unit="ms").arrival_s.tolist() == [0.0, 0.001]


def test_a_block_of_the_same_content_after_another_way_is_another_block(write) -> None:
    trace = read_requests(
        write(lines(chat(1, -1, 0.0, [1, 2]), chat(2, -1, 1.0, [3, 2]), chat(3, -1, 2.0, [1, 2])), "b.jsonl")
    )
    assert trace.hash_ids is not None
    one, other, again = (trace.hash_ids[i].tolist() for i in range(3))
    assert one == again
    assert one[1] != other[1]


# --- llmservingsim ----------------------------------------------------------------------------------------------


def test_llmservingsim_counts_in_nanoseconds_and_is_sorted(write) -> None:
    rows = [
        {"input_toks": 100, "output_toks": 20, "arrival_time_ns": 500_000_000, "input_tok_ids": [1] * 3},
        {"arrival_time_ns": 250_000_001, "output_toks": 30, "input_toks": 50},
        {"input_toks": 7, "output_toks": 8, "arrival_time_ns": 1_700_000_000_000_000_001},
    ]
    trace = read_requests(write(lines(*rows[:2]), "w.jsonl"))
    assert trace.notes["format"] == "llmservingsim"
    assert trace.arrival_s.tolist() == [0.0, 0.249999999]
    assert (trace.prompt_tok.tolist(), trace.output_tok.tolist()) == ([50, 100], [30, 20])
    assert (trace.source_row.tolist(), trace.notes["sorted"]) == ([2, 1], 1)
    (doubt,) = read_requests(write(lines(*rows), "w.jsonl")).warnings
    assert doubt.startswith("the trace spans 53.9 years, read in ns")


def test_sessions_of_llmservingsim_have_no_arrivals_to_replay(write) -> None:
    flat = {"input_toks": 1, "output_toks": 1, "arrival_time_ns": 0}
    chained = {"session_id": "s", "arrival_time_ns": 5, "sub_requests": [{"input_toks": 1}]}
    for rows, place in (((chained,), "row 1"), ((flat, chained), "row 2")):
        with pytest.raises(UserError, match=rf"{place} column sub_requests: is a session whose calls begin when"):
            read_requests(write(lines(*rows), "w.jsonl"))
    del flat["output_toks"]
    with pytest.raises(UserError, match="row 1 column output_toks: is missing"):
        read_requests(write(lines(flat), "w.jsonl"), format="llmservingsim")


# --- blis -------------------------------------------------------------------------------------------------------

BLIS = (
    "request_id,client_id,tenant_id,slo_class,session_id,round_index,prefix_group,prefix_length,streaming,input_tokens,"
    "output_tokens,text_tokens,image_tokens,audio_tokens,video_tokens,reason_ratio,model,deadline_us,server_input_tokens,"
    "arrival_time_us,send_time_us,first_chunk_time_us,last_chunk_time_us,num_chunks,status,error_message,finish_reason\n"
)


def blis_row(
    number: int,
    at_us: int,
    tok: int,
    *,
    client: str = "",
    group: str = "",
    prefix: int = 0,
    server: int = 0,
    status: str = "ok",
) -> str:
    return (
        f"{number},{client},,,,0,{group},{prefix},true,{tok},{5 + number},0,0,0,0,0,,0,{server},"
        f"{at_us},{at_us},0,0,0,{status},,\n"
    )


def test_blis_puts_prompts_together_as_its_replay_does(write) -> None:
    path = write(
        BLIS
        + blis_row(0, 2_000_000, 100, group="g", prefix=400, server=555)  # the server's count holds the prefix already
        + blis_row(1, 1_000_000, 100, server=120)
        + blis_row(2, 3_500_000, 100, client="ada")
        + blis_row(3, 4_000_000, 100, status="error")
    )
    trace = read_requests(path)
    assert trace.notes["format"] == "blis"
    assert trace.arrival_s.tolist() == [0.0, 1.0, 2.5]
    assert trace.prompt_tok.tolist() == [120, 500, 100]
    assert trace.output_tok.tolist() == [6, 5, 7]
    assert trace.source_row.tolist() == [3, 2, 4]
    assert trace.user_id is not None
    assert trace.user_id.tolist() == ["", "", "ada"]
    assert (trace.session_id, trace.notes["dropped_failed"], trace.notes["header"]) == (None, 1, "none")


def test_more_columns_of_newer_blis_files_are_no_matter(write) -> None:
    header = BLIS.replace("slo_class,", "slo_class,vllm_priority,").replace("finish_reason", "finish_reason,adapter")
    row = blis_row(0, 5, 100).replace(",,,,0,", ",,,3,,0,", 1).replace(",,\n", ",,,lora\n")
    trace = read_requests(write(header + row))
    assert (trace.prompt_tok.tolist(), trace.output_tok.tolist()) == ([100], [5])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("trace_version: 2\ntime_unit: seconds\n", "t.yaml: expected time_unit: microseconds, got 'seconds'"),
        ("trace_version: 9\n", "t.yaml: trace_version 9 is not known; expected 2 or 3"),
        ("trace_version: [\n", "t.yaml: the header cannot be read"),
    ],
)
def test_a_header_that_means_something_else_is_refused(header: str, message: str, write) -> None:
    path = write(BLIS + blis_row(0, 5, 100))
    write(header, "t.yaml")
    with pytest.raises(UserError) as caught:
        read_requests(path)
    assert message in str(caught.value)
    write("name: my-scenario\n", "t.yaml")  # no header, only a neighbour of that name
    assert read_requests(path).notes["header"] == "none"


def test_a_scenario_of_the_name_of_the_header_is_not_replaced(tmp_path) -> None:
    trace = RequestTrace(np.arange(2.0), np.full(2, 9), np.full(2, 5), np.arange(1, 3))
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    with pytest.raises(UserError, match=r"mine\.yaml: exists and is no header of such a trace, so it is not replaced"):
        write_requests(trace, tmp_path / "mine.csv", "blis")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    write_requests(trace, tmp_path / "other.csv", "blis")
    write_requests(trace, tmp_path / "other.csv", "blis")  # its own header it may
    assert read_requests(tmp_path / "other.csv").notes["header"] == "other.yaml"
