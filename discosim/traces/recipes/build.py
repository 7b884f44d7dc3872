"""Compute the shipped digests again from the raw trace files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from discosim.core.errors import UserError, close_match
from discosim.core.files import check_folder, unwritable, write_whole
from discosim.traces.digest_file import dump_digest, parse_digest
from discosim.traces.kinds import Digest, kind_of
from discosim.traces.recipes.recipe import Recipe


def recipes() -> dict[str, Recipe]:
    """Return every recipe by the name of its digest."""
    from discosim.traces.recipes import (
        aihub,
        azure,
        disco_phones,
        distserve,
        ireland,
        kernel_profiles,
        latencylab,
        llmperf,
        mooncake,
        openrouter,
        phone_energy,
        phone_heat,
        published_devices,
        routellm,
        servegen,
        sharegpt,
        splitwise_engine,
        starlink,
        uncore,
    )

    sources = (
        azure,
        mooncake,
        sharegpt,
        servegen,
        llmperf,
        openrouter,
        starlink,
        uncore,
        ireland,
        aihub,
        published_devices,
        phone_energy,
        phone_heat,
        disco_phones,
        distserve,
        splitwise_engine,
        kernel_profiles,
        latencylab,
        routellm,
    )
    return {recipe.name: recipe for source in sources for recipe in source.RECIPES}


def build_digest(name: str, raw_folder: Path) -> Digest:
    """Compute one digest.

    Parameters
    ----------
    name : str
        Name of a digest that has a recipe.
    raw_folder : Path
        Folder of raw traces, one sub-folder per data set.

    Returns
    -------
    Digest
        With the numbers as a digest file holds them.

    Raises
    ------
    UserError
        For an unknown name, or a raw file that is missing or cannot be read.
    """
    known = recipes()
    if name not in known:
        raise UserError(f"no recipe for digest {name!r}; {close_match(name, known)}")
    return parse_digest(dump_digest(known[name].run(raw_folder)), where=name)


def build_all(raw_folder: Path, out_folder: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Compute digests and write them as ``out_folder/<kind>/<name>.json``.

    Parameters
    ----------
    raw_folder : Path
        Folder of raw traces.
    out_folder : Path
        Folder to write to, made if missing; files of the same name are replaced.
    names : sequence of str, optional
        Which digests; all by default.

    Returns
    -------
    list of Path
        Files written, in the order asked for.

    Raises
    ------
    UserError
        As `build_digest`, and where a file cannot be written.
    """
    check_folder(out_folder)
    written = []
    for name in recipes() if names is None else names:
        digest = build_digest(name, raw_folder)
        path = out_folder / kind_of(digest) / f"{name}.json"
        _write(path, dump_digest(digest))
        written.append(path)
    return written


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole, so that no reader ever sees half of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    write_whole(path, text)
