"""One helper to declare a scenario field once: default, meaning, unit and allowed range."""

from __future__ import annotations

from dataclasses import MISSING, field
from typing import Any

SINCE, UNIT = "since", "unit"
"""Keys of a field's metadata: the version that added it, and its unit."""


def spec(default: Any = MISSING, *, doc: str, unit: str = "", since: str = "", **limits: Any) -> Any:
    """Declare a dataclass field together with what the config layer, the schema and the docs need to know.

    Parameters
    ----------
    default : object, optional
        Default value; without one the field is required. Mutable defaults are given as a callable.
    doc : str
        One sentence for the reference page.
    unit : str
        Unit as printed in the reference page, for example ``"s"`` or ``"tok/s"``.
    since : str
        Version that added the field to a section which runs were stored with before. At its default such a field leaves
        no trace in the identity of a run (`discosim.runs.identity.run_id`), so that stored runs keep their names.
    **limits
        Range rules by their pydantic names: ``ge, gt, le, lt, min_length, discriminator``.
        The names are only stored here; no validation library is imported below the config layer. A number of this
        package without an upper bound gets that of its unit, from `discosim.core.bounds`.
    """
    described = f"{doc} [{unit}]" if unit else doc
    marks = {name: mark for name, mark in ((SINCE, since), (UNIT, unit)) if mark}
    metadata = {"description": described, **marks, **limits}
    if default is MISSING:
        return field(metadata=metadata)
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)
