"""Assumed energies and their measured range: what a scenario may say, and what a run says of orders inside it."""

from __future__ import annotations

from typing import Any

import pytest

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.runs import energy_range
from discosim.traces.catalogue import list_digests, load_digest
from discosim.traces.devices import PARAMS_B
from discosim.traces.digest import DeviceDigest, EnergyRange
from discosim.traces.energy_sheet import energy_sheet

PHONE = "snapdragon-8-elite-llama-3.2-3b"
MEASURED = "meizu21-llama-3.2-1b"
RATIOS = (2.92035, 16.0374)
LENGTHS = "{kind: lognormal, prompt_median_tok: 400, prompt_sigma: 0.3, output_median_tok: 150, output_sigma: 0.3}"
ARRIVALS = "{kind: poisson, rate_per_s: 1}"
SMALL = [
    "replications=3",
    f"workload={{kind: generate, n_requests: 20, n_users: 400, arrivals: {ARRIVALS}, lengths: {LENGTHS}}}",
    "link={kind: none}",
    "server.digest=llmperf-groq-llama2-70b",
    "cost={exchange_rate_usd_per_j: 1.0e-7}",
    "baseline=null",
]
PLAIN = "policies=[{kind: device_only}, {kind: race}, {kind: stochastic, constraint: device, budget: 0.3}]"
"""Three that decide nothing by energy: `race` prefills everything on the phone and decodes little there."""


