"""Energy per prompt token and per decoded token of a device's rows, measured where rows tell it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from discosim.traces.device_fit import Floats, Ints, fit_energy, intervals
from discosim.traces.devices import STAND_IN_J_PER_TOK_PER_B
from discosim.traces.digest import Provenance
from discosim.traces.readers.device_rows import DeviceRows

PROMPT_SHARE = 1.0 / 5.3
"""Energy of a prompt token over that of a decoded one where rows do not tell them apart. Source: the median of runs of
phones in which both were measured apart (2.9 to 16 times less)."""
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
    notes: tuple[str, ...] = ()


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
    held = STAND_IN_J_PER_TOK_PER_B * size
    whose = f"{size:g} billion parameters" + ("" if params_b is not None else ", assumed: say --params-b N")
    source = Provenance(
        status="assumption", source=f"{STAND_IN_J_PER_TOK_PER_B:g} J per token and billion parameters; {whose}"
    )
    return Energy(
        held * PROMPT_SHARE,
        held,
        size,
        {
            KEYS[0]: Provenance(
                status="assumption", source=f"the decoded token's over {1 / PROMPT_SHARE:g}; {source.source}"
            ),
            KEYS[1]: source,
        },
        not_identified=dict.fromkeys(KEYS, "no column energy_j"),
    )


def _measured(prompt: Floats, output: Floats, energy_j: Floats, params_b: float) -> Energy:
    n = int(prompt.size)
    mix = prompt / output
    if float(np.ptp(mix)) < 1e-6 * float(mix.mean()):
        decode = float(np.median(energy_j / (PROMPT_SHARE * prompt + output)))
        why = "prompts and answers keep one ratio: their energies are not apart"
        source = Provenance(status="assumption", source=f"the ratio of both assumed as {1 / PROMPT_SHARE:g}")
        return Energy(
            PROMPT_SHARE * decode,
            decode,
            params_b,
            dict.fromkeys(KEYS, source),
            not_identified=dict.fromkeys(KEYS, why),
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
    return Energy(
        middle,
        middle / PROMPT_SHARE,
        params_b,
        {
            KEYS[0]: Provenance(status="measured", source=f"{n:,} rows; the whole energy over the prompt's tokens"),
            KEYS[1]: Provenance(status="assumption", source=f"{1 / PROMPT_SHARE:g} times that of a prompt token"),
        },
        {KEYS[0]: (float(low[0]), float(high[0]))},
        {KEYS[1]: "no column output_tok"},
    )
