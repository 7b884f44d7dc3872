"""What a class of somebody else's holds: put back when a replication is over, so that none sees what another left."""

from __future__ import annotations

import pickle
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

import numpy as np

from discosim.core.source_code import is_known

MOST_BYTES = 4 << 20
"""Size of the largest list, table or array that is looked after."""
_NO_DATA = (FunctionType, staticmethod, classmethod, property, type, ModuleType, MemberDescriptorType)
_OUTSIDE = (int, float, str, list, dict, set, deque, bytearray, np.ndarray, np.random.Generator)


@dataclass(frozen=True)
class _Found:
    value: object
    content: bytes


class ClassState:
    """The data of a class, and of what it derives from, as they are now; and what its code uses of its module.

    Classes of this package, of Python and of known libraries keep nothing and are not looked at, nor is what cannot be
    pickled or is large.

    Parameters
    ----------
    held : type
        Any class.

    Notes
    -----
    Source: our choice. A list in the body of a class is shared by all its objects. Replications would not be
    independent, and their numbers would hang on which of them one process happens to run.
    """

    def __init__(self, held: type) -> None:
        self._owners = [one for one in held.__mro__ if not is_known(str(one.__module__))]
        self._before = {owner: dict(_data(owner)) for owner in self._owners}
        self._outside = {owner: dict(_outside(owner)) for owner in self._owners}

    def put_back(self) -> frozenset[str]:
        """Give the class back what it held, and return what had changed: `Class.name`, or `name` in its module.

        What lies in the module stays as it is now: it may be a log that a notebook wants to read.
        """
        changed = set()
        for owner in self._owners:
            before, now = self._before[owner], dict(_data(owner))
            for name in now.keys() - before.keys():
                delattr(owner, name)
                changed.add(f"{owner.__name__}.{name}")
            for name, found in before.items():
                if name in now and now[name].value is found.value and now[name].content == found.content:
                    continue
                is_whole = _content(found.value) == found.content
                setattr(owner, name, found.value if is_whole else pickle.loads(found.content))  # noqa: S301 - our own
                changed.add(f"{owner.__name__}.{name}")
            outside = dict(_outside(owner))
            changed |= {name for name, content in self._outside[owner].items() if outside.get(name) != content}
        return frozenset(changed)


@contextmanager
def as_found(held: Iterable[type]) -> Iterator[list[frozenset[str]]]:
    """Put back what classes hold when the statement ends; the list then says what had changed of each."""
    states, changed = [ClassState(one) for one in held], list[frozenset[str]]()
    try:
        yield changed
    finally:
        changed += [state.put_back() for state in states]


def sentence(changed: frozenset[str]) -> str | None:
    """Return what a reader must know of a policy that changed these; None where it changed nothing."""
    of_class = sorted(name for name in changed if "." in name)
    outside = sorted(changed - set(of_class))
    said = []
    if of_class:
        said.append(
            f"it changes {', '.join(of_class)}, which its class holds: each replication begins with it as it was, and "
            "nothing of it is left afterwards; what one replication remembers belongs in a field(init=False)"
        )
    if outside:
        said.append(
            f"it changes {', '.join(outside)}, which lies outside its class: the next replication sees it, and one in "
            "another process (n_jobs, a sweep's worker) does not; if it decides by it, keep it in a field(init=False)"
        )
    return "; ".join(said) or None


def _data(owner: type) -> Iterator[tuple[str, _Found]]:
    for name, value in vars(owner).items():
        if name.startswith("__") or isinstance(value, _NO_DATA):
            continue
        content = _content(value)
        if content is not None:
            yield name, _Found(value, content)


def _outside(owner: type) -> Iterator[tuple[str, bytes | None]]:
    module: Mapping[str, Any] = vars(sys.modules.get(str(owner.__module__), ModuleType("")))
    used = set[str]()
    for value in vars(owner).values():
        code = getattr(getattr(value, "__func__", getattr(value, "fget", value)), "__code__", None)
        if isinstance(code, CodeType):
            used |= _names(code)
    for name in used & module.keys():
        if isinstance(module[name], _OUTSIDE):
            yield name, _content(module[name])


def _names(code: CodeType) -> set[str]:
    """Return all names that a function asks its module or an object for, those in functions inside it included."""
    found = set(code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= _names(inner)
    return found


class _TooLargeError(Exception):
    pass


class _Small:
    """Takes what a pickler writes, up to a limit: a model of a gigabyte is not copied to be compared."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._left = MOST_BYTES

    def write(self, data: bytes | memoryview | pickle.PickleBuffer) -> int:
        """Take bytes."""
        size = memoryview(data).nbytes
        self._left -= size
        if self._left < 0:
            raise _TooLargeError
        self.parts.append(bytes(data))
        return size


def _content(value: object) -> bytes | None:
    """Return a value as bytes; None where it is too large or cannot be had."""
    held = _Small()
    try:
        pickle.Pickler(held).dump(value)
    except Exception:  # noqa: BLE001 - any object may refuse in its own way
        return None
    return b"".join(held.parts)