@pytest.fixture(autouse=True)
def short_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on what policies have learned."""
    monkeypatch.setattr("discosim.runs.build.HISTORY_N", 500)


def run(*overrides: str) -> Any:
    return simulate(load_scenario("quickstart", overrides=[*SMALL, *overrides]))


def joules(result: Any) -> dict[str, float]:
    return {policy: result.summary.value(policy, "device_energy_mean_j").mean for policy in result.summary.policies}


def notes_on(result: Any, start: str) -> list[str]:
    return [note for note in result.notes if note.startswith(start)]


# --- profiles ---------------------------------------------------------------------------------------------------------


def test_the_stand_in_is_in_proportion_to_the_parameters_and_holds_its_range() -> None:
    sheet = energy_sheet()
    n_assumed = 0
    for entry in list_digests("device"):
        digest = load_digest(entry.name, "device")
        assert isinstance(digest, DeviceDigest)
        held = digest.energy_range
        if held is None:
            assert "billion parameters" not in digest.provenance["decode_j_per_tok"].source
            continue
        n_assumed += 1
        assert held.decode_over_prefill == RATIOS
        size_b = PARAMS_B[digest.model]
        assert held.decode_j_per_tok == pytest.approx((0.0910677 * size_b, 0.311058 * size_b), rel=1e-5)
        ratio = digest.decode_j_per_tok / digest.prefill_j_per_tok  # type: ignore[operator] # every profile has both
        if digest.name.startswith(("pixel-7-pro", "xiaomi-14")):  # the paper's own model
            assert ratio == 1.0
        else:
            assert digest.decode_j_per_tok == pytest.approx(0.213743 * size_b, rel=1e-5)
            assert ratio == pytest.approx(sheet.decode_over_prefill.median, rel=1e-5)
    assert n_assumed == 29


@pytest.mark.parametrize("pair", [(0.2, 0.1), (-0.1, 0.1), (0.1,), ()])
def test_a_range_has_a_least_and_a_most(pair: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="least"):
        EnergyRange(decode_j_per_tok=pair, decode_over_prefill=(2.0, 3.0))
    with pytest.raises(ValueError, match="least"):
        EnergyRange(decode_j_per_tok=(0.1, 0.2), decode_over_prefill=(0.0, 3.0))


# --- keys of a device -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "prefill_j", "decode_j"),
    [
        ("decode_over_prefill: 4", 0.213743 * 3.21 / 4, 0.213743 * 3.21),
        ("decode_j_per_tok_per_b: 0.1", 0.321 / 5.26509, 0.321),
        ("decode_j_per_tok_per_b: 0.1, decode_over_prefill: 3", 0.107, 0.321),
        ("decode_j_per_tok: 0.8, decode_over_prefill: 4", 0.2, 0.8),
        ("decode_j_per_tok_per_b: 0.1, prefill_j_per_tok: 0.05", 0.05, 0.321),
        ("decode_j_per_tok_per_b: 0", 0.0, 0.0),
    ],
)
def test_keys_move_the_energies(keys: str, prefill_j: float, decode_j: float) -> None:
    result = run(
        f"devices=[{{profile: {PHONE}, {keys}}}]",
        "policies=[{kind: device_only}]",
        "workload.lengths={kind: constant, prompt_tok: 300, output_tok: 10}",
        "replications=1",
    )
    assert joules(result)["device_only"] == pytest.approx(300 * prefill_j + 10 * decode_j, rel=1e-5)


@pytest.mark.parametrize(
    "keys",
    [
        "decode_j_per_tok_per_b: 0.1, decode_j_per_tok: 0.3",
        "decode_over_prefill: 5, prefill_j_per_tok: 0.1",
        "decode_over_prefill: 0",
        "decode_j_per_tok_per_b: -1",
        "decode_j_per_tok_per_b: .nan",
    ],
)
def test_what_contradicts_or_cannot_be_is_refused(keys: str) -> None:
    with pytest.raises(UserError, match=r"decode_over_prefill|decode_j_per_tok_per_b"):
        run(f"devices=[{{profile: {PHONE}, {keys}}}]", PLAIN)


# --- what a run says --------------------------------------------------------------------------------------------------


def test_repricing_is_what_a_run_at_the_ends_gives() -> None:
    """The range that is printed holds every change that a run of its four ends gives, and reaches both extremes."""
    here = joules(run(PLAIN))
    ends = []
    for per_b in (0.0910677, 0.311058):
        for ratio in RATIOS:
            device = f"{{profile: {PHONE}, context: extrapolate, decode_j_per_tok_per_b: {per_b}, "
            ends.append(joules(run(PLAIN, f"devices=[{device}decode_over_prefill: {ratio}}}]")))
    doubts = notes_on(run(PLAIN), "warning: device energy")
    assert len(doubts) == 1

    def change(spent: dict[str, float]) -> float:
        return 100 * (spent["stochastic"] / spent["race"] - 1)

    low, high = min(map(change, ends)), max(map(change, ends))
    assert low < 0 < high  # else the order does not change, and the test tests nothing
    assert f"stochastic against race {change(here):+.1f} % here, {low:+.1f} to {high:+.1f} %" in doubts[0]


def test_known_energies_have_no_range() -> None:
    for device in (f"{{profile: {MEASURED}}}", f"{{profile: {PHONE}, prefill_j_per_tok: 0.1, decode_j_per_tok: 0.4}}"):
        result = run(PLAIN, f"devices=[{device}]")
        assert not [note for note in result.notes if "energies" in note or note.startswith("energy")]


def test_nothing_is_said_where_no_device_works() -> None:
    assert not notes_on(run("policies=[{kind: server_only}]"), "energy")


def test_a_replaced_figure_stands_still() -> None:
    text = notes_on(run(PLAIN, f"devices=[{{profile: {PHONE}, decode_over_prefill: 8}}]"), "energy")[0]
    assert "0.69 J (0.29 to 1) per decoded one" in text
    assert "0.086 J (0.037 to 0.12) per prompt token" in text
    text = notes_on(run(PLAIN, f"devices=[{{profile: {PHONE}, decode_j_per_tok: 0.6}}]"), "energy")[0]
    assert "0.6 J per decoded one" in text
    assert "(0.037 to 0.21) per prompt token" in text


def test_whoever_decides_by_energy_is_named_and_run_where_wanted() -> None:
    policies = "policies=[{kind: device_only}, {kind: disco, name: D, constraint: server}]"
    priced, run_again = (run(policies, f"cost.energy_range={how}") for how in ("reprice", "run"))
    assert any("D decides by energy too, and only the tokens of this run" in note for note in priced.notes)
    assert any("D decides by energy too, so 3 replications were run" in note for note in run_again.notes)
    free = run(policies, "cost.exchange_rate_usd_per_j=0")
    assert not [note for note in free.notes if "decides by energy" in note or "unified cost: inside" in note]


def test_running_the_ends_leaves_every_number_as_it_was() -> None:
    policies = "policies=[{kind: device_only}, {kind: disco, constraint: server}]"
    priced, run_again = (run(policies, f"cost.energy_range={how}") for how in ("reprice", "run"))
    assert priced.requests.equals(run_again.requests)
    assert priced.by_replication.equals(run_again.by_replication)


def test_phones_of_several_kinds_are_moved_together() -> None:
    """Two kinds, one of them measured: only the assumed one moves."""
    fleet = f"devices=[{{profile: {PHONE}, context: extrapolate}}, {{profile: {MEASURED}}}]"
    result = run(PLAIN, fleet)
    (text,) = notes_on(result, "energy")
    assert PHONE in text
    assert MEASURED not in text


def test_one_replication_compares_no_order_and_runs_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run of a sweep is one: without intervals its ends would tell nothing, and cost as much as the run."""

    def refuse(*_: object) -> None:
        raise AssertionError("an end of the range was run")

    monkeypatch.setattr(energy_range, "_run_at", refuse)
    result = run("cost.energy_range=run", "replications=1")
    (note,) = (note for note in result.notes if note.startswith("energy: device"))
    assert note.endswith("one replication does not tell whether the order of two policies changes inside it")
    assert not any("order changes" in note for note in result.notes)
