"""Which attempts failed: by the words in columns of errors, states and truth values, and by what was not seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from discosim.traces.readers.base import Bools, Floats, Ints, Words
from discosim.traces.readers.columns import ArrowColumn, JsonColumn
from discosim.traces.readers.table_base import Table
from discosim.traces.readers.words import counted, says_nothing, unquoted

_GOOD = frozenset({"ok", "success", "successful", "succeeded", "completed", "complete", "done", "finished", "passed"})
_BAD = frozenset(
    {
        *("error", "err", "errored", "fail", "failed", "failure", "timeout", "timed out", "timedout", "timed_out"),
        *("cancelled", "canceled", "aborted", "rejected", "refused", "dropped", "exception", "unavailable", "ko"),
    }
)
_TRUE, _FALSE = frozenset({"true", "1", "yes", "y", "t"}), frozenset({"false", "0", "no", "n", "f"})
_PLAINLY_NOT = _FALSE - {"0"}
_HTTP_GOOD = re.compile(r"2\d\d( ok| created| accepted)?")
_HTTP_BAD = re.compile(r"[1345]\d\d\b.*")
_EMPTY = frozenset({"{}", "[]"})
SILENT = "without_text"
"""The word for an attempt that says nothing of its failure."""
_ERRORS = ("error", "errors", "error_code", "error_type", "error_msg", "error_message", "exception", "failure_reason")
_STATES = (
    *("status", "state", "outcome", "result", "status_code", "http_status", "http_status_code", "http_code"),
    *("response_code", "request_status"),
)
_GOOD_IF_TRUE = ("success", "successful", "succeeded", "is_success", "is_successful", "ok", "is_ok", "completed")
_BAD_IF_TRUE = ("failed", "is_failed", "failure", "is_error", "has_error", "errored", "timed_out", "is_timeout")


def says_no_error(word: str) -> bool:
    """Tell whether a word in a column of errors means that there was none: nothing, 0, false, ok, or a code of HTTP."""
    plain = unquoted(word).lower()
    return (
        says_nothing(word)
        or plain in _GOOD
        or plain in _FALSE
        or plain in _EMPTY
        or _HTTP_GOOD.fullmatch(plain) is not None
        or plain in {"no error", "no_error", "noerror"}
    )


def told_no_error(column: str, words: Iterable[str]) -> tuple[str, ...]:
    """Return the sentence that counts the words which were taken for no error; none where there are none."""
    counts = Counter(words)
    if not counts:
        return ()
    return (f"{column} holds {counted(counts)}, which was taken for no error.",)


def _of_error(word: str) -> bool | None:
    return not says_no_error(word)


def _of_state(word: str) -> bool | None:
    plain = unquoted(word).lower()
    if plain in _GOOD or plain in _TRUE - {"1"} or _HTTP_GOOD.fullmatch(plain):
        return False
    if plain in _BAD or plain in _PLAINLY_NOT or _HTTP_BAD.fullmatch(plain):
        return True
    return None


def _of_truth(word: str, is_bad: bool) -> bool | None:
    plain = unquoted(word).lower()
    if plain in _TRUE or plain in _GOOD:
        return is_bad
    return not is_bad if plain in _FALSE or plain in _BAD else None


KNOWN: Mapping[str, Callable[[str], bool | None]] = MappingProxyType(
    {
        **dict.fromkeys(_ERRORS, _of_error),
        **dict.fromkeys(_STATES, _of_state),
        **dict.fromkeys(_GOOD_IF_TRUE, lambda word: _of_truth(word, is_bad=False)),
        **dict.fromkeys(_BAD_IF_TRUE, lambda word: _of_truth(word, is_bad=True)),
    }
)
"""What tells of a column's word whether the attempt failed, by the column's name; None where the word tells neither."""


def plain_name(name: str) -> str:
    """Return the name of a column as it is looked up in ``KNOWN``."""
    return re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())).lower()


def outcome_columns(names: Iterable[str]) -> list[str]:
    """Return the names that say whether an attempt failed."""
    return [name for name in names if plain_name(name) in KNOWN]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What the columns of a table say about its attempts.

    Parameters
    ----------
    is_failed : array of bool, shape (n,)
        True where a column says that the attempt failed.
    code : array of str, shape (n,)
        The word of each failure; empty elsewhere.
    warnings : tuple of str
        What was taken for no error.
    unclear : tuple of (int, str)
        The first row whose word in a column tells neither, and that column; empty where all do.
    """

    is_failed: Bools
    code: Words
    warnings: tuple[str, ...] = ()
    unclear: tuple[tuple[int, str], ...] = field(default=())


