"""The digest of an own file: the numbers of the file, and those of the shipped digest where the file is the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from discosim.core.errors import UserError
from discosim.traces.catalogue import describe, load_digest
from discosim.traces.digest_file import dump_digest, parse_digest
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
