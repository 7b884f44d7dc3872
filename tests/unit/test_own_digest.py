"""The digest of an own file: the numbers of the file, and those of the shipped digest where the file is the same."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from discosim import load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.runs.identity import run_id
from discosim.traces.catalogue import load_digest
from discosim.traces.describe import describe
from discosim.traces.digest_file import dump_digest, parse_digest, read_own_digest, write_own_digest
from discosim.traces.own_digest import digest_latency

HEAD = "provider,model,ttft_s,end_to_end_latency_s,input_tokens,output_tokens,error_code\n"


def written(folder: Path, *rows: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(HEAD + "".join(f"{row}\n" for row in rows))
    return path


def test_it_holds_what_the_file_says(tmp_path: Path) -> None:
    rows = ["me,chat,0.5,2.5,100,11,", "me,chat,1.5,2.5,100,11,", "me,chat,0,0,100,0,429", "me,chat,1.0,2.0,100,11,"]
    digest = digest_latency(written(tmp_path, *rows), title="A test")
    assert (digest.n, digest.failure_share, dict(digest.failures), digest.prompt_tok) == (3, 0.25, {"429": 1}, 100)
    assert digest.ttft.table.values[0] == 0.5
    assert digest.ttft.table.values[-1] == 1.5
    assert digest.tpot.table.ppf(0.5) == pytest.approx(0.1)
    assert any("tails are not known" in quirk for quirk in digest.card.quirks)
    text = describe(digest)
    assert "A test" in text
    assert "mine.csv" in text
    assert parse_digest(dump_digest(digest), where="text").n == 3


def test_too_few_rows_are_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mine\.csv.*holds 1 requests"):
        digest_latency(written(tmp_path, "me,chat,0.5,2.5,100,11,"))


def test_the_leaderboards_file_gives_the_shipped_digest(raw_traces: Path) -> None:
    mine = digest_latency(raw_traces / "llmperf-leaderboard-2023" / "per_request.csv", group="groq/70b")
    shipped = load_digest("llmperf-groq-llama2-70b", "latency")
    same = dataclasses.replace(mine, name=shipped.name, card=shipped.card, prompt_tok=shipped.prompt_tok)
    assert dump_digest(same) == dump_digest(shipped)


# --- in a scenario --------------------------------------------------------------------------------------------


def scenario_with(folder: Path, server: str) -> Scenario:
    (folder / "mine.yaml").write_text(
        "name: mine\nreplications: 2\n"
        "workload: {kind: generate, n_requests: 50, arrivals: {kind: poisson, rate_per_s: 1}, "
        "lengths: {kind: digest, digest: sharegpt}}\n"
        "devices: [{profile: snapdragon-8-elite-llama-3.2-3b, context: extrapolate}]\n"
        f"server: {{kind: replay, {server}, prices: {{prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}}}}\n"
        "cost: {exchange_rate_usd_per_j: 1.0e-7}\n"
        "policies: [{kind: server_only}, {kind: disco, budget: 0.3}]\n"
    )
    return load_scenario(folder / "mine.yaml")


def test_a_digest_file_gives_what_the_shipped_digest_of_the_same_numbers_gives(tmp_path: Path) -> None:
    write_own_digest(load_digest("openrouter-deepseek-v3.2", "latency"), tmp_path / "own.json")
    own = simulate(scenario_with(tmp_path, "digest_file: own.json"))
    shipped = simulate(scenario_with(tmp_path, "digest: openrouter-deepseek-v3.2"))
    pd.testing.assert_frame_equal(own.requests, shipped.requests)
    assert any("own.json: the user's own file" in note for note in own.notes)


def test_the_place_of_a_digest_file_does_not_count_but_its_content_does(tmp_path: Path) -> None:
    ids = []
    for place, name in (("a", "openrouter-gpt-5.4"), ("b", "openrouter-gpt-5.4"), ("c", "openrouter-gpt-5.5")):
        (tmp_path / place).mkdir()
        write_own_digest(load_digest(name, "latency"), tmp_path / place / "own.json")
        ids.append(run_id(scenario_with(tmp_path / place, "digest_file: own.json")))
    assert ids[0] == ids[1] != ids[2]


def test_a_file_that_is_no_latency_digest_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"server\.digest_file: no such file: .*own\.json"):
        scenario_with(tmp_path, "digest_file: own.json")
    (tmp_path / "own.json").write_text(dump_digest(load_digest("sharegpt", "workload")))
    with pytest.raises(UserError, match=r"own\.json: holds a digest of kind [a-z]+, not latency"):
        simulate(scenario_with(tmp_path, "digest_file: own.json"))
    (tmp_path / "own.json").write_text('{"name": ')
    with pytest.raises(UserError, match=r"own\.json: not a JSON digest"):
        simulate(scenario_with(tmp_path, "digest_file: own.json"))
    sound = dump_digest(load_digest("openrouter-gpt-5.4", "latency"))
    (tmp_path / "own.json").write_text(sound.replace('"n": ', '"n": 7, "n": '))
    with pytest.raises(UserError, match=r'own\.json: not a JSON digest: .*gives the key "n" twice in'):
        simulate(scenario_with(tmp_path, "digest_file: own.json"))
    with pytest.raises(UserError, match=r"server\.digest_file: needs exactly one of .* \(got digest and digest_file\)"):
        scenario_with(tmp_path, "digest_file: own.json, digest: openrouter-gpt-5.4")


def test_the_command_writes_a_digest_or_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"me,chat,{0.5 + 0.01 * k},2.5,100,11," for k in range(60)]
    out = tmp_path / "own.json"
    assert main(["traces", "digest-latency", str(written(tmp_path, *rows)), "--out", str(out), "--title", "Mine"]) == 0
    assert "Mine" in capsys.readouterr().out
    assert simulate(scenario_with(tmp_path, "digest_file: own.json")).requests["ttft_s"].min() >= 0.0
    before = out.read_bytes()
    assert main(["traces", "digest-latency", str(written(tmp_path, "me,chat,fast,2,1,1,")), "--out", str(out)]) == 2
    assert "row 2" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv", "mine.yaml", "own.json"]


def test_a_figure_that_the_scenario_replaces_is_not_called_published(tmp_path: Path) -> None:
    profile = "profile: snapdragon-8-elite-llama-3.2-1b"
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\nreplications: 1\n"
        "workload: {kind: generate, n_requests: 3, n_users: 9, arrivals: {kind: poisson, rate_per_s: 1}, "
        "lengths: {kind: constant, prompt_tok: 9, output_tok: 9}}\n"
        f"devices: [{{{profile}}}, {{{profile}, decode_tok_per_s: 30, decode_j_per_tok: 0.2}}]\n"
        "server: {kind: replay, digest: openrouter-gpt-5.4, prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 1}}\n"
        "cost: {exchange_rate_usd_per_j: 1.0e-7}\npolicies: [{kind: device_only}]\n",
        encoding="utf-8",
    )
    plain, own = [note for note in simulate(load_scenario(path)).notes if note.startswith("device ")]
    assert "chosen in the scenario" not in plain
    chosen, _, others = own.partition("; ")
    assert chosen.endswith(": chosen in the scenario: decode_tok_per_s, decode_j_per_tok")
    assert "published-figure: prefill_s_per_tok, max_context_tok" in others
    assert "decode" not in others


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="names of files are bytes on Linux alone")
def test_a_name_that_is_no_text_is_kept_as_escapes(tmp_path: Path) -> None:
    path, out = tmp_path / "bad\udcff.csv", tmp_path / "mine.json"
    path.write_text("ttft_s,tpot_s\n0.5,0.1\n1.5,0.1\n")
    assert main(["traces", "digest-latency", str(path), "--title", "a\udcfe", "--out", str(out)]) == 0
    digest = read_own_digest(out, "latency")
    assert (digest.card.raw_file, digest.card.title) == ("bad\\udcff.csv", "a\\udcfe")


@pytest.mark.parametrize(
    ("last", "said"), [(5e9, r"the longest TTFT is 5e\+09 s; at most 1e9"), (-1.0, "needs times >= 0|non-decreasing")]
)
def test_times_that_no_configuration_may_have_are_refused(tmp_path: Path, last: float, said: str) -> None:
    content = json.loads(dump_digest(digest_latency(written(tmp_path, *["me,chat,0.5,2.5,100,11,"] * 3))))
    values = content["data"]["ttft"]["values"]
    content["data"]["ttft"]["values"] = [last, *values[1:]] if last < 0 else [*values[:-1], last]
    with pytest.raises(UserError, match=said):
        parse_digest(json.dumps(content), where="mine.json")