def outcomes_of(table: Table) -> Outcomes:
    """Return which rows failed, by all columns that say so: an attempt failed where one of them says it.

    A blank cell of an error is none. A blank cell of a state or a truth value says nothing; it is unclear where no
    other column says something of that row, unless the whole column is blank.
    """
    n = len(table)
    is_failed, code = np.zeros(n, dtype=np.bool_), np.full(n, "", dtype=np.object_)
    is_said = np.zeros(n, dtype=np.bool_)
    names = outcome_columns(table.columns)
    warnings: list[str] = []
    unclear: list[tuple[int, str]] = []
    blanks: list[tuple[str, Bools]] = []
    for name in sorted(names, key=lambda name: plain_name(name) not in _ERRORS):
        words = table.words(name).tolist()
        is_error = plain_name(name) in _ERRORS
        tells = _teller(name, words)
        verdict = {word: tells(word) for word in set(words)}
        blank = np.array([says_nothing(word) for word in words], dtype=np.bool_)
        says_bad = np.array([verdict[word] is True for word in words], dtype=np.bool_)
        odd = np.array([verdict[word] is None for word in words], dtype=np.bool_) & ~blank
        unclear += [(int(np.argmax(odd)), name)] if odd.any() else []
        if is_error:
            is_said[:] = True
            taken = [
                word for word in words if word and not verdict[word] and unquoted(word).lower() not in _PLAINLY_NOT
            ]
            warnings += [] if _is_truth(table, name) else told_no_error(name, taken)
        else:
            is_said |= ~blank
            blanks += [(name, blank)] if not blank.all() else []
        new = says_bad & ~is_failed
        is_bool = not is_error and plain_name(name) not in _STATES
        for i in np.flatnonzero(new).tolist():
            code[i] = "error" if is_bool or unquoted(words[i]).lower() in _TRUE else words[i]
        is_failed |= says_bad
    for name, blank in blanks:
        lost = blank & ~is_said
        unclear += [(int(np.argmax(lost)), name)] if lost.any() else []
    return Outcomes(is_failed, code, tuple(warnings), tuple(unclear[:1]))


def _teller(name: str, words: list[str]) -> Callable[[str], bool | None]:
    """Return what tells of a word whether the attempt failed.

    A state of 0 is no answer among codes of HTTP (curl's 000), and success among codes of gRPC or of processes.
    """
    tells = KNOWN[plain_name(name)]
    if plain_name(name) not in _STATES:
        return tells
    numbers = {word for word in map(unquoted, words) if word.isdecimal()}
    has_http = "http" in plain_name(name) or any(100 <= int(word[:9]) <= 599 for word in numbers)

    def of_code(word: str) -> bool | None:
        plain = unquoted(word)
        if plain.isdecimal() and int(plain[:9]) == 0:
            return has_http
        return tells(word)

    return of_code


def _is_truth(table: Table, name: str) -> bool:
    """Tell whether a column is of truth values, which need no sentence."""
    column = table.columns[name]
    if isinstance(column, ArrowColumn):
        return column.is_truth()
    return isinstance(column, JsonColumn) and {type(cell) for cell in column.cells} <= {bool, type(None)}


def silent_failures(ok: Bools, output_tok: Ints | None, *times: Floats) -> tuple[Bools, tuple[str, ...]]:
    """Return the successes that are none, and a sentence with their number.

    Parameters
    ----------
    ok : array of bool, shape (n,)
        Attempts that nothing calls failed.
    output_tok : array of int, shape (n,), optional
        Tokens of the answers, 0 where there were none; None where the file does not count them.
    *times : array of float, shape (n,)
        TTFT, and what else was seen of an answer; 0 or NaN where it was not.

    Notes
    -----
    Source: our choice. Load generators write zeros for a request that failed without a word; an answer without tokens,
    gaps and TTFT did not come.
    """
    silent = ok.copy()
    for values in times:
        silent &= ~(values > 0)
    if output_tok is not None:
        silent &= output_tok == 0
    n = int(silent.sum())
    what = "have no tokens, no gaps and no TTFT, and no word of an error: counted as failures"
    return silent, (f"{n:,} of {ok.size:,} attempts {what}.",) if n else ()
