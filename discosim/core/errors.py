"""Errors a user can act on, and errors that mean the simulator itself is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DiscosimError(Exception):
    """Base of every error raised on purpose by this package."""


class UserError(DiscosimError):
    """Input that cannot be used; the command line prints it in one line and exits with code 2.

    Parameters
    ----------
    message : str
        What is wrong and what was expected, in one sentence.
    where : str, optional
        Place in the user's own terms: ``file:line:column key`` or ``file row 7 column x``.
    """

    def __init__(self, message: str, *, where: str = "") -> None:
        self.message = message
        self.where = where
        super().__init__(f"{where}: {message}" if where else message)


class OwnCodeError(UserError):
    """Code in a file of the user's has failed; whatever it ran into, it is no fault of the place where results go."""


class InvariantError(DiscosimError):
    """A promise of the simulator was broken; always a bug here or in a plug-in, never in the input."""


MANY = 15


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a tail of an error sentence that names the nearest known word, or ''.

    Examples
    --------
    >>> did_you_mean("--sed", ["--set", "--seed"])
    "; did you mean '--seed'?"
    """
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def close_match(name: str, known: Iterable[str]) -> str:
    """Return the tail of an error sentence that names the nearest known words, and all of them where they are few.

    Examples
    --------
    >>> close_match("disko", ["disco", "race"])
    "did you mean 'disco'? Known: disco, race"
    """
    words = sorted(known)
    if not words:
        return "there is none"
    near = difflib.get_close_matches(name, words, n=3, cutoff=0.6)
    hint = f"did you mean '{near[0]}'? " if near else ""
    if len(words) <= MANY:
        return f"{hint}Known: {', '.join(words)}"
    others = f"Near: {', '.join(near[1:])}; " if near[1:] else ""
    return f"{hint}{others}{len(words)} are known"
