"""Phones under minutes of decoding: profiles with their heat, fitted per phone and engine over all models it ran."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from discosim.core.device_law import Heat
from discosim.core.errors import UserError
from discosim.traces.device_fit import Floats
from discosim.traces.devices import Figure, assemble
from discosim.traces.digest import Card, DeviceDigest, Provenance
from discosim.traces.heat_fit import HeatFit, HeatRun, fit_heat, fit_start, steady_run
from discosim.traces.readers.pixel_bench import Sweep, read_pixel, rest_before
from discosim.traces.readers.source import read_bytes
from discosim.traces.recipes.recipe import Recipe

_SET = "iphone17pro-heat/raw"
WINDOW_S = 5.0
START_HEAT = {"nominal": 0.0, "serious": 1.0}
"""Heat at the beginning by iOS's thermal state; between them (``fair``) it is fitted. Source: our choice; runs
that start in ``serious`` stay nearly flat."""


@dataclass(frozen=True)
class Run:
    """One file of the iPhone's runs: engine, model by our name, and the beginning of the file's name."""

    engine: str
    model: str
    file: str
    is_profile: bool = True


RUNS = (
    Run("core-ai-ane", "deepseek-r1-1.5b", "core-ai_core-ai_deepseek-r1-1.5b-ane_energy_2026-06-25T19-23-23Z.json"),
    Run("core-ai-ane", "qwen3-4b", "core-ai_core-ai_qwen3-4b-ane_energy_2026-06-26T01-13-56Z.json"),
    Run("core-ai-gpu", "deepseek-r1-1.5b", "core-ai_core-ai_deepseek-r1-1.5b-gpu_energy_2026-06-25T19-33-53Z.json"),
    Run("core-ai-gpu", "qwen3-4b", "core-ai_core-ai_qwen3-4b-gpu_energy_2026-06-26T01-24-24Z.json"),
    Run("mlx", "gemma-4-e2b", "iphone17pro-mlx-swift-gemma-4-e2b-energy-tg128.jsonl"),
    Run("mlx", "qwen3-0.6b", "iphone17pro-mlx-swift-qwen3-0.6b-energy-tg128.jsonl"),
    Run(
        "mlx",
        "deepseek-r1-1.5b",
        "mlx-swift_mlx-community_DeepSeek-R1-Distill-Qwen-1.5B-4bit_energy_2026-06-25T19-44-31Z.json",
    ),
    Run("mlx", "qwen3-4b", "mlx-swift_mlx-community_Qwen3-4B-4bit_energy_2026-06-26T01-35-48Z.json"),
    Run("coreml-llm", "gemma-4-e2b", "iphone17pro-coreml-llm-gemma-4-e2b-energy-tg128.jsonl", is_profile=False),
    Run("coreml-llm", "qwen3-0.6b", "iphone17pro-coreml-llm-qwen3-0.6b-energy-tg128.jsonl"),
    Run(
        "litert-lm",
        "deepseek-r1-1.5b",
        "litert-lm_litert-community_DeepSeek-R1-Distill-Qwen-1.5B_energy_2026-06-25T19-54-44Z.json",
    ),
    Run(
        "litert-lm",
        "qwen3-4b",
        "litert-lm_litert-community_Qwen3-4B_energy_2026-06-26T01-50-21Z.json",
        is_profile=False,
    ),
)
"""The two that are no profile have no prefill speed in their files; their heat is used."""
NO_COOL_START = ("core-ai-gpu", "litert-lm")
"""Engines of which every run starts warm or hot: their floor is that of the phone's other engines, an assumption."""
COOL_ENGINES = ("core-ai-ane", "mlx")


def iphone_run(folder: Path, run: Run) -> tuple[HeatRun, dict[str, object]]:
    """Return a run's speeds by the second, and what else its file says."""
    text = read_bytes(folder / run.file).decode()
    held = json.loads(text if run.file.endswith(".json") else text.splitlines()[0])
    metrics = held["metrics"]
    steady = steady_run(
        f"{run.engine} {run.model}",
        metrics["decodeRateRollingWindow"],
        window_s=WINDOW_S,
        start_heat=START_HEAT.get(metrics["initialThermalState"]),
    )
    return steady, {**metrics, "build": held["device"]["buildConfiguration"], "system": held["device"]["systemVersion"]}


@cache
def pixel_fit(path: Path, n_draws: int = 60) -> HeatFit:
    """Return the heat of the Pixel: its sweeps that start cool, and the one after its only long rest."""
    return fit_heat(list(pixel_runs(read_pixel(path)).values()), n_draws=n_draws)


