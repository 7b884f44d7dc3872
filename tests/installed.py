"""Packages of other people, installed into a folder of a test, and found anew by every registry."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from discosim.policies import registry as policies
from discosim.runs.identity import code_facts
from discosim.world.engine.costs import registry as costs
from discosim.world.engine.schedulers import registry as schedulers

POLICY = """
from dataclasses import dataclass
from discosim import Policy

@dataclass(kw_only=True)
class Pol(Policy):
    '''A policy that works.'''
    kind = "{kind}"
    share: float = 0.5
"""


class Site:
    """A folder on the path into which packages are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []

    def install(
        self, package: str, text: str, *, group: str = "discosim.policies", named: str = "", module: str = ""
    ) -> None:
        """Install a package of one module, which is called like it, with one entry point."""
        module = module or package
        self.modules.append(module)
        (self.folder / f"{module}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        facts = self.folder / f"{package}-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        (facts / "entry_points.txt").write_text(
            f"[{group}]\n{package} = {named or module + ':Pol'}\n", encoding="utf-8"
        )

    def forget(self) -> None:
        """Be a new process: import every module anew, and let every registry look again."""
        for module in self.modules:
            sys.modules.pop(module, None)
        importlib.invalidate_caches()
        forget()


def forget() -> None:
    """Let every registry look again."""
    for held in (
        policies.known_policies,
        policies.policy_plugins,
        schedulers.known_schedulers,
        schedulers.scheduler_plugins,
        costs.cost_plugins,
        code_facts,
    ):
        held.cache_clear()


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Give a folder on the path; afterwards nothing of it is known."""
    folder.mkdir(exist_ok=True)
    made = Site(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(sys, "dont_write_bytecode", True)
        forget()
        try:
            yield made
        finally:
            made.forget()
