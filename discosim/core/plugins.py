"""Parts that other packages add through entry points: loaded one by one, so that a broken one costs only itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any, TypeVar

from discosim.core.errors import UserError, close_match
from discosim.core.source_code import SourceCode, is_foreign, source_of

MOST_CHARACTERS = 160
T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """A class of another package.

    Parameters
    ----------
    value : type
        The class.
    package : str
        Name and version of the distribution it comes from.
    code : SourceCode
        Its code as it was when the class was loaded.
    """

    value: type
    package: str
    code: SourceCode


@dataclass(frozen=True)
class Broken:
    """An entry point that cannot be used.

    Parameters
    ----------
    name, package : str
        The entry point, and name and version of the distribution it comes from.
    kind : str
        The kind that its class claims; the entry point's name where the class could not be had.
    reason : str
        What is wrong, in a few words.
    """

    name: str
    package: str
    kind: str
    reason: str

    def __str__(self) -> str:
        """Return the sentence that names it."""
        return f"the plug-in '{self.name}' of {self.package} cannot be used: {self.reason}"


@dataclass(frozen=True)
class Plugins:
    """What the entry points of one group gave.

    Parameters
    ----------
    found : mapping of str to Plugin
        By kind.
    broken : tuple of Broken
        In the order of their names.
    """

    found: Mapping[str, Plugin]
    broken: tuple[Broken, ...]

    def why_missing(self, kind: str, known: Iterable[str]) -> str:
        """Return why no class of this kind can be had: what is wrong with its plug-in, or which kinds are known."""
        claims = [str(broken) for broken in self.broken if kind in {broken.kind, broken.name}]
        others = "".join(f"; {broken}" for broken in self.broken)  # the kind of one that cannot be loaded is not known
        return "; ".join(claims) or f"{close_match(kind, known)}{others}"

    def listing(self) -> str:
        """Return a line for each broken plug-in, to stand below a list of those that work; '' for none."""
        return "".join(f"\nbroken: {broken}" for broken in self.broken)


def points(group: str, find: Callable[..., Iterable[EntryPoint]] = entry_points) -> list[EntryPoint]:
    """Return the entry points of a group; a package whose list of them is damaged has none."""
    try:
        return list(find(group=group))
    except Exception:  # noqa: BLE001 - a malformed entry_points.txt of any package raises here, in many ways
        found: list[EntryPoint] = []
        for package in distributions():
            with suppress(Exception):
                found += package.entry_points.select(group=group)
        return found


def distribution_of(point: EntryPoint) -> tuple[str, str]:
    """Return name and version of the distribution of an entry point, '' where they are not known."""
    with suppress(Exception):  # metadata may be damaged like anything else
        name, version = (str(getattr(point.dist, part, None) or "") for part in ("name", "version"))
        return name, version
    return "", ""


def package_of(point: EntryPoint) -> str:
    """Return name and version of the distribution of an entry point in words."""
    name, version = distribution_of(point)
    return f"{name or 'an unknown package'} {version}".strip()


def load(point: EntryPoint) -> Any:
    """Import what an entry point names.

    Raises
    ------
    PluginError
        For whatever happens on the way, an attempt to end the process included.
    KeyboardInterrupt
        As it came: that is the user, not the plug-in.
    """
    try:
        return point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(in_words(error)) from error


class PluginError(Exception):
    """An entry point that cannot be used; its text says why."""


def construct(held: type[T], options: Mapping[str, Any], where: str) -> T:
    """Return an object of a class with options, each checked on its own already.

    Raises
    ------
    UserError
        If the class refuses the combination (``ValueError``), or, where it is not ours, fails in any way.
    """
    try:
        return held(**options)
    except ValueError as error:
        raise UserError(" ".join(str(error).split()), where=where) from error
    except Exception as error:
        if not is_foreign(held):
            raise
        raise UserError(f"its own code fails: {in_words(error)}", where=where) from error


def in_words(error: BaseException) -> str:
    """Return an error in one line, whatever its own text does."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - an error of a plug-in may itself be broken
        text = "its text cannot be had"
    text = text if text.isprintable() else ascii(text)[1:-1]
    text = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def classes_of(found: Iterable[EntryPoint], base: type, built_in: Mapping[str, type]) -> Plugins:
    """Load the classes that entry points name.

    Parameters
    ----------
    found : iterable of EntryPoint
        From :func:`points`.
    base : type
        What each must be a subclass of, with a ``kind`` of its own.
    built_in : mapping of str to type
        Kinds of this package, which no other can take.
    """
    broken: list[Broken] = []
    claims: dict[str, list[tuple[str, Plugin]]] = {}
    for point in sorted(found, key=lambda point: (str(point.name), package_of(point))):
        name, package = str(point.name), package_of(point)
        try:
            value = load(point)
            kind = _kind_of(value, base)
            # at once: what is imported now is what will run, whatever becomes of the file
            code = code_of(value, str(getattr(point, "value", "")).partition(":")[0].strip())
        except PluginError as error:
            broken.append(Broken(name, package, name, str(error)))
            continue
        claims.setdefault(kind, []).append((name, Plugin(value, package, code)))
    good: dict[str, Plugin] = {}
    for kind, claimants in claims.items():
        if kind in built_in:
            reason = f"discosim itself has a kind '{kind}'"
            broken += [Broken(name, plugin.package, name, reason) for name, plugin in claimants]
        elif len({id(plugin.value) for _, plugin in claimants}) > 1:
            named = " and ".join(f"'{name}' of {plugin.package}" for name, plugin in claimants)
            broken += [Broken(n, p.package, kind, f"the kind '{kind}' is claimed by {named}") for n, p in claimants]
        else:
            good[kind] = claimants[0][1]
    return Plugins(dict(sorted(good.items())), tuple(sorted(broken, key=lambda one: (one.name, one.package))))


def code_of(value: Any, named_in: str = "") -> SourceCode:
    """Return the fingerprint of the code of a plug-in; that of nothing where it cannot be found."""
    try:
        return source_of(value, named_in)
    except Exception:  # noqa: BLE001 - code that cannot be found is said to be unknown, where it is used
        return SourceCode(named_in, "")


def _kind_of(value: Any, base: type) -> str:
    """Return the kind of a class, having looked at all that anybody will ask of it."""
    try:
        if not isinstance(value, type) or not issubclass(value, base):
            raise PluginError(f"is no {base.__name__} class")
        kind, about = value.kind, value.__doc__  # type: ignore[attr-defined]  # every base of a plug-in has a kind
        texts = (kind, about or "", *(getattr(value, name, "") for name in ("paper", "departures", "source")))
    except KeyboardInterrupt:
        raise
    except PluginError:
        raise
    except BaseException as error:
        raise PluginError(in_words(error)) from error
    if not all(isinstance(text, str) for text in texts):
        raise PluginError("its kind and the texts about it must be text")
    if not kind or not kind.isprintable() or kind != kind.strip():
        raise PluginError("its class has no `kind` that could be written in a scenario")
    if is_dataclass(value) and (taken := sorted({"kind", "name"} & {f.name for f in fields(value)})):
        raise PluginError(f"has an option named {taken[0]}, which a scenario needs for itself (is it a ClassVar?)")
    return str(kind)
