"""Energy per prompt token and per decoded token of a device's rows, measured where rows tell it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from discosim.traces.device_fit import Floats, Ints, fit_energy, intervals
from discosim.traces.digest import EnergyRange, Provenance
from discosim.traces.energy_sheet import energy_sheet
from discosim.traces.readers.device_rows import DeviceRows

LEAST = 4
ASSUMED_PARAMS_B = 1.0
KEYS = ("prefill_j_per_tok", "decode_j_per_tok")


@dataclass(frozen=True)
class Energy:
    """Joules per token, and how they are known; `params_b` is what an assumed energy was taken for."""

    prefill_j_per_tok: float
    decode_j_per_tok: float
    params_b: float
    provenance: dict[str, Provenance]
    intervals: dict[str, tuple[float, ...]] = field(default_factory=dict)
    not_identified: dict[str, str] = field(default_factory=dict)
    energy_range: EnergyRange | None = None


def energy_of(rows: DeviceRows, params_b: float | None) -> Energy:
    """Return the energy of rows by a regression with coefficients >= 0; the stand-in where none was measured."""
    size = ASSUMED_PARAMS_B if params_b is None else params_b
    output = np.where(np.isfinite(rows.later_tok), rows.later_tok + 1.0, np.nan)
    seen = np.isfinite(rows.energy_j) & (rows.energy_j > 0)
    both = seen & np.isfinite(rows.prompt_tok) & np.isfinite(output)
    if both.sum() >= LEAST:
        return _measured(rows.prompt_tok[both], output[both], rows.energy_j[both], size)
    alone = seen & np.isfinite(rows.prompt_tok)
    if alone.sum() >= LEAST:
        return _of_prompts(rows.prompt_tok[alone], rows.energy_j[alone], size)
    return _stand_in(size, is_said=params_b is not None)


def _prompt_share() -> float:
    """Return the energy of a prompt token over that of a decoded one where rows do not tell them apart: the median."""
    return 1.0 / energy_sheet().decode_over_prefill.median


def _range_of(decode_j: float, *, is_level_known: bool, params_b: float) -> EnergyRange:
    """Return how far assumed energies may be off: the measured range; a level that rows gave stays."""
    sheet = energy_sheet()
    per_b, ratio = sheet.decode_j_per_tok_per_b, sheet.decode_over_prefill
    level = (decode_j, decode_j) if is_level_known else (per_b.least * params_b, per_b.most * params_b)
    return EnergyRange(decode_j_per_tok=level, decode_over_prefill=(ratio.least, ratio.most))


def _stand_in(params_b: float, *, is_said: bool) -> Energy:
    per_b = energy_sheet().decode_j_per_tok_per_b.median
    decode = per_b * params_b
    whose = f"{params_b:g} billion parameters" + ("" if is_said else ", assumed: say --params-b N")
    source = f"{per_b:.3g} J per decoded token and billion parameters, measured on other phones; {whose}"
    share = f"the decoded token's over {1 / _prompt_share():.3g}, measured on other phones"
    return Energy(
        decode * _prompt_share(),
        decode,
        params_b,
        {
            KEYS[0]: Provenance(status="assumption", source=share),
            KEYS[1]: Provenance(status="assumption", source=source),
        },
        not_identified=dict.fromkeys(KEYS, "no column energy_j"),
        energy_range=_range_of(decode, is_level_known=False, params_b=params_b),
    )


def _measured(prompt: Floats, output: Floats, energy_j: Floats, params_b: float) -> Energy:
    n = int(prompt.size)
    mix = prompt / output
    if float(np.ptp(mix)) < 1e-6 * float(mix.mean()):
        share = _prompt_share()
        decode = float(np.median(energy_j / (share * prompt + output)))
        why = "prompts and answers keep one ratio: their energies are not apart"
        source = Provenance(status="assumption", source=f"the ratio of both assumed as {1 / share:.3g}")
        return Energy(
            share * decode,
            decode,
            params_b,
            dict.fromkeys(KEYS, source),
            not_identified=dict.fromkeys(KEYS, why),
            energy_range=_range_of(decode, is_level_known=True, params_b=params_b),
        )
    found = fit_energy(prompt, output, energy_j)

    def figures(drawn: Ints) -> Floats:
        return np.array(fit_energy(prompt[drawn], output[drawn], energy_j[drawn]))

    low, high = intervals(n, figures)
    ends = {key: (float(low[i]), float(high[i])) for i, key in enumerate(KEYS)}
    unknown = {key: "its interval reaches 0" for key, (first, _) in ends.items() if first <= 0.0}
    provenance = {
        key: Provenance(
            status="measured", source=f"{n:,} rows; 95 % interval {first:.4g} to {last:.4g} J/tok; whole device"
        )
        for key, (first, last) in ends.items()
    }
    return Energy(found[0], found[1], params_b, provenance, dict(ends), unknown)


def _of_prompts(prompt: Floats, energy_j: Floats, params_b: float) -> Energy:
    n = int(prompt.size)
    middle = float(np.median(energy_j / prompt))

    def figures(drawn: Ints) -> Floats:
        return np.array([np.median(energy_j[drawn] / prompt[drawn])])

    low, high = intervals(n, figures)
    ratio = 1.0 / _prompt_share()
    return Energy(
        middle,
        middle * ratio,
        params_b,
        {
            KEYS[0]: Provenance(status="measured", source=f"{n:,} rows; the whole energy over the prompt's tokens"),
            KEYS[1]: Provenance(status="assumption", source=f"{ratio:.3g} times that of a prompt token"),
        },
        {KEYS[0]: (float(low[0]), float(high[0]))},
        {KEYS[1]: "no column output_tok"},
        _range_of(middle * ratio, is_level_known=True, params_b=params_b),
    )
