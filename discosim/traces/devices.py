"""Published and recollected device figures, and the stand-in for energy that nobody has published."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from discosim.traces.digest import Card, DeviceDigest, EnergyRange, Provenance
from discosim.traces.energy_sheet import energy_sheet

FLOPS_J_PER_TOK_PER_B = 0.1
"""Joules per token, prompt or output, and billion parameters, as DiSCo's energy model counts them.

Source: the figure of MobileLLM (energy on a phone), known here through the notes on DiSCo, a secondary
source; used for DiSCo's own phones alone.
"""

FLOPS_SOURCE = (
    "DiSCo's energy model (secondary source): linear in FLOPs, so a prompt token is charged like a decoded one, at 0.1 "
    "J per token and billion parameters (MobileLLM's figure); phones were measured to spend 3 to 16 times less on a "
    "prompt token"
)

PARAMS_B = {
    "llama-3.2-1b": 1.24,
    "llama-3.2-3b": 3.21,
    "llama-3.1-8b": 8.03,
    "llama-2-7b": 6.74,
    "phi-3.5-mini": 3.82,
    "phi-3-mini": 3.84,
    "qwen2.5-1.5b": 1.54,
    "qwen2.5-7b": 7.62,
    "qwen3-4b": 4.02,
    "gemma-3n-e4b": 4.0,
    "mistral-7b": 7.24,
    "tinyllama-1.1b": 1.1,
    # half the FLOPs of one decoded token, the output head included: what DiSCo's cost model counts
    "bloom-1.1b": 1.065,
    "bloom-560m": 0.56,
    "qwen1.5-0.5b": 0.465,
    "qwen3-0.6b": 0.6,
    "deepseek-r1-1.5b": 1.78,
    # effective parameters, of 5.1 with the embeddings per layer
    "gemma-4-e2b": 2.3,
}
"""Parameters by model, in billions, as their makers state them (DiSCo's three: derived from FLOPs)."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a device profile and how it is known."""

    value: float
    status: str
    source: str


def stand_in_energy(model: str) -> tuple[Figure, Figure]:
    """Return the energies assumed for a prompt token and a decoded token of a model; J/tok.

    Medians of what was measured on four phones: the decoded token in proportion to the parameters, the prompt token
    by the ratio of the two. Our assumption: both carry over to other phones, back ends and sizes of model.
    """
    sheet = energy_sheet()
    per_b, ratio = sheet.decode_j_per_tok_per_b, sheet.decode_over_prefill
    decode_j = per_b.median * PARAMS_B[model]
    decode_source = (
        f"{per_b.median:.3g} J per decoded token and billion parameters, the median of {sheet.n_runs} runs on four "
        f"phones ({per_b.least:.2g} to {per_b.most:.2g}); measured with 1.24 and 1.54 billion, in proportion elsewhere "
        "(our assumption)"
    )
    prefill_source = (
        f"the decoded token's over {ratio.median:.3g}, the median ratio of the same runs ({ratio.least:.2g} to "
        f"{ratio.most:.2g})"
    )
    return (
        Figure(value=decode_j / ratio.median, status="assumption", source=prefill_source),
        Figure(value=decode_j, status="assumption", source=decode_source),
    )


def flops_energy(model: str) -> Figure:
    """Return the energy that DiSCo's model assumes for one token, prompt or output; J/tok."""
    return Figure(value=FLOPS_J_PER_TOK_PER_B * PARAMS_B[model], status="assumption", source=FLOPS_SOURCE)


def measured_range(model: str) -> EnergyRange:
    """Return the range inside which an assumed energy of a model may lie: least and most of the measured runs."""
    sheet = energy_sheet()
    per_b, ratio = sheet.decode_j_per_tok_per_b, sheet.decode_over_prefill
    return EnergyRange(
        decode_j_per_tok=(per_b.least * PARAMS_B[model], per_b.most * PARAMS_B[model]),
        decode_over_prefill=(ratio.least, ratio.most),
    )


def power_over_rate(power_w: float, rate_tok_per_s: float, *, source: str) -> Figure:
    """Return J/tok at a published power. Our assumption: the power is the same in both phases."""
    return Figure(
        value=power_w / rate_tok_per_s,
        status="assumption",
        source=f"published power {power_w:g} W over the token rate, the same power in both phases; {source}",
    )


def assemble(
    *,
    name: str,
    card: Card,
    device: str,
    model: str,
    prefill_s_per_tok: Figure,
    prefill_intercept_s: Figure,
    decode_tok_per_s: Figure,
    prefill_j_per_tok: Figure | None = None,
    decode_j_per_tok: Figure | None = None,
    chunk_tok: Figure | None = None,
    max_context_tok: Figure | None = None,
    energy_range: EnergyRange | None = None,
) -> DeviceDigest:
    """Build a device profile from tagged figures; energies that are missing get the stand-in and its range.

    Parameters
    ----------
    energy_range : EnergyRange, optional
        Where given energies are assumed too.
    """
    if prefill_j_per_tok is None or decode_j_per_tok is None:
        if prefill_j_per_tok is not decode_j_per_tok:
            raise ValueError("energies of prompt and decoded token come together or not at all")
        prefill_j_per_tok, decode_j_per_tok = stand_in_energy(model)
        energy_range = measured_range(model)
    tagged = {
        "prefill_s_per_tok": prefill_s_per_tok,
        "prefill_intercept_s": prefill_intercept_s,
        "chunk_tok": chunk_tok,
        "decode_tok_per_s": decode_tok_per_s,
        "prefill_j_per_tok": prefill_j_per_tok,
        "decode_j_per_tok": decode_j_per_tok,
        "max_context_tok": max_context_tok,
    }
    return DeviceDigest(
        name=name,
        card=card,
        device=device,
        model=model,
        params_b=PARAMS_B[model],
        prefill_s_per_tok=prefill_s_per_tok.value,
        prefill_intercept_s=prefill_intercept_s.value,
        chunk_tok=_whole(chunk_tok),
        decode_tok_per_s=decode_tok_per_s.value,
        prefill_j_per_tok=prefill_j_per_tok.value,
        decode_j_per_tok=decode_j_per_tok.value,
        max_context_tok=_whole(max_context_tok),
        provenance=_provenance(tagged.items()),
        energy_range=energy_range,
    )


def statuses(figures: Iterable[Provenance]) -> tuple[str, ...]:
    """Return the distinct statuses among figures, best known first."""
    from discosim.traces.digest import STATUSES

    held = {figure.status for figure in figures}
    return tuple(status for status in STATUSES if status in held)


def _whole(figure: Figure | None) -> int | None:
    return None if figure is None else int(figure.value)


def _provenance(tagged: Iterable[tuple[str, Figure | None]]) -> dict[str, Provenance]:
    return {
        field: Provenance(status=figure.status, source=figure.source) for field, figure in tagged if figure is not None
    }
