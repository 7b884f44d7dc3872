"""The page of invariants names tests that exist, and every number that the code can raise."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "invariants.md").read_text(encoding="utf-8")
SECTIONS = {
    int(n): text for n, text in re.findall(r"^### INV-(\d+) (.*?)(?=^### INV-|\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
NAMED = {n: re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text) for n, text in SECTIONS.items()}


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_numbers_run_without_gaps() -> None:
    assert list(SECTIONS) == list(range(1, len(SECTIONS) + 1))


def test_every_invariant_names_tests_that_exist() -> None:
    for number, tests in NAMED.items():
        assert tests, f"INV-{number} names no test"
        for file, name in tests:
            assert name.startswith("test_")
            assert name in functions_of(ROOT / file), f"INV-{number}: {file} has no {name}"


def test_every_number_in_the_code_is_on_the_page_as_checked_at_run_time() -> None:
    raised = {int(n) for path in (ROOT / "discosim").rglob("*.py") for n in re.findall(r"INV-(\d+)", path.read_text())}
    assert raised == {n for n, text in SECTIONS.items() if "At run time:" in text}
