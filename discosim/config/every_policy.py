"""The path `policies.*.option`: every policy of a scenario that has such an option."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from discosim.config.keypath import shown
from discosim.config.own_kinds import found_kind, names_file
from discosim.config.policy_specs import options_of
from discosim.config.problems import Problems
from discosim.config.yaml_loader import Document
from discosim.core.errors import UserError, close_match

EVERY_POLICY = "policies.*."


def policies_with(document: Document, option: str, label: str, folder: Path) -> list[int]:
    """Return the places of the policies of a scenario that have an option, at least one.

    Parameters
    ----------
    document : Document
        A scenario as it was read; a policy whose kind is not known is left to whoever builds it.
    option : str
        What stands behind ``policies.*.``; a path may go on below the option.
    label : str
        Who asks, for messages.
    folder : Path
        Where files lie that are named without a place.

    Raises
    ------
    UserError
        If no policy has it, with a close match.
    """
    name = re.split(r"[.\[]", option, maxsplit=1)[0]
    listed = document.data.get("policies")
    if not isinstance(listed, list):
        raise UserError(f"policies must be a list (got {shown(listed)})", where=label)
    options = [_options(item, i, document, folder) for i, item in enumerate(listed)]
    found = [i for i, held in enumerate(options) if name in held]
    if not found:
        known = sorted({held for one in options for held in one})
        raise UserError(f"no policy has an option '{name}'; {close_match(name, known)}", where=label)
    return found


def _options(item: Any, i: int, document: Document, folder: Path) -> Iterable[str]:
    from discosim.policies import Policy, known_policies

    kind = item.get("kind") if isinstance(item, Mapping) else None
    if not isinstance(kind, str):
        return ()
    try:
        if names_file(kind):
            folders = Problems(document.places).folders(("policies", i, "kind")) or (folder,)
            return options_of(found_kind(kind, folders, Policy)[1])
        return options_of(known_policies()[kind]) if kind in known_policies() else ()
    except UserError:
        return ()
