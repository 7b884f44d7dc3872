"""Policies in words: the header of one policy, and the page that lists them all."""

from __future__ import annotations

import sys
import textwrap
import types
import typing
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Literal, get_args, get_origin

from discosim.core.own_code import without_folder
from discosim.policies.base import Policy
from discosim.policies.registry import known_policies, policy_class, policy_plugins

_WIDTH = 100
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_PAGE_HEADER = """\
# Policies

Generated from the headers of `discosim/policies/*.py`, as `discosim explain policy` prints them; do not edit.
Options are written beside `kind` in a scenario; what is left out takes its default.
"""


@dataclass(frozen=True)
class Option:
    """One option of a policy, ready to print."""

    name: str
    default: str
    meaning: str


def explain(kind: str) -> str:
    """Return the header of one policy as plain text.

    Raises
    ------
    UserError
        For an unknown kind, with the nearest known one, or why its plug-in cannot be used.
    """
    policy = policy_class(kind)
    title, body = _docstring(policy)
    parts = [f"{without_folder(kind)}: {title}", _filled(body)]
    parts += [_filled(f"{label}: {text}") for label, text in _header(policy).items()]
    lines = []
    for option in options(policy):
        lines.append(f"  {option.name} (default {option.default})" if option.default else f"  {option.name} (required)")
        lines.append(textwrap.fill(option.meaning, _WIDTH, initial_indent="    ", subsequent_indent="    "))
    parts.append("\n".join(["Options:", *lines]) if lines else "Options: none.")
    return "\n\n".join(part for part in parts if part)


def list_policies() -> str:
    """Return one line for each known policy, and for each plug-in that cannot be used."""
    known = known_policies()
    width = max(len(kind) for kind in known)
    listed = "\n".join(f"{kind:<{width}}  {_docstring(policy)[0]}" for kind, policy in known.items())
    return listed + policy_plugins().listing()


def policies_page() -> str:
    """Return ``docs/policies.md``: a table of all policies, then one section for each."""
    known = known_policies()
    rows = [f"| [`{kind}`](#{kind}) | {_docstring(p)[0]} | {_needs(p)} |" for kind, p in known.items()]
    parts = [_PAGE_HEADER, "\n".join(["| kind | what it does | what it must know |", "|---|---|---|", *rows])]
    return "\n\n".join([parts[0].strip(), parts[1], *(_page_section(policy) for policy in known.values())]) + "\n"


def options(policy: type[Policy]) -> list[Option]:
    """Return the options of a policy class in their order."""
    return [
        Option(f.name, _default(f), f"{f.metadata.get('description', '')} {_range(policy, f)}".strip())
        for f in fields(policy)
        if f.init
    ]


def _page_section(policy: type[Policy]) -> str:
    title, body = _docstring(policy)
    parts = [f"## {policy.kind}", title, body]
    parts += [f"**{label}.** {text}" for label, text in _header(policy).items()]
    rows = [f"| `{o.name}` | {f'`{o.default}`' if o.default else 'required'} | {o.meaning} |" for o in options(policy)]
    if rows:
        parts.append("\n".join(["| option | default | meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(part for part in parts if part)


def _header(policy: type[Policy]) -> dict[str, str]:
    return {
        "Paper": policy.paper or "not stated",
        "Departures": policy.departures or "not stated",
        "Must know": _needs(policy),
    }


def _needs(policy: type[Policy]) -> str:
    return "the true draws (oracle)" if "oracle" in policy.needs else "estimates and history"


def _docstring(policy: type[Policy]) -> tuple[str, str]:
    """Return the first line and the rest; the signature that ``dataclass`` writes does not count."""
    text = policy.__doc__ or ""
    if text.startswith(f"{policy.__name__}("):
        text = ""
    title, _, body = textwrap.dedent(f"        {text}").strip().partition("\n")
    return title or "(no description)", textwrap.dedent(body).strip()


def _filled(text: str) -> str:
    return "\n\n".join(textwrap.fill(" ".join(part.split()), _WIDTH) for part in text.split("\n\n"))


def _default(f: Field[Any]) -> str:
    if f.default is MISSING and f.default_factory is MISSING:
        return ""
    value = f.default_factory() if f.default_factory is not MISSING else f.default
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _range(policy: type[Policy], f: Field[Any]) -> str:
    """Return the allowed values in words, or ''."""
    choices = [c for m in _members(_type(policy, f)) if get_origin(m) is Literal for c in get_args(m)]
    if choices:
        return f"One of {', '.join(map(str, choices))}."
    bounds = [f"{_SIGNS[name]} {limit}" for name, limit in f.metadata.items() if name in _SIGNS]
    return f"Must be {' and '.join(bounds)}." if bounds else ""


def _members(annotation: Any) -> tuple[Any, ...]:
    is_union = get_origin(annotation) in {typing.Union, types.UnionType}
    return get_args(annotation) if is_union else (annotation,)


def _type(policy: type[Policy], f: Field[Any]) -> Any:
    """Resolve one annotation; where its names exist for the type checker only, leave it as written."""
    owner = next(base for base in policy.__mro__ if f.name in vars(base).get("__annotations__", {}))
    holder = types.SimpleNamespace(__annotations__={f.name: f.type})
    try:
        return typing.get_type_hints(holder, globalns=vars(sys.modules[owner.__module__]))[f.name]
    except (NameError, KeyError):
        return f.type


if __name__ == "__main__":
    print(policies_page(), end="")
