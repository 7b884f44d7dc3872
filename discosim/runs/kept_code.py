"""Code in files of the user's, kept beside the results that it made: what a reader finds next year."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

from discosim.config.own_kinds import own_kinds_of
from discosim.core.files import real_path, unwritable
from discosim.core.own_code import own_texts, split_kind
from discosim.core.scenario import Scenario


def keep_code(scenarios: Iterable[Scenario], folder: Path, but: Collection[str] = ()) -> None:
    """Write the files of the user's that scenarios name, and what these import from beside them, into a folder.

    A copy has the name of its file, so that it finds what it imports; where two files of one name differ, the second
    one lies in a folder of its own.

    Parameters
    ----------
    scenarios : iterable of Scenario
        They name them.
    folder : Path
        Made when it is needed. What lies there under the same name is replaced.
    but : collection of str
        Files that are there already.

    Raises
    ------
    UserError
        If one cannot be written.
    """
    written: dict[str, bytes] = {}
    for kind in dict.fromkeys(kind for scenario in scenarios for kind in own_kinds_of(scenario)):
        file, _ = split_kind(kind) or ("", "")
        if file in but:
            continue
        texts = own_texts(kind)
        if any(written.get(name, content) != content for name, content in texts.items()):
            beside = hashlib.sha256(str(Path(file).parent).encode("utf-8", "surrogateescape")).hexdigest()[:8]
            texts = {f"{beside}/{name}": content for name, content in texts.items()}
        for name, content in texts.items():
            path = real_path(folder / name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            except OSError as error:
                raise unwritable(folder / name, error) from error
        written |= texts
