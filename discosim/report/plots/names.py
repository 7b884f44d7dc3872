"""Which words stand for what in a source: metrics, columns of requests, and what was varied."""

from __future__ import annotations

import re
from dataclasses import replace

from discosim.core.errors import UserError, close_match
from discosim.metrics.definitions import DEFINITIONS
from discosim.report.plots.source import Dim, Source


class Names:
    """Which words stand for what in a source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._words: dict[str, list[tuple[Dim, str]]] = {}
        for rank in (_whole, _last, _parts):
            found: dict[str, list[tuple[Dim, str]]] = {}
            for dim in source.dims:
                for path in dim.paths:
                    for word in rank(path):
                        if all(dim is not other for other, _ in found.get(word, [])):
                            found.setdefault(word, []).append((dim, path))
            for word, dims in found.items():
                self._words.setdefault(word, dims)

    def is_dim(self, name: str) -> bool:
        """Tell whether a word names what was varied."""
        return name in self._words

    def is_metric(self, name: str) -> bool:
        """Tell whether a word names a number of a policy and replication."""
        return name in self.source.metrics

    def is_column(self, name: str) -> bool:
        """Tell whether a word names a number of a request."""
        metric = DEFINITIONS.get(name)
        return name in self.source.request_columns and (metric is None or metric.unit != "")

    def dim(self, name: str, option: str) -> Dim:
        """Return what a word names, seen from the key that was meant: its values come first."""
        found = self._words.get(name, [])
        if not found:
            whole = [dim.name for dim in self.source.dims]
            known = sorted({*self._words} if len(self._words) < 12 else {*whole, *map(_nearest_word, whole)})
            is_number = self.is_metric(name) or self.is_column(name)
            what = f"'{name}' is a metric and was not varied" if is_number else f"nothing like '{name}' was varied"
            raise UserError(f"{what}; {close_match(name, known)}", where=f"--{option}")
        if len(found) > 1:
            both = ", ".join(path for _, path in found)
            raise UserError(f"'{name}' may be {both}; write one of them", where=f"--{option}")
        dim, path = found[0]
        if path == dim.name:
            return dim
        values = tuple(dict.fromkeys(self.source.rows.drop_duplicates(list(dim.paths))[path]))
        return replace(dim, paths=(path, *(other for other in dim.paths if other != path)), values=values)

    def metric(self, name: str, option: str, *, by_request: bool = False) -> str:
        """Return a metric that is there.

        Raises
        ------
        UserError
            With the nearest names of those that are there.
        """
        if self.is_column(name) if by_request else self.is_metric(name):
            return name
        known = [c for c in self.source.request_columns if self.is_column(c)] if by_request else self.source.metrics
        where = f"--{option}"
        if by_request and self.is_metric(name):
            raise UserError(
                f"'{name}' is one number of all requests and has no distribution; {close_match(name, known)}",
                where=where,
            )
        if self.is_column(name):
            raise UserError(
                f"'{name}' is a number of each request; --kind cdf draws its distribution; here: "
                f"{close_match(name, known)}",
                where=where,
            )
        if name in DEFINITIONS:
            raise UserError(f"these results hold no '{name}'; {close_match(name, known)}", where=where)
        more = "" if by_request else "; `discosim explain metric` lists all"
        raise UserError(f"unknown metric '{name}'; {close_match(name, known)}{more}", where=where)


def _whole(path: str) -> tuple[str, ...]:
    return (path,)


def _last(path: str) -> tuple[str, ...]:
    return (_nearest_word(path),)


def _nearest_word(path: str) -> str:
    return re.sub(r"\[\d+\]$", "", path.rpartition(".")[2])


def _parts(path: str) -> tuple[str, ...]:
    words = [re.sub(r"\[\d+\]$", "", part) for part in path.split(".")]
    return tuple(dict.fromkeys([*words, *(word.removesuffix("s") for word in words)]))
