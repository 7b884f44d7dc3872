"""Loading a scenario: read, override, validate, and report every mistake at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from discosim.config.build import Builder
from discosim.config.overrides import apply_override, set_value
from discosim.config.problems import Place, Problems
from discosim.config.yaml_loader import Document, read_file
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario


def load_scenario(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    overrides: Iterable[str] = (),
    seed: int | None = None,
) -> Scenario:
    """Return the validated scenario, with every default filled in.

    Parameters
    ----------
    source : path, str or mapping
        A YAML file; the bare name of a shipped configuration, for example ``"quickstart"``; or a mapping with
        the same keys as a file.
    overrides : iterable of str
        ``a.b=c`` texts, applied in order; see the ``--set`` option.
    seed : int, optional
        Replaces the scenario's seed, >= 0.

    Returns
    -------
    Scenario
        Frozen plain data. Files that it names are absolute paths; in a file they are relative to it.

    Raises
    ------
    UserError
        For anything unusable. Its text has one line per mistake: place, key, what was expected, what was got.

    Examples
    --------
    >>> load_scenario("reference", overrides=["replications=3"]).replications
    3
    """
    document, base = read_document(source)
    for override in overrides:
        apply_override(document, override)
    if seed is not None:
        set_value(document, "seed", seed, f"--seed {seed}")
    scenario = build_section(Scenario, document, base)
    assert isinstance(scenario, Scenario)
    return scenario


def build_section(section: type, document: Document, base: Path) -> Any:
    """Return the dataclass that a whole document describes.

    Parameters
    ----------
    section : type
        Dataclass of the outermost section, for example ``Scenario``.
    document : Document
        Data, and the place of each key.
    base : Path
        Folder against which file names are resolved.

    Raises
    ------
    ConfigError
        With every mistake.
    """
    problems = Problems(document.places)
    if document.data is None:
        problems.add((), "is empty; expected a mapping of keys to values")
        problems.raise_if_any()
    built = Builder(problems, base).section(section, document.data, ())
    problems.raise_if_any()
    return built


def read_document(source: str | os.PathLike[str] | Mapping[str, Any]) -> tuple[Document, Path]:
    """Return the plain data of a scenario, and the folder against which its file names are resolved.

    The sources are those of :func:`load_scenario`; nothing is validated beyond being strict YAML.
    """
    if isinstance(source, Mapping):
        return Document(copied(source)), Path.cwd()
    if not isinstance(source, str | os.PathLike):
        raise UserError(f"expected a path, a name or a mapping, not {type(source).__name__}", where="load_scenario")
    path = Path(source)
    if _is_bare_name(path) and not path.exists():
        from discosim.traces.catalogue import shipped_config

        path = shipped_config(path.name)
    document = read_file(path)
    document.places.setdefault((), Place(str(path), str(path)))
    return document, path.resolve().parent


def _is_bare_name(path: Path) -> bool:
    return len(path.parts) == 1 and path.suffix not in {".yaml", ".yml"}


def copied(value: Any) -> Any:
    """Copy mappings and lists, so that overrides leave the caller's data alone."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    return value
