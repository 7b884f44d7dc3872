"""A device of one's own: its figures alone, or over a profile's, and what a wrong unit is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.runs.build import build
from discosim.runs.identity import run_id
from discosim.runs.provenance import fingerprints, inputs_of
from discosim.world.device_profile import DeviceProfile

CHUNKED = "snapdragon-8-elite-llama-3.2-3b"
"""A profile whose chunk of 128 tokens is assumed."""
OWN = {"decode_tok_per_s": 20, "prefill_tok_per_s": 500, "prefill_j_per_tok": 0.02, "decode_j_per_tok": 0.2}


def scenario(*devices: dict[str, Any], **changes: Any) -> Scenario:
    given: dict[str, Any] = {
        "name": "own",
        "replications": 1,
        "workload": {
            "kind": "generate",
            "n_requests": 6,
            "n_users": 6,
            "arrivals": {"kind": "poisson", "rate_per_s": 0.01},
            "lengths": {"kind": "constant", "prompt_tok": 100, "output_tok": 20},
        },
        "devices": list(devices),
        "server": {
            "kind": "replay",
            "digest": "openrouter-gpt-5.4",
            "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1},
        },
        "cost": {"exchange_rate_usd_per_j": 0},
        "policies": [{"kind": "device_only"}],
    }
    return load_scenario({**given, **changes})


def profile(device: dict[str, Any]) -> DeviceProfile:
    return build(scenario(device)).model.fleet[0][0]


def notes(*devices: dict[str, Any]) -> str:
    return "\n".join(simulate(scenario(*devices)).notes)


def refused(device: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        scenario(device)
    (line,) = str(caught.value).splitlines()
    return line


# --- without a profile ----------------------------------------------------------------------------------------


def test_a_device_of_ones_own_takes_the_times_and_joules_that_it_says() -> None:
    result = simulate(scenario({**OWN, "prefill_intercept_s": 0.3}))
    columns = result.columns
    np.testing.assert_allclose(columns["ttft_s"], 0.3 + 100 / 500, rtol=1e-12)
    np.testing.assert_allclose(columns["tpot_s"], 1 / 20, rtol=1e-9)
    np.testing.assert_allclose(columns["device_energy_j"], 100 * 0.02 + 20 * 0.2, rtol=1e-12)


def test_it_has_no_chunk_no_limit_and_no_digest_behind_it() -> None:
    made = profile(OWN)
    assert (made.chunk_tok, made.max_context_tok, made.prefill_intercept_s) == (None, None, 0.0)
    whole = scenario(OWN)
    assert not [role for role, _, _ in inputs_of(whole) if role == "device"]
    assert not [name for name in fingerprints(whole) if name.startswith("device")]


def test_chunk_and_context_can_be_said() -> None:
    made = profile({**OWN, "chunk_tok": 64, "max_context_tok": 99})
    assert made.prefill_s(65) == pytest.approx(128 / 500)
    assert made.holds(99)
    assert not made.holds(100)
    assert profile({**OWN, "profile": CHUNKED, "chunk_tok": "none"}).chunk_tok is None
    assert profile({"profile": CHUNKED, "max_context_tok": 77}).max_context_tok == 77


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ({}, "decode_tok_per_s, prefill_tok_per_s (or prefill_s_per_tok), prefill_j_per_tok and decode_j_per_tok"),
        ({"prefill_s_per_tok": 0, "prefill_j_per_tok": 0}, "decode_tok_per_s and decode_j_per_tok"),
        ({**OWN, "prefill_tok_per_s": None}, "prefill_tok_per_s (or prefill_s_per_tok)"),
    ],
)
def test_one_line_names_all_that_is_missing(said: dict[str, Any], missing: str) -> None:
    line = refused(said)
    assert f"has no profile, so it needs {missing}" in line
    assert "or a profile" in line
    assert ("write 0" in line) == ("_j_" in missing)


def test_a_misspelt_profile_is_one_mistake() -> None:
    assert "did you mean 'profile'" in refused({"profil": CHUNKED})


def test_notes_call_it_by_its_name() -> None:
    said = notes({**OWN, "name": "my phone"}, {**OWN, "prefill_j_per_tok": 0, "decode_j_per_tok": 0})
    figures = "prefill_tok_per_s, decode_tok_per_s, prefill_j_per_tok, decode_j_per_tok"
    assert f"device my phone: chosen in the scenario: {figures}" in said
    assert "device devices[1]: its energy is 0 by choice" in said
    assert "device my phone: its energy" not in said


# --- a speed in two units -------------------------------------------------------------------------------------


def test_a_rate_is_the_other_unit_of_the_same_figure() -> None:
    assert (
        profile(OWN).prefill_s_per_tok
        == profile({**OWN, "prefill_tok_per_s": None, "prefill_s_per_tok": 0.002}).prefill_s_per_tok
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"prefill_tok_per_s": 500, "prefill_s_per_tok": 0.002}, "leave one"),
        ({"prefill_tok_per_s": 0}, "must be > 0"),
        ({"prefill_tok_per_s": 0.002}, "prefill_s_per_tok: 0.002"),
        ({"chunk_tok": "non"}, "or a whole number"),
        ({"chunk_tok": 0}, "must be >= 1"),
        ({"max_context_tok": 5, "context": "extrapolate"}, "leave one of the two"),
    ],
)
def test_what_cannot_be_meant_is_refused(said: dict[str, Any], told: str) -> None:
    assert told in refused({"profile": CHUNKED, **said})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"prefill_s_per_tok": 500.0}, "tokens per second go under prefill_tok_per_s"),
        ({"decode_tok_per_s": 0.05}, "it is a rate"),
        ({"prefill_tok_per_s": 2.4, "decode_tok_per_s": 20}, "one of the speeds is probably in another unit"),
    ],
)
def test_what_is_probably_in_the_other_unit_is_doubted(said: dict[str, Any], told: str) -> None:
    (doubt,) = build(scenario({"profile": CHUNKED, **said})).warnings
    assert told in doubt
    assert build(scenario({"profile": CHUNKED, "prefill_s_per_tok": 0.5, "decode_tok_per_s": 2})).warnings == ()


# --- a profile's chunk ----------------------------------------------------------------------------------------


def test_an_assumed_chunk_goes_with_the_speed_it_was_assumed_for() -> None:
    """100 tokens at 0.002 s take 0.2 s; rounded up to a chunk of 128 they took 0.256 s, and nobody was told."""
    own = {"profile": CHUNKED, "prefill_s_per_tok": 0.002}
    assert profile({"profile": CHUNKED}).chunk_tok == 128
    assert profile(own).prefill_s(100) == pytest.approx(0.2)
    assert profile({**own, "chunk_tok": 128}).prefill_s(100) == pytest.approx(0.256)
    said = notes(own)
    assert "chunk of 128 tokens is assumed and went with its prefill speed" in said
    assert "assumption: chunk_tok" not in said
    assert "went with" not in notes({**own, "chunk_tok": "none"})
    assert profile({"profile": CHUNKED, "decode_tok_per_s": 9, "prefill_intercept_s": 1}).chunk_tok == 128


def test_a_chunk_that_is_known_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from discosim.runs import device_digest
    from discosim.traces.digest import DeviceDigest, Provenance

    held = device_digest.load_digest(CHUNKED, "device")
    assert isinstance(held, DeviceDigest)
    known = {**held.provenance, "chunk_tok": Provenance(status="measured", source="a test")}
    monkeypatch.setattr(device_digest, "load_digest", lambda *_: replace(held, provenance=known))
    own = {"profile": CHUNKED, "prefill_s_per_tok": 0.002}
    assert profile(own).chunk_tok == 128
    assert "is known and stays" in notes(own)


# --- identity -------------------------------------------------------------------------------------------------


def test_each_figure_counts_in_the_name_of_a_run() -> None:
    ways = (
        {},
        {"name": "x"},
        {"chunk_tok": 5},
        {"chunk_tok": "none"},
        {"max_context_tok": 5},
        {"prefill_tok_per_s": 9},
    )
    assert len({run_id(scenario({**OWN, **way})) for way in ways}) == len(ways)
