"""Digest files: strict reading, stable bytes, and the catalogue of what ships."""

from __future__ import annotations

import json
import re

import pytest

from discosim.core.device_law import Heat
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.errors import UserError
from discosim.traces import catalogue
from discosim.traces.describe import describe
from discosim.traces.digest import STATUSES, DeviceDigest, LatencyDigest, RttDigest
from discosim.traces.digest_file import dump_digest, parse_digest
from discosim.traces.kinds import KINDS
from discosim.traces.page import traces_page
from discosim.traces.recipes.build import build_digest, recipes

SHIPPED = catalogue.list_digests()
ROOT = catalogue.shipped_root()


def text_of(name: str) -> str:
    return catalogue.find_digest(name).path.read_text(encoding="utf-8")


def content_of(name: str) -> dict:
    return json.loads(text_of(name))


def parse(content: dict):
    return parse_digest(json.dumps(content), where="x.json")


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.name)
def test_every_shipped_digest_loads_and_dumps_to_its_own_bytes(entry):
    digest = catalogue.load_digest(entry.name, entry.kind)
    assert dump_digest(digest) == entry.path.read_text(encoding="utf-8")
    card = digest.card
    assert card.licence
    assert card.citation
    assert card.method
    assert set(card.status.values()) <= set(STATUSES)
    if card.raw_file:
        assert re.fullmatch("[0-9a-f]{64}", card.raw_sha256)


def test_every_recipe_ships_and_nothing_else_does():
    assert {entry.name for entry in SHIPPED} == set(recipes())
    assert {entry.kind for entry in SHIPPED} == set(KINDS)
    assert {path.stem for path in ROOT.rglob("*.json")} == set(recipes())


def test_latencies_and_round_trips_say_what_they_contain():
    parts = {"inference", "queueing", "wide_area", "access", "server_time"}
    for entry in SHIPPED:
        digest = catalogue.load_digest(entry.name)
        if isinstance(digest, (LatencyDigest, RttDigest)):
            assert digest.card.contains
            assert set(digest.card.contains) <= parts
        if isinstance(digest, RttDigest):
            assert (digest.server_time_s > 0) == ("server_time" in digest.card.contains)


def test_every_device_figure_names_status_and_source():
    figures = {
        "prefill_s_per_tok",
        "prefill_intercept_s",
        "chunk_tok",
        "decode_tok_per_s",
        "prefill_j_per_tok",
        "decode_j_per_tok",
        "max_context_tok",
        "residual",
        "heat",
        "cold_start_load_s",
    }
    for entry in catalogue.list_digests("device"):
        digest = catalogue.load_digest(entry.name)
        assert isinstance(digest, DeviceDigest)
        held = {figure for figure in figures if getattr(digest, figure) is not None}
        assert set(digest.provenance) - {"heat.cooling_s"} == held  # part of a figure that may be known otherwise
        assert all(p.status in STATUSES and p.source for p in digest.provenance.values())


def test_recollected_phones_are_tagged_as_such():
    digest = catalogue.load_digest("pixel-7-pro-bloom-1.1b", "device")
    assert isinstance(digest, DeviceDigest)
    assert 1 / digest.prefill_s_per_tok == pytest.approx(31.32, rel=1e-5)
    assert digest.decode_tok_per_s == 13.93
    assert digest.provenance["decode_tok_per_s"].status == "recollection"
    assert digest.provenance["decode_j_per_tok"].status == "assumption"
    assert digest.decode_j_per_tok == pytest.approx(0.1065)


def test_npu_prefill_is_one_chunk_of_128_tokens():
    digest = catalogue.load_digest("snapdragon-8-elite-llama-3.2-3b", "device")
    assert isinstance(digest, DeviceDigest)
    assert digest.chunk_tok == 128
    assert digest.chunk_tok * digest.prefill_s_per_tok == pytest.approx(0.088195, rel=1e-5)
    assert digest.max_context_tok == 4096


NOISY = {
    "residual": {
        "prefill": {"latent_rho": 0.25, "levels": [0, 0.5, 1], "values": [0.75, 1, 1.5]},
        "decode": {"latent_rho": 0, "levels": [0, 1], "values": [0.9375, 1.0625]},
        "stalls": {"share": 0.0625, "duration": {"levels": [0, 1], "values": [2.5, 12]}},
        "first": 2.5,
    },
    "heat": {"heating_s": 40, "cooling_s": 90, "onset": 0.25, "floor": 0.5},
    "cold_start_load_s": 1.5,
}


def noisy(**replaced) -> dict:
    content = content_of("pixel-7-pro-bloom-1.1b")
    content["data"].update({**json.loads(json.dumps(NOISY)), **replaced})
    return content


def test_a_device_digest_holds_noise_and_heat():
    digest = parse(noisy())
    assert digest.residual.prefill == CorrelatedSeries(QuantileTable((0, 0.5, 1), (0.75, 1, 1.5)), 0.25)
    assert digest.residual.decode.table.values == (0.9375, 1.0625)
    assert digest.residual.stalls.duration.values == (2.5, 12)
    assert (digest.residual.stalls.share, digest.residual.first, digest.cold_start_load_s) == (0.0625, 2.5, 1.5)
    assert digest.heat == Heat(heating_s=40, cooling_s=90, onset=0.25, floor=0.5)
    held = json.loads(dump_digest(digest))["data"]
    assert {name: held[name] for name in NOISY} == NOISY
    assert parse_digest(dump_digest(digest), where="x.json") == digest


def test_a_device_digest_needs_neither_noise_nor_heat():
    digest = parse(content_of("pixel-7-pro-bloom-1.1b"))
    assert (digest.residual, digest.heat, digest.cold_start_load_s) == (None, None, None)


