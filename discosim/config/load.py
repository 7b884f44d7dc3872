"""Loading a scenario: read, override, validate, and report every mistake at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from discosim.config.build import Builder
from discosim.config.inherit import BASE, inherited
from discosim.config.overrides import apply_override, set_value
from discosim.config.problems import Place, Problems
from discosim.config.yaml_loader import Document, read_file
from discosim.core.errors import UserError
from discosim.core.files import near_files
from discosim.core.scenario import Scenario


def load_scenario(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    overrides: Iterable[str] = (),
    seed: int | None = None,
    runs_own: bool = True,
) -> Scenario:
    """Return the validated scenario, with every default filled in.

    Parameters
    ----------
    source : path, str or mapping
        A YAML file; the bare name of a shipped configuration, for example ``"quickstart"``; or a mapping with
        the same keys as a file.
    overrides : iterable of str
        ``a.b=c`` texts, applied in order; see the ``--set`` option. A file that one names is looked for in the working
        directory and then beside the configuration; where both hold one and they differ, it is refused.
    seed : int, optional
        Replaces the scenario's seed, >= 0.
    runs_own : bool
        Whether to import the files of what it names as `file.py:Class`, which runs them. Without that it can be read,
        fingerprinted and compared, and not be simulated; so are results read, whoever made them.

    Returns
    -------
    Scenario
        Frozen plain data. Files that it names are absolute paths. In a file they are relative to it, in a mapping to
        the working directory. Written with :func:`discosim.config.dump_scenario` and loaded again, it is equal.

    Raises
    ------
    UserError
        For anything unusable. Its text has one line per mistake: place, key, what was expected, what was got.

    Examples
    --------
    >>> load_scenario("reference", overrides=["replications=3"]).replications
    3
    """
    if isinstance(overrides, str):
        raise UserError(f"expected a list of texts: overrides=[{overrides!r}]", where="load_scenario")
    document, base = read_document(source)
    for override in overrides:
        apply_override(document, override, base)
    if seed is not None:
        set_value(document, "seed", seed, Place(f"--seed {seed}", f"--seed {seed}"))
    scenario = build_section(Scenario, document, base, runs_own=runs_own)
    assert isinstance(scenario, Scenario)
    return scenario


def build_section(section: type, document: Document, base: Path, *, runs_own: bool = True) -> Any:
    """Return the dataclass that a whole document describes.

    Parameters
    ----------
    section : type
        Dataclass of the outermost section, for example ``Scenario``.
    document : Document
        Data, and the place of each key.
    base : Path
        Folder against which the files of values without a place are resolved; others lie where their place says.
    runs_own : bool
        As for :func:`load_scenario`.

    Raises
    ------
    ConfigError
        With every mistake.
    """
    problems = Problems(document.places)
    if document.data is None:
        problems.add((), "is empty; expected a mapping of keys to values")
        problems.raise_if_any()
    built = Builder(problems, base, runs_own).section(section, document.data, ())
    problems.raise_if_any()
    return built


def read_document(source: str | os.PathLike[str] | Mapping[str, Any]) -> tuple[Document, Path]:
    """Return the plain data of a scenario, and its folder: the working directory for a mapping.

    The sources are those of :func:`load_scenario`; nothing is validated beyond being strict YAML.
    """
    if isinstance(source, Mapping):
        return inherited(Document(copied(source)), Path.cwd()), Path.cwd()
    if not isinstance(source, str | os.PathLike):
        raise UserError(f"expected a path, a name or a mapping, not {type(source).__name__}", where="load_scenario")
    if not str(source):
        raise UserError("expected a YAML file or the name of a shipped configuration (got empty text)")
    path = Path(source)
    if not path.exists() or (path.is_dir() and _is_shipped(path)):  # a folder of that name holds no configuration
        path = _shipped(path)
    document = read_file(path)
    document.places.setdefault((), Place(str(path), str(path)))
    _refuse_sweep(document.data, source)
    if isinstance(document.data, dict) and BASE in document.data:
        document.data.setdefault("name", path.stem)  # not that of the base, whose results would be in the way
        document = inherited(document, path.resolve().parent, (path.resolve(),))
    return document, path.resolve().parent


def _is_shipped(path: Path) -> bool:
    from discosim.traces.catalogue import list_configs

    return len(path.parts) == 1 and path.name in list_configs()


def _shipped(path: Path) -> Path:
    """Return the file of a shipped configuration where the path is its bare name; else the path, which is missing."""
    from discosim.traces.catalogue import list_configs, list_sweeps, shipped_config

    if path.suffix in {".yaml", ".yml"}:
        if path.stem in list_configs() and not near_files(path):
            raise UserError(f"no such file; the shipped configuration goes by its name, {path.stem}", where=str(path))
        return path
    if len(path.parts) > 1:
        return path
    if path.name in list_sweeps() and path.name not in list_configs():
        raise UserError(f"'{path.name}' is a sweep; run it with `discosim sweep {path.name}`")
    return shipped_config(path.name)


def _refuse_sweep(data: Any, source: object) -> None:
    """Say in one line that a sweep is no scenario, rather than complain about each of its keys."""
    if isinstance(data, Mapping) and BASE in data and {"sweep", "set", "compare", "profiles"} & data.keys():
        raise UserError(f"is a sweep, not a scenario; run it with `discosim sweep {source}`", where=str(source))


def copied(value: Any) -> Any:
    """Copy mappings and lists, so that overrides leave the caller's data alone."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    return value
