"""What a policy keeps on its class or in its module: each replication begins without it, wherever it is run."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from multiprocessing import active_children
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from discosim import Policy, load_scenario, simulate
from discosim.core.class_state import MOST_BYTES, ClassState
from discosim.core.errors import UserError
from discosim.runs.result import RunResult

SMALL = ["workload.n_requests=30", "replications=2"]
WAITS = '''
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import helper
from discosim import Policy

N_SEEN = 0
print("imported")


@dataclass(kw_only=True)
class Mine(Policy):
    """Wait the longer, the more requests it has seen."""

    {state}

    def serve(self, session):
        global N_SEEN
        yield session.wait(0.01 * {count})
        {more}
        stream = session.start("server")
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        yield session.finished()
'''
PLAIN = ("seen: list = field(init=False, default_factory=list)", "len(self.seen)", "self.seen.append(1)")


def run(folder: Path, state: str, count: str, more: str, n_jobs: int = 1) -> RunResult:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "helper.py").write_text("SEEN = []\n")
    (folder / "mine.py").write_text(WAITS.format(state=state, count=count, more=more))
    policies = [{"kind": f"{folder / 'mine.py'}:Mine", "name": name} for name in ("a", "b")]
    scenario = load_scenario({"base": "quickstart", "policies": policies, "baseline": None}, overrides=SMALL)
    return simulate(scenario, n_jobs=n_jobs)


def same(one: RunResult, other: RunResult) -> bool:
    return bool(one.requests.equals(other.requests))


@pytest.mark.parametrize(
    ("state", "count", "more"),
    [
        ("seen: ClassVar[list[int]] = []", "len(self.seen)", "self.seen.append(1)"),
        pytest.param("n: ClassVar[int] = 0", "type(self).n", "type(self).n += 1", marks=pytest.mark.long),
        pytest.param("", "getattr(Mine, 'n', 0)", "Mine.n = getattr(Mine, 'n', 0) + 1", marks=pytest.mark.long),
        pytest.param("", "N_SEEN", "N_SEEN += 1", marks=pytest.mark.long),
        ("", "len(helper.SEEN)", "helper.SEEN.append(1)"),
    ],
    ids=["a list", "a number", "a new one", "the module", "beside it"],
)
def test_a_file_s_class_begins_anew_with_each_replication_and_policy(
    tmp_path: Path, state: str, count: str, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path / "state", state, count, more)
    assert capsys.readouterr().out == "imported\n", "what it prints is shown once"
    assert same(result, run(tmp_path / "plain", *PLAIN))
    said = [note for note in result.notes if "its class holds" in note]
    assert len(said) == (2 if "Mine" in more or "self" in more else 0), "of each policy"


@pytest.mark.long
def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    alone, two = (run(tmp_path, "n: ClassVar[int] = 0", "type(self).n", "type(self).n += 1", n) for n in (1, 2))
    assert same(alone, two)
    assert alone.notes == two.notes


LOG: list[int] = []


@dataclass(kw_only=True)
class Kept(Policy):
    """Keeps what it has seen where it is told to."""

    where: str = "field"
    seen: ClassVar[list[int]] = []
    table: ClassVar[dict[str, Any]] = {"never": "changed"}
    own: list[int] = field(init=False, default_factory=list)

    def serve(self, session):
        held = {"field": self.own, "class": self.seen, "module": LOG}[self.where]
        yield session.wait(0.01 * len(self.own if self.where == "module" else held))
        held.append(1)
        self.own.append(1) if self.where == "module" else None
        stream = session.start("server")
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        yield session.finished()


def test_the_class_of_an_object_is_left_as_it_was_and_a_log_outside_it_can_be_read() -> None:
    scenario = load_scenario("quickstart", overrides=[*SMALL, "policies=[{kind: server_only}]"])
    table = Kept.table
    results = {where: simulate(scenario, policies={"it": Kept(where=where)}) for where in ("field", "class", "module")}
    assert same(results["class"], results["field"])
    assert Kept.seen == []
    assert Kept.table is table
    said = {where: [w for w in result.notes if "it: it changes" in w] for where, result in results.items()}
    assert said["field"] == []
    assert "Kept.seen, which its class holds" in said["class"][0]
    assert "LOG, which lies outside its class" in said["module"][0]
    assert len(LOG) == 60


class Holds:
    """Holds one of each."""

    small: ClassVar[Any] = [1]
    large: ClassVar[Any] = None
    lock: ClassVar[Any] = None
    luck: ClassVar[Any] = random.Random(1)


def test_what_is_large_or_cannot_be_copied_is_left_alone_and_what_did_not_change_is_not_touched() -> None:
    Holds.large, Holds.lock = np.zeros(MOST_BYTES // 8 + 1), threading.Lock()
    before = {name: getattr(Holds, name) for name in ("small", "large", "lock")}
    drawn = Holds.luck.random()
    state = ClassState(Holds)
    Holds.large[0], Holds.more = 1.0, 2
    after = [Holds.luck.random() for _ in range(3)]
    assert state.put_back() == {"Holds.luck", "Holds.more"}
    assert [Holds.luck.random() for _ in range(3)] == after != [drawn] * 3
    assert not hasattr(Holds, "more")
    assert all(getattr(Holds, name) is value for name, value in before.items())
    assert ClassState(Holds).put_back() == frozenset()


@pytest.mark.long
def test_where_one_world_fails_nobody_waits_for_the_others(tmp_path: Path) -> None:
    """As when somebody interrupts a cell."""
    (tmp_path / "mine.py").write_text(
        "import time\nfrom pathlib import Path\nfrom discosim import Policy\n\n\nclass Slow(Policy):\n"
        "    def serve(self, session):\n        time.sleep(4)\n        Path(__file__).with_name('slept').touch()\n"
        "        yield session.wait(0)\n\n\nclass Bad(Policy):\n"
        "    def serve(self, session):\n        raise ValueError\n"
    )
    policies = [{"kind": f"{tmp_path / 'mine.py'}:{name}", "name": name} for name in ("Bad", "Slow")]
    held = load_scenario({"base": "quickstart", "policies": policies, "baseline": None}, overrides=SMALL)
    with pytest.raises(UserError, match=r"policy Bad: .*mine\.py:15: ValueError"):
        simulate(held, n_jobs=2)
    assert not (tmp_path / "slept").exists()
    assert not active_children()
