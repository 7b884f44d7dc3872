"""Parts of other packages: one that is broken costs only what names it, and is named with its package and its error."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import installed
import pytest
from installed import POLICY, Site, forget

from discosim.cli import main
from discosim.config import load_scenario
from discosim.core import plugins
from discosim.core.errors import UserError
from discosim.core.plugins import classes_of, points
from discosim.policies import Policy, known_policies
from discosim.policies import registry as policies
from discosim.sweep.executors import check_name, open_engine
from discosim.world.engine.schedulers import registry as schedulers

OTHER = POLICY.format(kind="good").replace("0.5", "0.6")
SCHEDULER = """
from discosim.world.engine.schedulers.base import Orders, Scheduler

class Pol(Scheduler):
    kind = "fifo"

    def schedule(self, replica):
        return Orders()
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return a folder on the path."""
    with installed.site(tmp_path) as made:
        yield made


BROKEN = {
    "raises": ("raise RuntimeError('boom at import')", "", "RuntimeError: boom at import"),
    "is no Python": ("def f(:\n", "", "SyntaxError: invalid syntax"),
    "ends the process": ("import sys; sys.exit(3)", "", "SystemExit: 3"),
    "is no Exception": ("class Odd(BaseException): pass\nraise Odd", "", "Odd"),
    "imports what is not there": (
        "import no_such_library",
        "",
        "ModuleNotFoundError: No module named 'no_such_library'",
    ),
    "lacks the name": ("x = 1", "", "AttributeError"),
    "names no module": ("x = 1", "no_such_module:Pol", "ModuleNotFoundError"),
    "is a function": ("def Pol(): pass", "", "is no Policy class"),
    "is another class": ("class Pol: kind = 'x'", "", "is no Policy class"),
    "has no kind": ("from discosim import Policy\nclass Pol(Policy): pass", "", "has no `kind`"),
    "has a kind that is no text": (
        "from discosim import Policy\nclass Pol(Policy): kind = 3",
        "",
        "must be text",
    ),
    "has an unspeakable kind": (
        "from discosim import Policy\nclass Pol(Policy): kind = 'a\\nb'",
        "",
        "has no `kind`",
    ),
    "raises when it is looked at": (
        "class Odd:\n    def __getattribute__(self, name): raise RuntimeError('no')\nPol = Odd()",
        "",
        "RuntimeError: no",
    ),
    "has a class that raises when it is looked at": (
        "class Meta(type):\n    def __getattribute__(cls, name): raise KeyError(name)\nclass Pol(metaclass=Meta): pass",
        "",
        "is no Policy class",
    ),
    "raises an error without a text": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
        "",
        "Odd: its text cannot be had",
    ),
    "has a kind that is an option": (
        POLICY.format(kind="evil").replace('kind = "evil"', 'kind: str = "evil"'),
        "",
        "has an option named kind, which a scenario needs for itself",
    ),
    "takes a kind of discosim": (POLICY.format(kind="disco"), "", "discosim itself has a kind 'disco'"),
}


@pytest.mark.parametrize(("text", "named", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_policy_disables_only_itself(
    text: str, named: str, reason: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(known_policies())
    forget()
    site.install("evil", text, named=named)
    site.install("good", POLICY.format(kind="good"))
    assert set(known_policies()) == before | {"good"}
    assert load_scenario("quickstart").name == "quickstart"
    assert main(["explain", "policy"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("broken: ")]
    assert line.startswith("broken: the plug-in 'evil' of evil 1.0 cannot be used: ")
    assert reason in line
    assert main(["schema"]) == main(["schema", "--reference"]) == 0
    assert '"const": "good"' in capsys.readouterr().out
    with pytest.raises(UserError) as caught:
        load_scenario("quickstart", overrides=["policies[1]={kind: evil}"])
    (first, *_) = str(caught.value).splitlines()
    assert "policies[1].kind: unknown kind 'evil'; the plug-in 'evil' of evil 1.0 cannot be used" in first
    assert reason in first
    assert main(["explain", "policy", "evil"]) == 2
    assert reason in capsys.readouterr().err


def test_ctrl_c_during_an_import_is_the_users(site: Site) -> None:
    site.install("evil", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        known_policies()


def test_a_policy_whose_own_code_fails_is_one_line(site: Site) -> None:
    failing = "\n    def __post_init__(self): self.nothing.at_all\n"
    site.install("evil", POLICY.format(kind="good") + failing)
    with pytest.raises(UserError, match=r"policies\[1\]: its own code fails: AttributeError: 'Pol' object has no"):
        load_scenario("quickstart", overrides=["policies[1]={kind: good}"])


def test_a_kind_of_two_packages_is_nobodys(site: Site) -> None:
    site.install("one", POLICY.format(kind="good"))
    site.install("two", OTHER)
    assert "good" not in known_policies()
    with pytest.raises(UserError, match=r"'good' is claimed by 'one' of one 1\.0 and 'two' of two 1\.0"):
        policies.policy_class("good")


def test_one_class_under_two_names_is_one_policy(site: Site) -> None:
    site.install("one", POLICY.format(kind="good"))
    site.install("two", "from one import Pol", named="one:Pol")
    assert "good" in known_policies()


def test_a_kind_that_cannot_be_known_is_answered_with_every_broken_plug_in(site: Site) -> None:
    site.install("evil", "raise RuntimeError('boom')")
    with pytest.raises(UserError, match=r"unknown policy 'its_kind'; .*'evil' of evil 1\.0 .*: RuntimeError: boom"):
        policies.policy_class("its_kind")


def test_a_broken_scheduler_disables_only_itself(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("evil", "1 / 0", group="discosim.schedulers")
    site.install("mine", SCHEDULER, group="discosim.schedulers")
    assert {"fcfs", "fifo"} <= set(schedulers.known_schedulers())
    assert main(["explain", "scheduler"]) == 0
    assert "broken: the plug-in 'evil' of evil 1.0 cannot be used: ZeroDivisionError" in capsys.readouterr().out
    with pytest.raises(
        UserError, match=r"server\.scheduler\.kind: unknown kind 'evil'; the plug-in 'evil' of evil 1\.0"
    ):
        load_scenario("engine", overrides=["server.scheduler={kind: evil}"])
    assert load_scenario("engine", overrides=["server.scheduler={kind: fifo}"]).server.scheduler.kind == "fifo"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 0", "cannot be used: ZeroDivisionError"),
        ("raise SystemExit", "cannot be used: SystemExit"),
        ("Pol = 3", "is nothing to be called"),
        ("def Pol(rest): raise OSError('no cluster')", "does not start: OSError: no cluster"),
        ("def Pol(rest): return 3", "gives no Executor (int)"),
        ("def Pol(): pass", "does not start: TypeError"),
    ],
)
def test_a_broken_executor_is_one_line_and_the_others_work(text: str, reason: str, site: Site) -> None:
    site.install("evil", text, group="discosim.executors")
    check_name("serial")
    with pytest.raises(UserError, match=r"^--executor evil: the plug-in 'evil' of evil 1\.0 ") as caught:
        open_engine("evil:2")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_executor_says_whose_it_is(site: Site) -> None:
    site.install(
        "mine",
        "from concurrent.futures import ThreadPoolExecutor as P\ndef Pol(r): return P(int(r))",
        group="discosim.executors",
    )
    engine = open_engine("mine:1")
    assert engine.code.startswith("mine 1.0, sha256 ")
    assert engine.code != open_engine("serial").code == ""


def test_an_executor_of_two_packages_is_nobodys(site: Site) -> None:
    site.install("one", "def Pol(r): pass", group="discosim.executors")
    site.install("two", "def Pol(r): pass", group="discosim.executors")
    facts = site.folder / "two-1.0.dist-info" / "entry_points.txt"
    facts.write_text("[discosim.executors]\none = two:Pol\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"two packages have an executor of this name: one 1\.0 and two 1\.0|two 1\.0 and one"
    ):
        check_name("one")


def test_a_damaged_list_of_entry_points_hides_only_its_own(site: Site) -> None:
    site.install("good", POLICY.format(kind="good"))
    site.install("evil", "x = 1")
    (site.folder / "evil-1.0.dist-info" / "entry_points.txt").write_text(
        "[discosim.policies]\nnonsense\n", encoding="utf-8"
    )
    assert "good" in known_policies()


def test_a_package_without_a_name_is_still_named() -> None:
    found = classes_of([EntryPoint("x", "no_such_module:Pol", "discosim.policies")], Policy, {})
    assert str(found.broken[0]).startswith("the plug-in 'x' of an unknown package cannot be used: ModuleNotFoundError")


def test_no_entry_point_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "distributions", list)

    def fail(**_: str) -> list[EntryPoint]:
        raise TypeError("malformed")

    assert points("discosim.policies", fail) == []
