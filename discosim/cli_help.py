"""How a verb introduces itself: what it does, its arguments, and commands to copy."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable

AddParser = Callable[..., argparse.ArgumentParser]
COLUMNS = 79
"""The help fits a terminal of 80 columns."""


def add_verb(add: AddParser, name: str, words: str, *examples: str, more: str = "") -> argparse.ArgumentParser:
    """Add a verb whose ``--help`` begins with what it does and ends with examples.

    Parameters
    ----------
    add : callable
        ``add_parser`` of the verbs it joins.
    name : str
        The verb.
    words : str
        What it does; also its line in the list of verbs.
    examples : str
        Commands without the program's name, at most 68 characters each, so that they fit.
    more : str
        Lines below the examples, of at most 79 characters.
    """
    lines = ["examples:", *(f"  discosim {example}" for example in examples)] if examples else []
    return add(
        name,
        help=words,
        description=textwrap.fill(f"{words[0].upper()}{words[1:]}.", COLUMNS),
        epilog="\n".join([*lines, *(["", more] if more else [])]) or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
