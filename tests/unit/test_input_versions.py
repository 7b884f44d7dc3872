"""Versions of devices, chunks, right answers and own last hops: how far they spread, and what stays as it was."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discosim.config import load_scenario
from discosim.core.device_law import Residual, Stalls
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.runs import build
from discosim.runs.build import Blueprint
from discosim.runs.input_versions import InputVersions
from discosim.runs.inputs import measured_inputs, replayed_models, rows_notes
from discosim.runs.simulate import simulate
from discosim.traces.digest import DeviceDigest
from discosim.traces.digest_file import dump_digest, parse_digest, write_own_digest
from discosim.traces.own_device import digest_device
from discosim.traces.own_rtt import digest_rtt
from discosim.world.api_server import ApiServerModel

N_ROWS, N_VERSIONS = 60, 100
PRICES = {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 2}
PHONE = {"profile": "snapdragon-8-elite-llama-3.2-3b"}
SERVER = {"kind": "replay", "digest": "openrouter-gpt-5.4", "prices": PRICES}
Change = Callable[..., Blueprint]


@pytest.fixture
def blueprint(monkeypatch: pytest.MonkeyPatch) -> Change:
    monkeypatch.setattr(build, "HISTORY_N", 100)  # nobody here learns from the past

    def made(**changes: Any) -> Blueprint:
        workload = {
            "kind": "generate",
            "n_requests": 50,
            "n_users": 50,
            "arrivals": {"kind": "poisson", "rate_per_s": 1},
            "lengths": {"kind": "constant", "prompt_tok": 50, "output_tok": 8},
        }
        plain = {
            "name": "versions",
            "replications": 4,
            "workload": workload,
            "devices": [PHONE],
            "server": SERVER,
            "cost": {"exchange_rate_usd_per_j": 1e-7},
            "policies": [{"kind": "server_only"}, {"kind": "device_only"}],
            "inputs": {"resample": True},
        }
        return build.build(load_scenario(plain | changes))

    return made


@pytest.fixture(scope="module")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of a device with a line, a spread of 10 % and two stalls of 20 s, in a random order."""
    rng = np.random.default_rng(7)
    prompt = rng.integers(20, 400, N_ROWS)
    ttft = (0.1 + 0.004 * prompt) * np.exp(0.1 * rng.standard_normal(N_ROWS))
    ttft[[10, 30]] += 20.0
    total = ttft + 63 * 0.05 * np.exp(0.05 * rng.standard_normal(N_ROWS))
    path = tmp_path_factory.mktemp("rows") / "phone.csv"
    lines = [f"{p},{t:.6f},64,{e:.6f}" for p, t, e in zip(prompt, ttft, total, strict=True)]
    path.write_text("prompt_tok,ttft_s,output_tok,total_s\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def phone(rows_file: Path) -> DeviceDigest:
    return digest_device(rows_file)


@pytest.fixture(scope="module")
def phone_file(phone: DeviceDigest, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("profile") / "phone.json"
    write_own_digest(phone, path)
    return str(path)


def spread(values: list[float], expected: float) -> bool:
    """Say whether values spread as expected, to five standard errors of their standard deviation."""
    return bool(abs(np.std(values, ddof=1) / expected - 1.0) < 5.0 / math.sqrt(2.0 * len(values)))


def inputs_of(found: Blueprint) -> list[str]:
    return [str(given) for given in measured_inputs(found.scenario, replayed_models(found.model))]


# --- devices -------------------------------------------------------------------------------------------------------


def test_a_profile_of_own_rows_says_how_many_are_behind_its_law(phone: DeviceDigest) -> None:
    """Two of the sixty are stalls and no part of the body, whose rows these are."""
    assert phone.residual is not None
    assert phone.residual.n is not None
    assert N_ROWS - 2 - 1 <= phone.residual.n <= N_ROWS - 2  # the first row may be taken for a start
    again = parse_digest(dump_digest(phone), where="phone.json")
    assert again.residual.n == phone.residual.n  # type: ignore[union-attr]  # it is one of devices


def test_a_device_has_versions_of_its_law(blueprint: Change, phone: DeviceDigest, phone_file: str) -> None:
    """The mean of a version errs as that of so many ratios does, and a share of stalls as that of so many rows."""
    found = blueprint(devices=[{"profile_file": phone_file}, PHONE])
    law = phone.residual
    assert law is not None
    assert law.n is not None
    assert law.stalls is not None
    versions = InputVersions(found)
    drawn = [versions.of(k).model.fleet for k in range(N_VERSIONS)]
    laws = [fleet[0][0].residual for fleet in drawn]
    assert all(held is not None and held.stalls is not None and held.first == law.first for held in laws)
    values = law.prefill.table.ppf((np.arange(2000) + 0.5) / 2000)
    assert spread([held.prefill.table.mean() for held in laws if held], values.std() / math.sqrt(law.n))
    shares = [held.stalls.share for held in laws if held and held.stalls]
    assert spread(shares, math.sqrt(law.stalls.share * (1 - law.stalls.share) / law.n))
    assert all(fleet[1][0] is found.model.fleet[1][0] for fleet in drawn)
    assert versions.of(3).view is found.view
    assert f"device phone: {law.n} rows" in inputs_of(found)


def test_two_devices_of_one_law_share_its_version(blueprint: Change, phone_file: str) -> None:
    own = {"profile_file": phone_file}
    found = blueprint(devices=[{**own, "name": "one"}, {**own, "name": "two"}])
    (one, _), (other, _) = InputVersions(found).of(1).model.fleet
    assert one.residual == other.residual


def test_a_law_that_was_chosen_has_no_versions(blueprint: Change) -> None:
    residual = {"kind": "lognormal", "prefill_cv": 0.2, "decode_cv": 0.1}
    found = blueprint(devices=[{**PHONE, "residual": residual}])
    assert InputVersions(found).of(1).model.fleet == found.model.fleet
    assert not any(text.startswith("device") for text in inputs_of(found))


def test_rows_of_a_device_widen_what_asks_it(blueprint: Change, phone_file: str) -> None:
    """Of equal prompts the mean TTFT errs by the mean ratio; server-only meets none of the device's rows."""
    found = blueprint(devices=[{"profile_file": phone_file}])
    run = simulate(found.scenario)
    assert run.input_intervals is not None
    halves = {
        policy: [
            held[policy, "ttft_mean_s"]["half_width"]
            for held in (run.input_intervals.with_inputs, run.input_intervals.luck)
        ]
        for policy in run.summary.policies
    }
    assert halves["device_only"][0] > halves["device_only"][1]
    assert run.input_intervals.asked == {"server_only": ("server",), "device_only": ("device",)}
    assert "ttft_p99_s" in run.input_intervals.beyond["device_only"]  # fewer than 100 rows
    assert any(note.startswith("rows behind device phone: 5") for note in run.notes)


def test_a_law_asks_for_rows() -> None:
    law = CorrelatedSeries(QuantileTable((0.0, 1.0), (0.9, 1.1)))
    with pytest.raises(ValueError, match="at least one row"):
        Residual(prefill=law, n=0)
    assert Residual(prefill=law, stalls=Stalls(share=0.0, duration=QuantileTable.constant(1.0))).n is None


# --- chunks --------------------------------------------------------------------------------------------------------


def test_chunks_have_versions_with_their_memory(blueprint: Change) -> None:
    """Means of gaps spread more than those of rows without memory would, and what hangs together stays so."""
    found = blueprint(server={**SERVER, "chunks": {"digest": "azure-gpt-4-1106-chunks"}})
    law = found.model.server.chunks  # type: ignore[union-attr]  # it is replayed
    versions = InputVersions(found)
    drawn = [versions.of(k).model.server for k in range(N_VERSIONS)]
    laws = [held.chunks for held in drawn if isinstance(held, ApiServerModel)]
    assert all((held.size_then_gap, held.gap_then_size) == (law.size_then_gap, law.gap_then_size) for held in laws)
    assert all(held.size.latent_rho == law.size.latent_rho for held in laws)
    for what in ("size", "gap"):
        values = getattr(law, what).table.ppf((np.arange(4000) + 0.5) / 4000)
        found_sd = np.std([getattr(held, what).table.mean() for held in laws], ddof=1)
        alone = values.std() / math.sqrt(460)
        rho = getattr(law, what).latent_rho
        assert found_sd > alone * (1 - 5 / math.sqrt(2 * N_VERSIONS)), what
        assert found_sd < alone * math.sqrt((1 + abs(rho)) / (1 - abs(rho))) * (1 + 5 / math.sqrt(2 * N_VERSIONS)), what
    assert len({held.first for held in laws}) == N_VERSIONS
    assert "server chunks azure-gpt-4-1106-chunks: 460 events" in inputs_of(found)


# --- right answers -------------------------------------------------------------------------------------------------


def test_right_answers_have_versions(blueprint: Change) -> None:
    """Of 1,319 questions a share errs as that of so many; the router and others know what was counted."""
    quality = {"kind": "joint", "digest": "routellm-gsm8k"}
    found = blueprint(quality=quality)
    joint = found.model.joint
    assert joint is not None
    share, n = joint.bands[0].table.only_strong_share, joint.bands[0].table.n
    versions = InputVersions(found)
    held = [versions.of(k).model.joint for k in range(N_VERSIONS)]
    tables = [one.bands[0].table for one in held if one is not None]
    assert all(table.n == n for table in tables)
    assert spread([table.only_strong_share for table in tables], math.sqrt(share * (1 - share) / n))
    assert found.view.joint == joint
    assert "quality routellm-gsm8k: 1,319 questions" in inputs_of(found)


def test_accuracy_has_an_interval_of_luck_and_one_with_inputs(blueprint: Change) -> None:
    found = blueprint(quality={"kind": "joint", "digest": "routellm-gsm8k"})
    intervals = simulate(found.scenario).input_intervals
    assert intervals is not None
    wide, luck = (held["server_only", "accuracy"]["half_width"] for held in (intervals.with_inputs, intervals.luck))
    assert 0.0 < luck < wide


# --- last hops -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["series", "digest_file"])
def test_own_last_hops_have_versions(key: str, blueprint: Change, tmp_path: Path) -> None:
    """Forty probes that remember: means of versions spread more than those of forty alone, by up to the memory."""
    rng = np.random.default_rng(3)
    z = rng.standard_normal(40)
    for i in range(1, 40):
        z[i] = 0.6 * z[i - 1] + 0.8 * z[i]
    file = tmp_path / "rtt.txt"
    file.write_text("\n".join(f"{20 * math.exp(0.5 * value):.3f}" for value in z) + "\n")
    link = {"kind": "digest", "series": str(file), "series_unit": "ms"}
    if key == "digest_file":
        write_own_digest(digest_rtt(file, unit="ms"), tmp_path / "rtt.json")
        link = {"kind": "digest", "digest_file": str(tmp_path / "rtt.json")}
    found = blueprint(link=link)
    rtt = found.model.link.rtt
    assert rtt is not None
    assert rtt.latent_rho > 0.2
    versions = InputVersions(found)
    means = [held.table.mean() for k in range(N_VERSIONS) if (held := versions.of(k).model.link.rtt) is not None]
    alone = rtt.table.ppf((np.arange(2000) + 0.5) / 2000).std() / math.sqrt(40)
    assert np.std(means, ddof=1) > 1.1 * alone
    assert any(text.startswith("last hop") and text.endswith(": 40 probes") for text in inputs_of(found))


def test_all_inputs_that_were_drawn_anew_are_named(blueprint: Change) -> None:
    found = blueprint(
        server={**SERVER, "chunks": {"digest": "openai-gpt-4-1106-chunks"}},
        quality={"kind": "joint", "digest": "routellm-mmlu"},
        link={"kind": "digest", "digest": "lte-driving"},
    )
    notes = rows_notes(found.scenario, measured_inputs(found.scenario, replayed_models(found.model)))
    said = next(note for note in notes if note.startswith("inputs drawn anew"))
    for name in (
        "openrouter-gpt-5.4: 19 probes",
        "openai-gpt-4-1106-chunks: 4,022 events",
        "routellm-mmlu: 14,042 questions",
        "last hop",
    ):
        assert name in said
