"""The shape of the package: which room may import which, what every module owes its reader, what travels in a wheel."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "discosim"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = (
    "kernel",  # numbers and arrays, which know nothing of us
    "core",
    "traces",
    "world",
    "policies",
    "metrics",
    "config",
    "runs",
    "calibrate",
    "sweep",
    "report",
    "reproduce",
    "cli",
)
"""From the ground up: a room may import itself and what stands before it."""

MAY_NOT_IMPORT = {
    "world": {"traces"},  # the world is told numbers, whoever measured them
    "policies": {"traces"},
    "metrics": {"traces", "world", "policies"},  # figures of merit are computed from records alone
    "report": {"traces", "world", "policies", "config"},  # pictures are drawn from tables alone
}
ONLY_THESE_LIBRARIES = {
    "core": {"numpy", "scipy.special"},  # the rest of SciPy is slow to load
    "kernel": {"numpy"},
    "world": {"numpy", "scipy.special", "simpy"},
    "policies": {"numpy", "scipy.special", "simpy"},
}
NEVER_THESE_LIBRARIES = {"metrics": {"simpy"}, "sweep": {"simpy"}, "report": {"simpy"}, "cli": {"simpy"}}

SHORTCUTS = {
    *(("runs/result.py", f"discosim.report.{name}") for name in ("figures", "text")),
    ("sweep/views.py", "discosim.report.progress"),
    *(
        (path, f"discosim.report.{name}")
        for path in ("runs/result.py", "sweep/views.py")
        for name in ("arrays", "frames", "latex", "notebook")
    ),
}
"""A result offers its pictures and its tables to notebooks: the one reach upwards, made at call time by name."""

SOURCES = ("discosim", "configs", "docs", "tests", "benchmarks", "experiments", "notebooks", ".ci")
TEXT = {".css", ".html", ".js", ".py", ".md", ".yaml", ".yml", ".json", ".toml", ".cff", ".txt", ".csv", ""}


def room_of(path: Path) -> str:
    """Return the room of a module; '' for the front door, which only names what others hold.

    The room `cli` has no folder: its files are `cli.py` and `cli_*.py`.
    """
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first in {"__init__", "__main__"} else first.partition("_")[0]


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the absolute name and line of every import, also inside functions and for the type checker only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            assert node.module is not None
            yield node.module, node.lineno
            if node.module == "discosim":
                yield from ((f"discosim.{alias.name}", node.lineno) for alias in node.names)


def imports_by_name(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the literal start of every name given to ``import_module``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            literals = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
            yield (str(literals[0]) if literals else "?"), node.lineno


# --- circles --------------------------------------------------------------------------------------------------


def imported_modules(path: Path, modules: set[str]) -> set[str]:
    """Return the modules of the package that a file imports, also in functions and for the type checker only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (whole & modules) or {str(node.module)}
    return found & modules


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Return the groups of modules that reach one another by imports (strongly connected, two or more)."""
    reach = {name: set(targets) for name, targets in imports.items()}
    for middle in imports:  # Warshall's closure
        for targets in reach.values():
            if middle in targets:
                targets.update(reach[middle])
    groups = {frozenset(b for b in reach[a] if a in reach.get(b, ())) for a in reach}
    return [set(group) for group in groups if len(group) > 1]


def test_no_circle_of_imports_exists() -> None:
    """None with names for the type checker or imports in functions either; the doors of the rooms count too.

    The front door of the package does not: it names what others hold, and they take nothing from it but its version.
    """
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}
    names = {name: path for name, path in names.items() if room_of(path)}
    imports = {name: imported_modules(path, set(names)) - {name} for name, path in names.items()}
    found = [{name.removeprefix("discosim.") for name in group} for group in circles(imports)]
    assert [sorted(group) for group in found] == []


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": set(), "d": {"a"}}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]


# --- rooms ----------------------------------------------------------------------------------------------------


def test_every_room_is_known() -> None:
    assert {room_of(path) for path in MODULES} - {""} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_downwards(room: str) -> None:
    allowed = set(ROOMS[: ROOMS.index(room) + 1]) - MAY_NOT_IMPORT.get(room, set())
    wrong = []
    for path in (p for p in MODULES if room_of(p) == room):
        for name, line in imports_of(path):
            top, _, rest = name.partition(".")
            if top == "discosim" and rest.partition(".")[0] in set(ROOMS) - allowed:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


def test_the_one_reach_upwards_is_the_named_one() -> None:
    found = set()
    for path in MODULES:
        room = room_of(path)
        for name, line in imports_by_name(path):
            target = name.removeprefix("discosim.").partition(".")[0]
            if room and (target not in ROOMS or ROOMS.index(target) > ROOMS.index(room)):
                found.add((path.relative_to(PACKAGE).as_posix(), name))
            assert room == "" or name.startswith("discosim"), f"{path}:{line}: cannot tell what is imported"
    assert found == SHORTCUTS


@pytest.mark.parametrize("room", sorted({*ONLY_THESE_LIBRARIES, *NEVER_THESE_LIBRARIES}))
def test_a_room_uses_only_its_libraries(room: str) -> None:
    wrong = []
    for path in (p for p in MODULES if room_of(p) == room):
        for name, line in imports_of(path):
            top = name.partition(".")[0]
            if top == "discosim" or top in sys.stdlib_module_names:
                continue
            known = ONLY_THESE_LIBRARIES.get(room, {name})
            if top in NEVER_THESE_LIBRARIES.get(room, set()) or not known & {top, name, name.rpartition(".")[0]}:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


# --- what every module owes its reader ------------------------------------------------------------------------


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: n for name, n in lengths.items() if n > 400} == {}


def test_every_public_name_has_a_docstring() -> None:
    missing = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not ast.get_docstring(tree):
            missing.append(f"{path.relative_to(ROOT)}:1 module")
        missing += [f"{path.relative_to(ROOT)}:{line} {name}" for name, line in _undocumented(tree)]
    assert missing == []


def _undocumented(scope: ast.Module | ast.ClassDef) -> Iterator[tuple[str, int]]:
    for node in scope.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield node.name, node.lineno
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node)


def test_nothing_is_done_at_import() -> None:
    """Module bodies define; they call nothing for its effect, except to complete a class of their own."""
    wrong = []
    for path in MODULES:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        own = {node.name for node in body if isinstance(node, ast.ClassDef)}
        for node in body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                called = ast.unparse(node.value.func)
                if called.partition(".")[0] not in own:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} calls {called}")
    assert wrong == []


def _texts() -> Iterator[tuple[str, str]]:
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*")]
    files += [path for path in ROOT.iterdir() if path.suffix in TEXT]
    for path in sorted(files):
        if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_no_file_names_a_place_that_only_one_machine_has() -> None:
    private = re.compile(r"(?<![\w./)])/(?:home|root|work|Users|mnt|scratch|opt|srv)/\w|[A-Z]:\\\w")
    wrong = []
    for name, text in _texts():
        for number, line in enumerate(text.splitlines(), start=1):
            if private.search(line):
                wrong.append(f"{name}:{number}: {line.strip()[:80]}")
    assert wrong == []


def test_nothing_is_left_for_later_in_a_comment() -> None:
    later = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    wrong = [
        f"{name}:{number}"
        for name, text in _texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if later.search(line)
    ]
    assert wrong == []


# --- what travels ---------------------------------------------------------------------------------------------


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.long
def test_the_wheel_holds_what_a_run_needs(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    parts_of_pages = [path for path in PACKAGE.rglob("*") if path.suffix in {".css", ".html", ".js"}]
    wanted = {path.relative_to(ROOT).as_posix() for path in (*MODULES, *parts_of_pages)} | {"discosim/py.typed"}
    for folder in ("traces", "configs", "experiments"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                wanted.add(f"discosim/_shipped/{path.relative_to(ROOT).as_posix()}")
    assert wanted - held == set()
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert any(name.endswith("licenses/NOTICE") for name in held)
    assert not [name for name in held if name.startswith(("tests/", "docs/", "traces/", "experiments/"))]
    assert wheel.stat().st_size < 8_000_000  # five of them are the tables of the paper profiles, seed by seed
