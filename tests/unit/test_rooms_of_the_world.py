"""Inside the world room: who imports whom, and what the inner parts may not read."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import discosim

PACKAGE = Path(discosim.__file__).parent
FILES = {
    f"discosim.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}": path
    for path in sorted((PACKAGE / "world").rglob("*.py"))
    if path.name != "__init__.py"
}
KINDS = {"api_server", "engine", "edge", "fleet"}
"""Kinds of endpoints, each a file or a folder."""

ABOVE = {"session", "setting", "ledger", "world", "verbs"}

FOR_VERBS = {"card", "setting", "streams", "writing"}
"""What a session holds for verbs; a policy that reads it sees what no client could."""


def imports(tree: ast.AST) -> set[str]:
    """Return all modules of the world that a file imports, also for the type checker alone or inside a function."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & set(FILES)


def graph_of(files: dict[str, Path]) -> dict[str, set[str]]:
    return {name: imports(ast.parse(path.read_text(encoding="utf-8"))) - {name} for name, path in files.items()}


def top(name: str) -> str:
    """Return the file or folder of the world that a module is, or lies in."""
    return name.split(".")[2]


def read_of(path: Path, owner: str | None = None) -> set[str]:
    """Return the attributes that a file reads, of the variable ``owner`` alone where given."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute))
    return {node.attr for node in nodes if owner is None or ast.unparse(node.value) == owner}


def test_no_file_of_the_world_can_be_reached_from_itself() -> None:
    assert len(FILES) > 50
    try:
        order = list(TopologicalSorter(graph_of(FILES)).static_order())
    except CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")
    assert set(order) == set(FILES)


def test_a_circle_would_be_seen(tmp_path: Path) -> None:
    one, other = list(FILES)[:2]
    files = {one: tmp_path / "one.py", other: tmp_path / "other.py"}
    files[one].write_text(f"if TYPE_CHECKING: import {other}", encoding="utf-8")
    files[other].write_text(f"def late(): from {one} import something", encoding="utf-8")
    with pytest.raises(CycleError):
        list(TopologicalSorter(graph_of(files)).static_order())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_of_endpoint_knows_neither_the_others_nor_who_asks_it(kind: str) -> None:
    used = {(name, u) for name, others in graph_of(FILES).items() if top(name) == kind for u in others}
    assert used
    assert {pair for pair in used if top(pair[1]) in (KINDS | ABOVE) - {kind}} == set()


@pytest.mark.parametrize("name", ["session", "ledger", "shown", "writing", "setting", "world", "endpoint", "stream"])
def test_what_asks_endpoints_names_no_kind_of_service(name: str) -> None:
    assert {used for used in graph_of(FILES)[f"discosim.world.{name}"] if top(used) in KINDS - {"fleet"}} == set()


def test_no_scheduler_reads_the_length_of_an_answer() -> None:
    schedulers = sorted((PACKAGE / "world/engine/schedulers").glob("*.py"))
    assert len(schedulers) > 8
    assert {path.name for path in schedulers if "answer_tok" in read_of(path)} == set()


def test_no_policy_reads_what_a_session_holds_for_verbs() -> None:
    found = {path.name: read_of(path, "session") & FOR_VERBS for path in (PACKAGE / "policies").rglob("*.py")}
    assert {name: read for name, read in found.items() if read} == {}
