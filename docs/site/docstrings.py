"""Docstrings as the site shows them: roles of Sphinx become code, a Source line is no part of the section above."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:func|class|meth|mod|attr|data):`~?([\w.]+)`")
SOURCE = re.compile(r"(^ *-{3,}$.*?\n)\n( *)Source: ", re.MULTILINE | re.DOTALL)


class Readable(griffe.Extension):
    """Replace ``:func:`a.b``` by ``a.b`` in code font, and begin a section with ``Source:``."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the text of a docstring before it is parsed."""
        if obj.docstring is not None:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = SOURCE.sub(r"\1\n\2Notes\n\2-----\n\2Source: ", text)