ONE = {"levels": [0, 1], "values": [1, 1]}


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"heat": {"heating_s": 40, "floor": 0.5}}, "x.json data heat|missing key cooling_s"),
        ({"heat": NOISY["heat"] | {"floor": 0}}, "floor in"),
        ({"heat": NOISY["heat"] | {"floor_": 1}}, "did you mean 'floor'"),
        ({"heat": NOISY["heat"] | {"heating_s": -1}}, "time constants > 0"),
        ({"residual": {}}, "missing key prefill"),
        ({"residual": {"prefill": {"levels": [0, 1], "values": [0, 1]}}}, "ratios > 0"),
        ({"residual": {"prefill": {"levels": [0, 1], "values": [1, 1e5]}}}, "at most 10,000"),
        ({"residual": {"prefill": ONE, "first": 0.5}}, "no quicker"),
        ({"residual": {"prefill": ONE | {"latent_rho": 1}}}, "between -1 and 1"),
        ({"residual": {"prefill": {"levels": [0, 1], "values": [2, 1]}}}, "non-decreasing"),
        ({"residual": {"prefill": ONE, "stalls": {"share": 2, "duration": ONE}}}, "share in"),
        ({"residual": {"prefill": ONE, "stalls": {"share": 1, "duration": ONE | {"values": [1, 1e10]}}}}, "stall"),
        ({"cold_start_load_s": -1}, "times and energies >= 0"),
        ({"cold_start_load_s": True}, "expected float"),
    ],
)
def test_noise_and_heat_of_a_digest_are_checked(replaced, message):
    with pytest.raises(UserError, match=message):
        parse(noisy(**replaced))


def test_the_committed_page_is_the_generated_one():
    page = ROOT.parent / "docs" / "traces.md"
    assert page.read_text(encoding="utf-8") == traces_page()


def test_notice_names_every_copyleft_digest():
    notice = (ROOT.parent / "NOTICE").read_text(encoding="utf-8")
    for entry in SHIPPED:
        if catalogue.load_digest(entry.name).card.licence.startswith(("GPL", "CC-BY")):
            assert f"{entry.kind}/{entry.name}.json" in notice


def test_describe_prints_card_and_figures():
    text = describe("phone-4g")
    assert "GPL-3.0-only" in text
    assert "97 / 119 / 157" in text


# --- bad input ------------------------------------------------------------------------------------------------


def test_unknown_key_is_refused_with_the_nearest_one():
    content = content_of("openrouter-gpt-5.4")
    content["data"]["failure_shar"] = 0.1
    with pytest.raises(UserError, match=r"unknown key 'failure_shar'; did you mean 'failure_share'"):
        parse(content)


def test_unknown_key_of_the_envelope_and_the_card():
    content = content_of("openrouter-gpt-5.4")
    content["extra"] = 1
    with pytest.raises(UserError, match="unknown key 'extra'"):
        parse(content)
    content = content_of("openrouter-gpt-5.4")
    content["card"]["license"] = "MIT"
    with pytest.raises(UserError, match="did you mean 'licence'"):
        parse(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema_version=2), "schema_version is 2, this version reads 1"),
        (lambda c: c.update(kind="latensy"), "did you mean 'latency'"),
        (lambda c: c["data"].pop("failure_share"), "missing key failure_share"),
        (lambda c: c["data"].update(failure_share="no"), "expected float, found 'no'"),
        (lambda c: c["data"].update(failure_share=True), "expected float, found True"),
        (lambda c: c["data"].update(failure_share=1.5), r"failure_share must lie in \[0, 1\]"),
        (lambda c: c["data"].update(n=1.5), "expected int, found 1.5"),
        (lambda c: c["data"]["ttft"]["values"].reverse(), "non-decreasing"),
        (lambda c: c["data"]["ttft"]["levels"].pop(), "quantile table"),
        (lambda c: c["card"]["status"].update(n="guess"), "status must be one of"),
        (lambda c: c.update(data=[]), "data: expected an object"),
        (lambda c: c["data"].update(failures=[]), "failures: expected an object"),
        (lambda c: c["card"].update(quirks="one"), "expected an array"),
    ],
)
def test_bad_content_is_one_clear_error(change, message):
    content = content_of("openrouter-gpt-5.4")
    change(content)
    with pytest.raises(UserError, match=message):
        parse(content)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"name": NaN}', "null"])
def test_broken_files_are_user_errors(text):
    with pytest.raises(UserError, match=r"x\.json"):
        parse_digest(text, where="x.json")


def test_unknown_and_wrongly_used_names_offer_the_nearest():
    with pytest.raises(UserError, match=r"did you mean .azure-conv"):
        catalogue.load_digest("azure-con")
    with pytest.raises(UserError, match="is of kind workload, a latency digest is needed"):
        catalogue.load_digest("azure-conv", "latency")
    with pytest.raises(UserError, match="no recipe"):
        build_digest("azure-con", ROOT)


def test_a_missing_raw_file_is_named(tmp_path):
    with pytest.raises(UserError, match="AzureLLMInferenceTrace_conv"):
        build_digest("azure-conv", tmp_path)


def test_sha256_is_that_of_the_file():
    import hashlib

    assert catalogue.digest_sha256("sharegpt") == hashlib.sha256(text_of("sharegpt").encode()).hexdigest()


def test_unknown_configuration_is_a_user_error():
    with pytest.raises(UserError, match="unknown configuration 'no-such'"):
        catalogue.shipped_config("no-such")


def test_numbers_hold_six_significant_digits():
    for number in re.findall(r"[\d.]+(?:e-?\d+)?", text_of("azure-conv").split('"data"')[1]):
        digits = number.split("e")[0].replace(".", "").strip("0")
        assert len(digits) <= 6, number
