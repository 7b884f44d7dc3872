"""Fit iteration times to measurements: DistServe's lines to anyone's rows, curves to a grid."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.bounds import require_within
from discosim.core.errors import UserError
from discosim.traces.digest import Card
from discosim.traces.digest_file import write_own_digest
from discosim.traces.engine_digest import EngineDigest, LinesFit, PhysicsFit
from discosim.traces.engine_doubts import AUTO, apart_doubts, phase_doubts, require_plausible, unit_of_times
from discosim.traces.profile_fit import BAD_ERROR, HELD_OUT, KINDS, Iterations, bad_fit, fit_physics
from discosim.traces.readers.source import fingerprint, settled

Floats = NDArray[np.float64]
LARGE_BATCH = 95
LEAST_ROWS = 3
PHASES = ("prefill", "decode", "mixed")
ROUNDING = 1e-6


@dataclass(frozen=True)
class IterationRows:
    """Measured iterations, as columns of equal length.

    Parameters
    ----------
    is_decode : array of bool, shape (n,)
        Decode iterations; the others hold prompt tokens.
    batch : array of float, shape (n,)
        Requests in the iteration, >= 1; of a mixed one its decodes.
    tok : array of float, shape (n,)
        Prefill and mixed: prompt tokens of the whole batch. Decode: KV tokens of the whole batch.
    square_tok : array of float, shape (n,)
        Prefill and mixed: sum of squared prompt lengths; unused for decodes.
    time_s : array of float, shape (n,)
        Duration, > 0.
    is_mixed : array of bool, shape (n,)
        Iterations that prefill and decode.
    kv_tok : array of float, shape (n,)
        Mixed: KV tokens of its decodes.
    """

    is_decode: NDArray[np.bool_]
    batch: Floats
    tok: Floats
    square_tok: Floats
    time_s: Floats
    is_mixed: NDArray[np.bool_]
    kv_tok: Floats


def read_iterations(path: Path, unit: str = AUTO) -> IterationRows:
    """Read measured iterations from CSV.

    Columns ``phase`` (prefill, decode or mixed), ``batch`` (of a mixed one its decodes), ``tokens`` (prefill and mixed:
    prompt tokens of the batch; decode: KV tokens of the batch), one of ``time_s`` and ``time_ms``, for mixed rows
    ``kv_tokens`` (KV tokens of their decodes), and optionally ``square_tokens`` (sum of squared prompt lengths, of a
    chunk from p to q tokens q^2 - p^2; without it the prompts of a batch count as equally long, and those of a mixed
    one as one). ``unit`` (s, ms, us) says what the times are in, whatever their column is called; a phase whose times
    are none of a served model is refused without it.

    Raises
    ------
    UserError
        With file, row and column, for anything else.
    """
    from discosim.traces.readers.source import read_bytes
    from discosim.traces.readers.table import header_of, read_csv

    raw = read_bytes(path)
    names = header_of(raw[: 1 << 16])
    clock, size_s = unit_of_times(names, unit, str(path))
    table = read_csv(raw, path, ("phase", "batch", "tokens", clock), ("square_tokens", "kv_tokens"))
    phase = table.words("phase")
    for i, word in enumerate(phase.tolist()):
        if word not in PHASES:
            raise table.error(i, "phase", f"expected prefill, decode or mixed, found {word!r}")
    is_decode, is_mixed = np.asarray(phase == "decode"), np.asarray(phase == "mixed")
    if is_mixed.any() and not table.has("kv_tokens"):
        raise table.error(
            int(np.argmax(is_mixed)), "kv_tokens", "is missing; mixed rows need the KV tokens of their decodes"
        )
    kv_tok = table.numbers("kv_tokens", lowest=1.0, only=is_mixed) if is_mixed.any() else np.zeros(is_mixed.size)
    batch, tok = table.numbers("batch", lowest=1.0), table.numbers("tokens", lowest=1.0)
    if (fault := ~is_mixed & (tok < batch)).any():
        raise table.error(int(np.argmax(fault)), "tokens", "is below batch; expected the tokens of the whole batch")
    time_s = table.numbers(clock, lowest=1e-9) * size_s
    require_plausible(phase, time_s, clock, unit, str(path))
    if not table.has("square_tokens"):
        square = np.where(is_mixed, tok**2, tok**2 / batch)
        return IterationRows(is_decode, batch, tok, square, time_s, is_mixed, kv_tok)
    square = table.numbers("square_tokens", lowest=0.0, only=~is_decode)
    # prompts of equal length have the least sum of squares, one prompt with all tokens the largest
    fault = ~is_decode & ~is_mixed & ((square < tok**2 / batch * (1 - ROUNDING)) | (square > tok**2 * (1 + ROUNDING)))
    if fault.any():
        i = int(np.argmax(fault))
        raise table.error(
            i,
            "square_tokens",
            f"expected the sum of squared prompt lengths, from {tok[i] ** 2 / batch[i]:g} to {tok[i] ** 2:g} for "
            f"{tok[i]:g} tokens in {batch[i]:g} prompts, got {table.columns['square_tokens'].cell(i)}",
        )
    return IterationRows(is_decode, batch, tok, square, time_s, is_mixed, kv_tok)


def fit_lines(rows: IterationRows, *, where: str) -> tuple[LinesFit, dict[str, float]]:
    """Fit DistServe's form by least squares on the relative error, with coefficients >= 0.

    Returns
    -------
    lines : LinesFit
        Coefficients in s. Without rows above a batch of 95, both decode regimes are the same.
    moments : dict
        ``n``, ``mean`` and ``max`` of the absolute relative error, by phase; and ``held_out_error_mean``, that of a fit
        to nine rows in ten on the tenth, where there are enough rows.

    Raises
    ------
    UserError
        With fewer than three rows of a phase, or rows that do not tell the coefficients apart.

    Notes
    -----
    Source: DistServe's profiles are fitted by least squares on the relative error; that no coefficient may be
    negative is our addition, so that no extrapolation gives a negative time.
    """
    parts = _parts(rows)
    _doubts_of_lines(rows, where=where)
    found: dict[str, tuple[float, ...]] = {}
    moments: dict[str, float] = {}
    for name, (mask, form) in parts.items():
        phase = name.partition("_")[0]
        if int(mask.sum()) < LEAST_ROWS:
            raise UserError(f"needs at least {LEAST_ROWS} {phase} rows, found {int(mask.sum())}", where=where)
        found[name] = _relative_fit(form[mask], rows.time_s[mask])
        error = np.abs(form[mask] @ np.array(found[name]) / rows.time_s[mask] - 1.0)
        moments[f"{name}_n"] = int(mask.sum())
        moments[f"{name}_error_mean"] = float(error.mean())
        moments[f"{name}_error_max"] = float(error.max())
        if (held_out := _held_out_error(form[mask], rows.time_s[mask])) is not None:
            moments[f"{name}_held_out_error_mean"] = held_out
    for name, line in found.items():
        if not any(line):
            raise UserError(f"the {name} rows fit no line", where=where)
    lines = LinesFit(prefill=found["prefill"], decode_small=found["decode"], decode_large=found["decode_large"])
    return lines, moments


def _parts(rows: IterationRows) -> dict[str, tuple[NDArray[np.bool_], Floats]]:
    """Return the rows of each line, and the columns that its three coefficients multiply."""
    prefill, decode = ~rows.is_decode & ~rows.is_mixed, rows.is_decode
    large = decode & (rows.batch > LARGE_BATCH)
    small = decode & ~large
    if int(large.sum()) < LEAST_ROWS or int(small.sum()) < LEAST_ROWS:
        small = large = decode
    one = np.ones(rows.batch.size)
    decode_form = np.column_stack([one, rows.tok, rows.batch])
    return {
        "prefill": (prefill, np.column_stack([one, rows.tok, rows.square_tok])),
        "decode": (small, decode_form),
        "decode_large": (large, decode_form),
    }


def _doubts_of_lines(rows: IterationRows, *, where: str) -> list[str]:
    """Return what rows do not tell apart, by phase; those that are all alike are refused."""
    found: list[str] = []
    for name, (mask, form) in _parts(rows).items():
        if int(mask.sum()) >= LEAST_ROWS:
            terms = ("fixed", "tokens", "squares" if name == "prefill" else "batch")
            found += apart_doubts(name.partition("_")[0], terms, form[mask], where)
    return list(dict.fromkeys(found))


def _held_out_error(form: Floats, time_s: Floats) -> float | None:
    """Return the mean error on one row in ten of a fit to the others; None with fewer than twice as many rows."""
    out = np.arange(time_s.size) % HELD_OUT == 0
    if time_s.size < 2 * HELD_OUT:
        return None
    found = np.array(_relative_fit(form[~out], time_s[~out]))
    return float(np.abs(form[out] @ found / time_s[out] - 1.0).mean())


def fit_mixed(rows: IterationRows, *, where: str) -> tuple[PhysicsFit, dict[str, float]]:
    """Fit the coefficients of what a GPU does; it takes rows of all three phases, see `fit_physics`."""
    none = np.zeros(rows.tok.size)
    held = Iterations(
        tok=np.where(rows.is_decode, rows.batch, rows.tok + np.where(rows.is_mixed, rows.batch, 0.0)),
        square_tok=np.where(rows.is_decode, none, rows.square_tok),
        kv_tok=np.where(rows.is_decode, rows.tok, np.where(rows.is_mixed, rows.kv_tok, none)),
        n_decode=np.where(rows.is_decode | rows.is_mixed, rows.batch, none),
        time_s=rows.time_s,
        kind=np.where(rows.is_mixed, 2, np.where(rows.is_decode, 0, 1)),
    )
    try:
        return fit_physics(held, 1.0, has_experts=False)
    except UserError as error:
        raise UserError(error.message, where=where) from None


def _relative_fit(form: Floats, time_s: Floats) -> tuple[float, ...]:
    from scipy.optimize import nnls

    scaled = form / time_s[:, None]
    size = np.maximum(scaled.max(axis=0), 1e-300)  # columns of like size: squares are 1e7 times larger than ones
    found, _ = nnls(scaled / size, np.ones(time_s.size))
    return tuple(float(value) for value in found / size)


def fit_engine(
    path: Path,
    *,
    name: str,
    model: str,
    hardware: str,
    n_gpus: int,
    kv_bytes_per_tok: float,
    kv_tok: int,
    max_context_tok: int,
    unit: str = AUTO,
) -> EngineDigest:
    """Return an engine digest of a user's own measurements; see `read_iterations` and `fit_lines`."""
    facts = {
        "n-gpus": n_gpus,
        "kv-tok": kv_tok,
        "kv-bytes-per-tok": kv_bytes_per_tok,
        "max-context-tok": max_context_tok,
    }
    for option, number in facts.items():
        if not 0 < number < float("inf"):
            raise UserError(f"must be a finite number > 0 (got {number:g})", where=f"--{option}")
        name = option.replace("-", "_")
        try:
            require_within(name, {"n_gpus": "", "kv_bytes_per_tok": "B"}.get(name, "tok"), number)
        except ValueError as error:
            raise UserError(str(error), where=f"--{option}") from None
    with settled(path) as place:  # read for its times, then for its sha256
        rows, sha256 = read_iterations(place, unit), fingerprint(place).raw_sha256
    told_apart: list[str] = []
    lines: LinesFit | None = None
    physics: PhysicsFit | None = None
    if rows.is_mixed.any():
        physics, moments = fit_mixed(rows, where=path.name)
    else:
        lines, moments = fit_lines(rows, where=path.name)
        told_apart = _doubts_of_lines(rows, where=path.name)
    doubts = [*phase_doubts(rows.is_decode, ~rows.is_decode & ~rows.is_mixed, rows.tok, rows.time_s), *told_apart]
    worst = max(value for key, value in moments.items() if key.endswith("error_mean"))
    return EngineDigest(
        name=name,
        card=Card(
            title=f"{model} on {n_gpus} x {hardware}, own measurements",
            origin="",
            commit="",
            licence="unstated",
            citation="own measurements",
            raw_file=path.name,
            raw_sha256=sha256,
            method="least squares on the relative error, coefficients >= 0",
            quirks=(*doubts, *((bad_fit(worst),) if worst > BAD_ERROR else ())),
            contains=("inference",),
        ),
        model=model,
        hardware=hardware,
        n_gpus=n_gpus,
        kv_bytes_per_tok=kv_bytes_per_tok,
        kv_tok=kv_tok,
        max_context_tok=max_context_tok,
        lines=lines,
        physics=physics,
        moments=moments,
    )


