"""The fingerprint of code that is not ours: what changes it, what does not, and that nothing about it crashes."""

from __future__ import annotations

import importlib
import sys
import types
import zipfile
from collections.abc import Iterator
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pytest

from discosim.core import source_files
from discosim.core.source_code import SourceCode, is_foreign, source_of
from discosim.policies import Policy
from discosim.policies.race import Race

TREE = {
    "plug/__init__.py": "",
    "plug/pol.py": "import beside\nfrom . import inside\nfrom .deep import low\nclass Pol(beside.Base): pass\n",
    "plug/inside.py": "x = 1\n",
    "plug/deep/__init__.py": "from deep_friend import y\n",
    "plug/deep/low.py": "def f():\n    import lazy\n",
    "plug/unused.py": "u = 1\n",
    "plug/table.json": "[1]\n",
    "beside.py": "import far\nclass Base: pass\n",
    "far.py": "z = 1\n",
    "lazy.py": "l = 1\n",
    "deep_friend.py": "y = 1\n",
    "stranger.py": "s = 1\n",
    "plug/notes.md": "n\n",
    "plug/.hidden.py": "h = 1\n",
    "plug/__pycache__/pol.py": "c = 1\n",
    "plug/results/one/run.json": "{}",
    "plug/results/one/summary.json": "{}",
}
COUNT = (
    "plug/__init__.py",
    "plug/pol.py",
    "plug/inside.py",
    "plug/deep/__init__.py",
    "plug/deep/low.py",
    "plug/unused.py",
    "plug/table.json",
    "beside.py",
    "far.py",
    "lazy.py",
    "deep_friend.py",
)


def write(folder: Path, tree: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, text in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def _fresh_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]
    importlib.invalidate_caches()


def code(folder: Path, name: str = "plug.pol:Pol") -> SourceCode:
    """Return the fingerprint of a class as a new process with this folder on its path would have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(sys, "dont_write_bytecode", True)
        module, _, attribute = name.partition(":")
        for known in {name.partition(".")[0] for name in TREE}:
            for held in [m for m in sys.modules if m.partition(".")[0] == known.partition("/")[0]]:
                del sys.modules[held]
        return source_of(getattr(importlib.import_module(module), attribute))


def test_what_the_class_can_reach_counts_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, TREE)
    first = code(tmp_path)
    assert first.parts == ("beside", "deep_friend", "far", "lazy", "plug")
    for name, text in TREE.items():
        (tmp_path / name).write_text(text + "\n#\n" if name.endswith(".py") else text + " ", encoding="utf-8")
        changed = code(tmp_path).sha256 != first.sha256
        assert changed == (name in COUNT), name
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert code(tmp_path) == first


def test_a_place_does_not_count(tmp_path: Path) -> None:
    write(tmp_path / "a", TREE)
    write(tmp_path / "b" / "c", TREE)
    assert code(tmp_path / "a") == code(tmp_path / "b" / "c")


def test_a_new_file_and_another_name_of_one_count(tmp_path: Path) -> None:
    write(tmp_path, TREE)
    first = code(tmp_path).sha256
    (tmp_path / "plug" / "more.py").write_text("")
    second = code(tmp_path).sha256
    (tmp_path / "plug" / "more.py").rename(tmp_path / "plug" / "less.py")
    assert len({first, second, code(tmp_path).sha256}) == 3


def test_a_module_alone_and_a_namespace(tmp_path: Path) -> None:
    tree = {
        "ns/here/one.py": "from ns.there import two\nclass A: pass\n",
        "ns/there/two.py": "",
        "ns/else/three.py": "",
    }
    write(tmp_path, tree)
    first = code(tmp_path, "ns.here.one:A")
    assert first.parts == ("ns.here.one", "ns.there.two")
    (tmp_path / "ns/there/two.py").write_text("x = 1\n")
    sys.modules.pop("ns.here.one")
    assert code(tmp_path, "ns.here.one:A").sha256 != first.sha256


def test_libraries_count_by_name_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"solo.py": "def f():\n    import pytest, numpy, no_such_thing, json\nclass A: pass\n"})
    first = code(tmp_path, "solo:A")
    assert first.libraries == (f"pytest {pytest.__version__}",)
    monkeypatch.setattr("discosim.core.source_code.version", lambda _: "0.0")
    source_of.cache_clear()
    sys.modules.pop("solo")
    second = code(tmp_path, "solo:A")
    assert second.libraries == ("pytest 0.0",)
    assert second.sha256 != first.sha256
    source_of.cache_clear()


def test_what_is_missing_counts_as_missing(tmp_path: Path) -> None:
    write(tmp_path, {"solo.py": "try:\n    import stranger\nexcept ImportError: pass\nclass A: pass\n"})
    first = code(tmp_path, "solo:A").sha256
    write(tmp_path, {"stranger.py": "x = 1\n"})
    sys.modules.pop("solo")
    importlib.invalidate_caches()
    assert code(tmp_path, "solo:A").sha256 != first


def test_an_archive_counts_as_a_whole(tmp_path: Path) -> None:
    found = []
    for folder, text in (("a", "1"), ("b", "2"), ("c", "1")):
        (tmp_path / folder).mkdir()
        with zipfile.ZipFile(tmp_path / folder / "all.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("zipped.py"), f"x = {text}\nclass A: pass\n")
        sys.modules.pop("zipped", None)
        found.append(code(tmp_path / folder / "all.zip", "zipped:A"))
    assert found[0].sha256 == found[2].sha256 != found[1].sha256
    assert found[0].sha256


def test_a_class_without_source_is_said_to_have_none() -> None:
    exec_space: dict[str, Any] = {"__name__": "a_cell_that_is_no_module"}
    exec("class A: pass", exec_space)
    assert source_of(exec_space["A"]).sha256 == ""
    assert is_foreign(exec_space["A"])
    made = make_dataclass("Made", [("x", int)])
    assert source_of(made).sha256 == ""
    broken = types.ModuleType("half_made")
    broken.__spec__ = None
    sys.modules["half_made"] = broken
    assert source_of(type("B", (), {"__module__": "half_made"})).sha256 == ""


def test_a_base_class_of_another_package_counts(tmp_path: Path) -> None:
    write(tmp_path, {"solo.py": "import base_mod\nA = base_mod.make()\n", "base_mod.py": "class B: pass\n"})
    (tmp_path / "base_mod.py").write_text(
        "class B: pass\ndef make():\n    return type('A', (B,), {'__module__': 'solo'})\n"
    )
    assert code(tmp_path, "solo:A").parts == ("base_mod", "solo")


def test_ours_is_not_foreign() -> None:
    assert not is_foreign(Race)
    assert not is_foreign(Policy)
    assert is_foreign(test_ours_is_not_foreign)


def test_a_large_file_counts_by_size_and_both_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "WHOLE_BYTES", 100)
    monkeypatch.setattr(source_files, "SAMPLE_BYTES", 10)
    write(tmp_path, {**TREE, "plug/big.csv": "0" * 200})
    ids = [code(tmp_path).sha256]
    for text in ("1" + "0" * 199, "0" * 199 + "1", "0" * 201, "0" * 200):
        (tmp_path / "plug/big.csv").write_text(text)
        ids.append(code(tmp_path).sha256)
    assert len(set(ids)) == 4
    assert ids[0] == ids[-1]