_REST = ("qwen_cliff_Q2_K.jsonl", "Qwen2.5-1.5B-Instruct")
_COOL = (
    ("tps_Q2_K.jsonl", "Llama-3.2-3B-Instruct"),
    ("cliff_filled_Q2_K.jsonl", "Llama-3.2-3B-Instruct"),
    ("kvcache_Q2_K.jsonl", "Llama-3.2-3B-Instruct"),
    ("tps_Q2_K.jsonl", "Qwen2.5-1.5B-Instruct"),
)


def pixel_runs(sweeps: dict[tuple[str, str], Sweep]) -> dict[tuple[str, str], HeatRun]:
    """Return the sweeps that the Pixel's heat is fitted to, by file and model."""
    missing = [key for key in (*_COOL, _REST) if key not in sweeps]
    if missing:
        raise UserError(f"the trials lack {missing[0][0]} with {missing[0][1]}")
    found = {key: sweeps[key].run() for key in _COOL}
    return {**found, _REST: sweeps[_REST].run(rest_s=rest_before(sweeps, _REST))}


@cache
def iphone_fit(folder: Path, engine: str, n_draws: int = 60) -> HeatFit:
    """Return the heat of the iPhone under one engine, over all models; of several engines where it never starts cool.

    Cooling is that of the Pixel, of which one rest was measured: no run of the iPhone rests.
    """
    cooling_s = _rounded(pixel_fit(folder.parent.parent / _PIXEL, 0).heat).cooling_s
    engines = COOL_ENGINES if engine in NO_COOL_START else (engine,)
    runs = [iphone_run(folder, run)[0] for run in RUNS if run.engine in engines]
    return fit_heat(runs, cooling_s=cooling_s, n_draws=n_draws)


_PIXEL = "pixel6a-edge-bench/inference.csv.xz"
_PREFILL_J = 1.0 / 5.3
"""Energy of a prompt token over that of a decoded one: the median of phones on which both were measured."""


def _iphone(run: Run) -> Recipe:
    name = f"iphone-17-pro-{run.engine}-{run.model}"

    def build(path: Path, sha256: str) -> DeviceDigest:
        folder = path.parent
        steady, said = iphone_run(folder, run)
        fit = iphone_fit(folder, run.engine)
        heat = _rounded(fit.heat)
        full, start = fit_start(heat, steady)
        mean = float(np.mean(steady.mean_speed(heat, start)))
        prefill = float(str(said["promptTokensPerSecond"])) / mean
        joules = float(str(said["energyJoulesPerToken"]))
        source = f"apple-silicon-llm-bench at 93ef5877, {run.file}"
        hot = "" if start < 0.5 else f"; the run starts hot (heat {start:.2f}), so it rests on the floor of the heat"
        digest = assemble(
            name=name,
            card=_card(run, said, sha256),
            device="iPhone 17 Pro",
            model=run.model,
            prefill_s_per_tok=Figure(
                value=1.0 / prefill,
                status="measured",
                source=f"{source}: promptTokensPerSecond over the mean speed of the run by its heat",
            ),
            prefill_intercept_s=Figure(value=0.0, status="assumption", source="not apart in the source; taken as 0"),
            decode_tok_per_s=Figure(
                value=full,
                status="assumption" if start >= 0.5 else "measured",
                source=f"{source}: full speed of the rolling means by the second{hot}",
            ),
            prefill_j_per_tok=Figure(
                value=joules * _PREFILL_J, status="assumption", source="the decoded token's over 5.3, as other phones"
            ),
            decode_j_per_tok=Figure(
                value=joules,
                status="measured",
                source=f"{source}: steps of 1 % of the battery, +-20 %; prompt tokens, screen and idle included",
            ),
        )
        return with_heat(digest, fit, _of_engine(run.engine))

    return Recipe(name, "device", f"{_SET}/{run.file}", build)


def _of_engine(engine: str) -> str:
    if engine in NO_COOL_START:
        return "no run of this engine starts cool: the heat of the phone's other engines (Core AI on the ANE, MLX)"
    return ""