def write_fit(digest: EngineDigest, path: Path) -> str:
    """Write a fitted digest and return what it says, for people.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    write_own_digest(digest, path)
    lines, moments = digest.lines, digest.moments
    warned = [f"warning: {quirk}" for quirk in digest.card.quirks if quirk.startswith(("The fit is bad", "Doubtful"))]
    if lines is None:
        return "\n".join([*_coefficients(digest), *warned, f"written       {path}"])
    shown = []
    for name, line in (
        ("prefill", lines.prefill),
        ("decode", lines.decode_small),
        ("decode_large", lines.decode_large),
    ):
        a, b, c = line
        shown.append(
            f"{name:<13} {a:.4g} + {b:.4g} * tokens + {c:.4g} * {'squares' if name == 'prefill' else 'batch'} s   "
            f"n = {moments[f'{name}_n']:.0f}, error mean {moments[f'{name}_error_mean']:.1%}, "
            f"max {moments[f'{name}_error_max']:.1%}"
        )
    return "\n".join([*shown, *warned, f"written       {path}"])


def _coefficients(digest: EngineDigest) -> list[str]:
    """Return the coefficients of a digest, and how far rows that were held out are from them, a line each."""
    assert digest.physics is not None
    moments = digest.moments
    return [
        *(f"{field.name:<20} {getattr(digest.physics, field.name):.4g}" for field in fields(digest.physics)),
        *(
            f"{kind:<8} held out: n = {moments[f'{kind}_held_out_n']:.0f}, error mean "
            f"{moments[f'{kind}_held_out_error_mean']:.1%}, max {moments[f'{kind}_held_out_error_max']:.1%}"
            for kind in KINDS
        ),
    ]
