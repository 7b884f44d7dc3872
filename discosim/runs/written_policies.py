"""Policies that were given as objects, in the folder of a run: their text lies beside the results."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from discosim.config.own_kinds import import_own
from discosim.core.errors import UserError
from discosim.runs.folder import CODE
from discosim.runs.given_policies import specs_of
from discosim.runs.result import RunResult


@contextmanager
def with_text(result: RunResult, target: Path) -> Iterator[tuple[RunResult, Mapping[str, str]]]:
    """Give a result whose scenario names all its policies, and where their files will lie.

    Parameters
    ----------
    result : RunResult
        A run; one whose objects cannot be written down stays as it is.
    target : Path
        Its folder to be.

    Yields
    ------
    (RunResult, mapping of str to str)
        Text of objects is in temporary files until then: the place of each -> that in the folder.
    """
    with tempfile.TemporaryDirectory(prefix="discosim-") as folder:
        texts = Path(folder).resolve()
        try:
            specs = specs_of(result.given, texts)
        except UserError:
            yield result, {}
            return
        scenario = replace(result.scenario, policies=(*result.scenario.policies, *specs))
        import_own(scenario)  # what is hashed is what is written
        yield replace(result, scenario=scenario), {str(p): str(target / CODE / p.name) for p in sorted(texts.iterdir())}


def copy_texts(folder: Path, places: Mapping[str, str]) -> None:
    """Write the text of objects into a run's folder."""
    for source, place in places.items():
        (folder / CODE).mkdir(exist_ok=True)
        (folder / CODE / Path(place).name).write_bytes(Path(source).read_bytes())
