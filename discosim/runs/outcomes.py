"""Where the worlds of a run come from: they are run here, or were run before, or elsewhere."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from discosim.core.errors import DiscosimError, OwnCodeError, UserError
from discosim.core.own_code import file_behind
from discosim.core.plugins import in_words
from discosim.runs.replicate import Entrant, Outcome

Compute = Callable[[], Outcome]


class Outcomes(Protocol):
    """Whoever gives what one policy came to in one replication."""

    @property
    def is_apart(self) -> bool:
        """Whether each policy draws its luck alone, so that what it asked for is known of it alone."""
        ...

    def of(self, entrant: Entrant, replication: int, compute: Compute) -> Outcome:
        """Return what a policy came to in a replication; ``compute`` runs its world."""
        ...


class Here:
    """Runs every world, here and now."""

    is_apart = False

    def of(self, entrant: Entrant, replication: int, compute: Compute) -> Outcome:
        """Run the world."""
        del replication
        return own_errors(entrant, compute)


def own_errors(entrant: Entrant, compute: Compute) -> Outcome:
    """Run a world; an error under a policy of the user's is said with the line of the user's file.

    Raises
    ------
    OwnCodeError
        If the code in the user's file fails.
    """
    try:
        return compute()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        file = file_behind(type(entrant.policy))
        if file is None:
            raise
        place = _line(error, file.parent) or str(file)
        said = str(error) if isinstance(error, DiscosimError | NotImplementedError) else in_words(error)
        raise OwnCodeError(said, where=f"policy {entrant.name}: {place}") from error


def _line(error: BaseException, folder: Path) -> str | None:
    """Return the last line of code in a folder that an error, or the one behind it, came through."""
    found: BaseException | None = error
    while found is not None:
        frames = traceback.extract_tb(found.__traceback__)
        if own := [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]:
            return f"{own[-1].filename}:{own[-1].lineno}"
        found = found.__cause__  # SimPy raises another of its kind in the place of an error
    return None
