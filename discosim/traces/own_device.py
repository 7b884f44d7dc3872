"""A whole device profile from a user's own rows: line, residual law, heat, energy, and what the rows do not tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from discosim.core.device_law import Heat, Residual
from discosim.core.errors import UserError
from discosim.traces.device_energy import energy_of
from discosim.traces.device_fit import intervals
from discosim.traces.device_residual import STALL_RULE, stalls_of
from discosim.traces.device_runs import settled_runs
from discosim.traces.device_speed import LEAST, Found, Speed, block, fit_speed, relative_speed
from discosim.traces.device_timed import Pieces, ShownHeat, pieces_of, shown_heat, slowed, without_waits
from discosim.traces.digest import DeviceDigest, Provenance
from discosim.traces.heat_fit import N_DRAWS as N_HEAT_DRAWS
from discosim.traces.mapping import NO_NAMES
from discosim.traces.own_card import FEW, own_card
from discosim.traces.readers import fingerprint
from discosim.traces.readers.device_files import read_device_rows
from discosim.traces.readers.device_rows import DeviceRows, choose
from discosim.traces.readers.source import settled
from discosim.traces.readers.units import AUTO

METHOD = (
    "Huber's regression of times over lengths, relative to the fit, coefficients >= 0; steps where their error is at "
    "most 0.8 of the line's and four standard errors below it; ratios of measured over line as quantile tables with "
    f"the memory that gives their lag-1; {STALL_RULE}; 95 % intervals by a bootstrap of rows"
)


def digest_device(
    path: str | PathLike[str],
    *,
    name: str = "",
    format: str = "auto",  # noqa: A002 (the word users type)
    group: str | None = None,
    mapping: Mapping[str, str] = NO_NAMES,
    unit: str = AUTO,
    chars_per_tok: float | None = None,
    params_b: float | None = None,
    decode_tok_per_s: float | None = None,
    title: str = "",
) -> DeviceDigest:
    """Make a device profile from a file of one device's requests.

    Parameters
    ----------
    path : path
        Rows of your own, llama-bench's results or llama.cpp's timings; see `read_device_rows`.
    name : str
        Of the profile; the file's stem by default.
    format : str
        ``rows``, ``llama_bench`` or ``llama_server``; recognised where omitted.
    group : str, optional
        Which device and model, where the file holds several.
    mapping : mapping of str to str
        Our names of columns to the file's.
    unit : str
        Of times whose columns do not say it.
    chars_per_tok : float, optional
        Characters of a token where the file counts characters; 4 by default.
    params_b : float, optional
        Parameters of the model, in billions, for the energy that is assumed where none was measured.
    decode_tok_per_s : float, optional
        Decode rate where the rows do not tell it.
    title : str
        For the card.

    Raises
    ------
    UserError
        If the file cannot be read, holds several devices and none was chosen, or fewer than three rows.
    """
    with settled(Path(path)) as place:
        groups = read_device_rows(place, format=format, mapping=mapping, unit=unit, chars_per_tok=chars_per_tok)
        rows, sha256 = choose(groups, group, str(path)), fingerprint(place).raw_sha256
    digest = profile_of(rows, name=name or _slug(Path(path).stem), params_b=params_b, decode_tok_per_s=decode_tok_per_s)
    card = replace(digest.card, title=title or digest.card.title, raw_file=Path(path).name, raw_sha256=sha256)
    return replace(digest, card=card)


def profile_of(
    rows: DeviceRows, *, name: str, params_b: float | None = None, decode_tok_per_s: float | None = None
) -> DeviceDigest:
    """Make a device profile from rows; see `digest_device` for the parameters."""
    if len(rows) < LEAST:
        raise UserError(f"{rows.group}: {len(rows)} rows; a profile needs at least {LEAST}")
    found = Found()
    found.notes += rows.warnings
    rows, said = settled_runs(rows)
    found.notes += said
    rows, said = without_waits(rows)
    found.notes += said
    if len(rows) < FEW and not rows.is_summary:
        found.notes.append(f"Only {len(rows)} rows: the tails are not known.")
    speed, shown, pieces = _speeds(rows, decode_tok_per_s, found)
    heat = _heat(shown, pieces, found)
    residual = _residual(rows, speed, found)
    params = params_b or rows.params_b
    energy = energy_of(rows, params)
    found.unknown |= energy.not_identified
    found.provenance |= energy.provenance
    found.intervals |= energy.intervals
    _doubts(rows, speed, found)
    load_s = rows.load_s[np.isfinite(rows.load_s)]
    if load_s.size:
        found.provenance["cold_start_load_s"] = Provenance(status="measured", source=f"median of {load_s.size:,} rows")
    return DeviceDigest(
        name=name,
        card=replace(
            own_card("", "", title=_title(rows), method=METHOD, quirks=tuple(found.notes)),
            status=_statuses(found.provenance),
        ),
        device=rows.device or "unnamed",
        model=rows.model or "unnamed",
        params_b=params or energy.params_b,
        prefill_s_per_tok=speed.line.s_per_tok,
        prefill_intercept_s=speed.line.intercept_s,
        chunk_tok=speed.line.chunk_tok,
        decode_tok_per_s=1.0 / speed.gap_s,
        prefill_j_per_tok=energy.prefill_j_per_tok,
        decode_j_per_tok=energy.decode_j_per_tok,
        max_context_tok=None,
        provenance=found.provenance,
        energy_range=energy.energy_range,
        residual=residual,
        heat=heat,
        cold_start_load_s=float(np.median(load_s)) if load_s.size else None,
        n=len(rows),
        intervals=found.intervals,
        not_identified=found.unknown,
    )


def _title(rows: DeviceRows) -> str:
    what = f"{rows.device} running {rows.model}" if rows.device and rows.model else rows.group
    return f"{what}: the user's own measurement"


def _statuses(provenance: Mapping[str, Provenance]) -> dict[str, str]:
    assumed = {name: held.status for name, held in provenance.items() if held.status != "measured"}
    return {"*": "measured", **assumed}


def _slug(text: str) -> str:
    return "".join(char if char.isalnum() or char in "-._" else "-" for char in text).strip("-") or "device"


def _speeds(
    rows: DeviceRows, decode_tok_per_s: float | None, found: Found
) -> tuple[Speed, ShownHeat | None, Pieces | None]:
    """Return line and decode rate at full speed, and the heat that the rows show."""
    quiet = Found()
    speed = fit_speed(rows, np.ones((3, len(rows))), decode_tok_per_s, quiet)
    held = pieces_of(rows)
    shown: ShownHeat | None = None
    if held is not None:
        pieces, said = held
        found.notes += said
        for last in (False, True):
            relative = relative_speed(rows, speed)
            shown = shown_heat(pieces, relative, n_draws=N_HEAT_DRAWS if last else 0)
            if shown is None:
                break
            factors = np.asarray(slowed(pieces, shown, rows))
            speed = fit_speed(rows, factors, decode_tok_per_s, found if last else quiet)
    if shown is None:
        speed = fit_speed(rows, np.ones((3, len(rows))), decode_tok_per_s, found)
    return speed, shown, None if held is None else held[0]


def _residual(rows: DeviceRows, speed: Speed, found: Found) -> Residual | None:
    body = speed.prefill
    assert body is not None
    stalls = stalls_of(speed.excess_s, max(speed.n_prefill, 1))
    law = Residual(
        prefill=body.series(),
        decode=None if speed.decode is None else speed.decode.series(),
        stalls=stalls,
        first=speed.first,
        n=None if rows.is_summary else min(held.ratio.size for held in (body, speed.decode) if held is not None),
    )
    for name, held in (("residual.prefill", speed.prefill), ("residual.decode", speed.decode)):
        if held is None or (name.endswith("prefill") and speed.n_prefill == 0):
            continue
        ratio = held.ratio
        low, high = intervals(
            ratio.size,
            lambda drawn, ratio=ratio: np.array([ratio[drawn].mean(), np.quantile(ratio[drawn], 0.99)]),  # type: ignore[misc]  # bound
            block=block(held),
        )
        found.intervals[f"{name}.mean"] = (float(low[0]), float(high[0]))
        found.intervals[f"{name}.p99"] = (float(low[1]), float(high[1]))
        if ratio.size < 100:
            found.unknown[f"{name}.p99"] = f"{ratio.size} rows hold no 99th percentile"
    source = "ratios of measured over line"
    if rows.is_summary:
        source += "; of a mean and a deviation: no memory, no tail, no stalls"
        found.unknown["residual.memory"] = "no single requests in the file"
        found.unknown["residual.stalls"] = "no single requests in the file"
    elif not body.has_memory:
        found.notes.append(f"Lag-1 of the ratios {body.lag1:.2f}: within chance, taken as none.")
    if stalls is not None:
        k = speed.excess_s.size
        half = 1.96 * k**0.5 / speed.n_prefill
        found.intervals["residual.stalls.share"] = (max(stalls.share - half, 0.0), stalls.share + half)
        found.notes.append(
            f"{k} of {speed.n_prefill:,} rows are stalls ({speed.excess_s.min():.3g} to {speed.excess_s.max():.3g} s)."
        )
    if not rows.says_first:
        n_first = len(set(rows.run.tolist()))
        if speed.first == 1.0 or rows.is_summary:
            found.unknown["residual.first"] = "no column is_first, and no first row that is out of the others' range"
        else:
            found.unknown["residual.first"] = f"from {n_first} first rows: no interval"
    found.provenance["residual"] = Provenance(status="measured", source=source)
    return law


def _heat(shown: ShownHeat | None, pieces: Pieces | None, found: Found) -> Heat | None:
    if shown is None:
        why = "rows are not timed" if pieces is None else "timed rows show no slowing with work"
        found.unknown["heat"] = why
        return None
    fit = shown.fit
    found.intervals |= {f"heat.{name}": ends for name, ends in fit.intervals.items()}
    found.unknown |= {f"heat.{name}": why for name, why in fit.not_identified.items()}
    status = "assumption" if "cooling_s" in fit.not_identified else "measured"
    found.provenance["heat"] = Provenance(
        status="measured",
        source=f"{fit.n:,} timed rows, median error {fit.error:.1%}; starts were taken as cool"
        if all(start == 0.0 for start in fit.start_heat)
        else f"{fit.n:,} timed rows, median error {fit.error:.1%}",
    )
    found.provenance["heat.cooling_s"] = Provenance(
        status=status, source=fit.not_identified.get("cooling_s", "rests between rows")
    )
    return fit.heat


def _doubts(rows: DeviceRows, speed: Speed, found: Found) -> None:
    seen = np.isfinite(rows.temperature)
    if seen.sum() >= 30 and speed.prefill is not None and np.ptp(rows.temperature[seen]) > 0:
        relative = relative_speed(rows, speed)
        kept = seen & np.isfinite(relative)
        cool, hot = np.quantile(rows.temperature[kept], [1 / 3, 2 / 3])
        coolest = float(np.median(relative[kept & (rows.temperature <= cool)]))
        hottest = float(np.median(relative[kept & (rows.temperature >= hot)]))
        found.notes.append(
            f"The hottest third of the rows runs at {hottest / coolest:.2f} of the coolest third's speed; temperature "
            "itself enters no figure."
        )
