"""run.json of a folder of figures: what other rooms rely on in it, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from discosim.runs.facts import FACTS, FileFacts
from discosim.runs.shapes import Shape, check_shape, read_object

Place = Annotated[str, Field(pattern=r"^(tables|figures)/[^/\\\x00]+$|^[^/\\\x00]+$")]


class _Input(Shape):
    kind: str
    what: str


class _Figure(Shape):
    tables: Sequence[str] = ()
    claims: Sequence[str] = ()


class FigureFacts(Shape):
    """What a reader of the folder may ask for; earlier versions wrote less."""

    title: str = ""
    profile: str = ""
    executor: str = ""
    inputs: Mapping[str, _Input] = {}
    figures: Mapping[str, _Figure] = {}
    seconds_of_this_call: Mapping[str, float] = {}
    peak_mib_of_one_process: float | None = None
    files: Mapping[Place, FileFacts] = {}
    discosim: str = ""
    code: Mapping[str, str] = {}
    commit: str | None = None
    command: str = ""
    python: str = ""
    platform: str = ""


def read_figure_facts(folder: Path) -> dict[str, Any]:
    """Return run.json of a folder of figures.

    Raises
    ------
    UserError
        If it is missing, cannot be read, or is not what `discosim figures` writes.
    """
    content = read_object(folder / FACTS)
    check_shape(FigureFacts, content, folder / FACTS, "`discosim figures`")
    return content