def _card(run: Run, said: dict[str, object], sha256: str) -> Card:
    quirks = [
        f"Heat at the beginning: {said['initialThermalState']}; {said['build']} build, iOS {said['system']}.",
        "One phone, unplugged, decoding without rest until 5 % of its battery are gone.",
        "Cooling is that of a Pixel 6a, an assumption: no run rests.",
        "A slower fall over many minutes is seen in some runs and is not in the law, which has one time constant.",
    ]
    return Card(
        title=f"iPhone 17 Pro running {run.model} with {run.engine}",
        origin="https://github.com/john-rocky/apple-silicon-llm-bench",
        commit="93ef5877d08d6727e95964252846eeebfc23b986",
        licence="MIT",
        citation="john-rocky: apple-silicon-llm-bench, energy runs of 25 June 2026",
        raw_file=run.file,
        raw_sha256=sha256,
        method=(
            "heat fitted over all runs of the engine: trailing means over 5 s as such, full speed of each model and "
            "start heat of runs that are neither nominal nor serious free; soft L1 on the logarithm, every doubling of "
            "time alike"
        ),
        quirks=tuple(quirks),
        status={"*": "measured", "prefill_intercept_s": "assumption", "heat.cooling_s": "assumption"},
    )


def with_heat(digest: DeviceDigest, fit: HeatFit, assumed: str) -> DeviceDigest:
    """Return a profile with its heat, its figures' intervals and what is not identified."""
    known = Provenance(
        status="assumption" if assumed else "measured",
        source=assumed or f"{fit.n:,} speeds, median error {fit.error:.1%}",
    )
    cooling_known = "cooling_s" in fit.intervals
    cooling = Provenance(
        status="measured" if cooling_known else "assumption",
        source="one rest of 291 s after an hour of work" if cooling_known else "that of a Pixel 6a; no run rests",
    )
    unknown = {f"heat.{name}": why for name, why in fit.not_identified.items()}
    return replace(
        digest,
        heat=_rounded(fit.heat),
        provenance={**digest.provenance, "heat": known, "heat.cooling_s": cooling},
        n=fit.n,
        intervals={f"heat.{name}": (_digits(low, 2), _digits(high, 2)) for name, (low, high) in fit.intervals.items()},
        not_identified=unknown or None,
    )


def _rounded(heat: Heat) -> Heat:
    """Return the law to three digits: no more is known, and rebuilds on other machines agree."""
    figures = {name: _digits(getattr(heat, name), 3) for name in ("heating_s", "cooling_s", "onset", "floor")}
    return Heat(**figures)


def _digits(value: float, n: int) -> float:
    return float(f"{value:.{n}g}")


def _pixel(name: str, key: tuple[str, str], model: str) -> Recipe:
    def build(path: Path, sha256: str) -> DeviceDigest:
        sweep, fit = read_pixel(path)[key], pixel_fit(path)
        speed: Floats = sweep.run().mean_speed(_rounded(fit.heat), 0.0)
        source = f"edge-llm-bench at 2d1f24ba, {key[0]}, {sweep.label}"
        digest = assemble(
            name=name,
            card=Card(
                title=f"Pixel 6a running {sweep.label} (llama.cpp, CPU)",
                origin="https://github.com/KrisDcosta/edge-llm-bench",
                commit="2d1f24baddd384be921b070eab37661adea860ea",
                licence="CC-BY-4.0",
                citation="Kris Dcosta: Edge LLM Bench",
                raw_file="inference.csv",
                raw_sha256=sha256,
                method=(
                    "rows by source_file and ts: a trial works since the one before; heat fitted to the sweeps of Q2_K "
                    "that start cool and to the one after the only long rest; full speeds by that law"
                ),
                quirks=(
                    "The fall is heat: the author reads it as context, which grows with time; rows of one fall alike.",
                    "Cooling rests on a single rest of 291 s; energy was not measured: the stand-in is used.",
                ),
                status={"*": "measured", "energy": "assumption", "prefill_intercept_s": "assumption"},
            ),
            device="Pixel 6a",
            model=model,
            prefill_s_per_tok=Figure(
                value=float(np.median(speed / sweep.prefill_tok_per_s)),
                status="measured",
                source=f"{source}: prefill_tps over the speed by its heat, median",
            ),
            prefill_intercept_s=Figure(value=0.0, status="assumption", source="not in the source; taken as 0"),
            decode_tok_per_s=Figure(
                value=_digits(fit.full[sweep.label], 3), status="measured", source=f"{source}: full speed by its heat"
            ),
        )
        return with_heat(digest, fit, "")

    return Recipe(name, "device", _PIXEL, build)


RECIPES = (
    *(_iphone(run) for run in RUNS if run.is_profile),
    _pixel("pixel-6a-llama-3.2-3b-q2k", _COOL[1], "llama-3.2-3b"),
    _pixel("pixel-6a-qwen2.5-1.5b-q2k", _COOL[3], "qwen2.5-1.5b"),
)
