"""Nodes that see another disk: results come back whole or not at all, inputs travel, and trouble names its node."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sweep_samples import SWEEP, contents, sweep, write

from discosim.core.errors import UserError
from discosim.sweep import node
from discosim.sweep.drive import Terms
from discosim.sweep.engine import Engine
from discosim.sweep.entry import by_value, enter
from discosim.sweep.executors import SerialExecutor
from discosim.sweep.parcel import DamagedParcelError, pack, unpack

TRACE = "".join(
    f'{{"arrival_s": {i}, "prompt_tok": {20 + i}, "output_tok": {5 + i}, "user_id": "u{i}"}}\n' for i in range(12)
)
FROM_TRACE = SWEEP[: SWEEP.index("  workload:")] + "  workload: {kind: replay, file: mine.jsonl}\n"
FROM_TRACE += SWEEP[SWEEP.index("  devices:") :]
OWN = """\
from discosim.policies import Policy
import rules

class Own(Policy):
    def serve(self, session):
        stream = session.start(rules.CHOICE)
        if (yield session.first_token_of(stream)) is not None:
            session.keep(stream)
            yield session.finished()
"""
SMALL = (
    ("n: 3}", "n: 1}"),
    ("[0.2, 0.6]", "[0.2]"),
    ("[{kind: none}, {kind: constant, rtt_s: 0.1}]", "[{kind: none}]"),
    ("    - {kind: disco, name: B, budget: 0.2}\n", ""),
    (", policies.B.budget", ""),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sweep of one run over a trace of one's own."""
    (tmp_path / "mine.jsonl").write_text(TRACE, encoding="utf-8")
    return write(tmp_path, FROM_TRACE, *SMALL)


Cluster = Callable[..., list[bytes]]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Let runs go to a node whose disk has nothing of the driver's; gives the parcels that came back."""
    monkeypatch.setenv("DISCOSIM_CACHE", str(tmp_path / "cache"))
    here = node._holds

    def made(
        entry: Callable[[bytes], bytes] = enter, *, is_far: bool = True, batch_s: float = 0.0, n_at_once: int = 1
    ) -> list[bytes]:
        came: list[bytes] = []

        def kept(parcel: bytes) -> bytes:
            came.append(entry(parcel))
            return came[-1]

        engine = Engine(SerialExecutor(), n_at_once, batch_s=batch_s, entry=kept)
        monkeypatch.setattr("discosim.sweep.run.open_engine", lambda _: engine)
        if is_far:
            monkeypatch.setattr(node, "_sees", lambda _: False)
            monkeypatch.setattr(node, "_holds", lambda folder, files: folder != tmp_path and here(folder, files))
        return came

    return made


def test_results_and_inputs_travel_and_nothing_tells_them_from_serial_ones(
    path: Path, tmp_path: Path, cluster: Cluster
) -> None:
    sweep(path, tmp_path / "serial")
    came = cluster()
    result = sweep(path, tmp_path / "far")
    assert len(result.state.finished) == 1
    assert contents(tmp_path / "far") == contents(tmp_path / "serial")
    assert [note[:7] for note in result.notes] == ["1 run ("]
    assert [set(unpack(parcel)[0]) for parcel in came] == [{"node", "lacking"}, {"node", "outcomes"}]
    (kept,) = (tmp_path / "cache" / "inputs").rglob("mine.jsonl")
    assert kept.read_text() == TRACE


def test_a_policy_in_a_file_travels_with_what_it_imports_from_beside_it(
    path: Path, tmp_path: Path, cluster: Cluster
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "__init__.py").write_text("CHOICE = 'server'\n")
    (tmp_path / "own.py").write_text(OWN)
    path.write_text(
        path.read_text().replace("    - {kind: server_only}", "    - {kind: own.py:Own, name: server_only}")
    )
    sweep(path, tmp_path / "serial")
    cluster()
    assert len(sweep(path, tmp_path / "far").state.finished) == 1
    assert contents(tmp_path / "far" / "runs") == contents(tmp_path / "serial" / "runs")
    assert [name.read_text() for name in (tmp_path / "cache").rglob("own.py")] == [OWN]


def test_a_node_that_sees_the_folder_writes_there(path: Path, tmp_path: Path, cluster: Cluster) -> None:
    sweep(path, tmp_path / "serial")
    came = cluster(is_far=False)
    result = sweep(path, tmp_path / "near")
    assert contents(tmp_path / "near") == contents(tmp_path / "serial"), "the probe is gone as well"
    assert result.notes == ()
    assert all(not unpack(parcel)[1] for parcel in came)


def test_a_folder_that_is_shared_after_all_not_is_found_out(
    path: Path, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node sees the probe, and writes to another place: the first try is lost, and everything else travels."""
    cluster(is_far=False)
    monkeypatch.setattr("discosim.sweep.parcels._LATE_S", 0.0)
    own = node._task

    def elsewhere(content: Any, run: Any, places: Any) -> Any:
        task = own(content, run, places)
        return {**task, "target": task["target"].replace("/near/", "/elsewhere/")} if content["shared"] else task

    monkeypatch.setattr(node, "_task", elsewhere)
    result = sweep(path, tmp_path / "near")
    assert len(result.state.finished) == 1
    assert [note[:7] for note in result.notes] == ["1 run ("]


def damaged(parcel: bytes) -> bytes:
    """Answer with one bit turned in the middle of the last file."""
    raw = bytearray(enter(parcel))
    if unpack(bytes(raw))[1]:
        raw[-100] ^= 1
    return bytes(raw)


def another(parcel: bytes) -> bytes:
    """Answer with whole files that are not this run's."""
    content, files = unpack(enter(parcel))
    return pack(content, {name: body + b" " if name.endswith("summary.json") else body for name, body in files.items()})


def strange(parcel: bytes) -> bytes:
    """Answer with a file that leads out of the folder."""
    content, files = unpack(enter(parcel))
    return pack(content, {**files, "0/../../evil.py": b"x"} if files else {})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (damaged, "cannot be used: its file 0/summary.json is not whole"),
        (another, "are not whole"),
        (strange, "sent back other files than a run writes"),
        (lambda _: b"", "cannot be used: it is no parcel of this version of discosim"),
        (lambda _: pack({"node": "x", "outcomes": [{"status": "finished"}]}), "lacks 'error'"),
    ],
)
def test_what_is_not_whole_never_takes_its_place(
    path: Path, tmp_path: Path, cluster: Cluster, entry: Callable[[bytes], bytes], message: str
) -> None:
    cluster(entry, is_far=entry in {damaged, another, strange})
    result = sweep(path, tmp_path / "out", terms=Terms(retries=0))
    assert len(result.state.failed) == 1
    assert all(message in failure["error"] for failure in result.state.failures.values())
    assert {failure["tries"] for failure in result.state.failures.values()} == {1}
    assert not list((tmp_path / "out" / "runs").iterdir())
    assert not list(tmp_path.rglob("evil.py"))


def test_a_node_without_the_package_is_named(path: Path, tmp_path: Path, cluster: Cluster) -> None:
    import sys

    def bare(parcel: bytes) -> bytes:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "discosim.sweep.node", None)
            answer: bytes = by_value()(parcel)
            return answer

    cluster(bare)
    with pytest.raises(
        UserError,
        match=r"^--executor: node .* \(process \d+ in .*\) has no discosim \(Mod.*Error: .*\); "
        r"install it there: .*python\S* -m pip install discosim==\S+$",
    ):
        sweep(path, tmp_path / "out")


def test_a_node_of_another_version_is_named(
    path: Path, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from discosim.sweep import parcels

    real = parcels.code_facts
    cluster()
    monkeypatch.setattr(parcels, "code_facts", lambda: {**real(), "numpy": "1.0"})
    expected = r"node .*: the worker has another version than the driver: numpy 1\.0 -> \S+; install there what"
    with pytest.raises(UserError, match=expected):
        sweep(path, tmp_path / "out")


def test_a_file_too_large_to_travel_is_named_with_the_node(
    path: Path, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster()
    monkeypatch.setattr("discosim.sweep.parcels.MOST_BYTES", 100)
    with pytest.raises(UserError, match=r"mine\.jsonl: node .* has not got this file.*; put it there, at the same"):
        sweep(path, tmp_path / "out")


def test_a_node_without_room_is_named(
    path: Path, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster()
    monkeypatch.setattr(node.tempfile, "TemporaryDirectory", lambda **_: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(UserError, match=r"node .* cannot write below .* \(No space\); set TMPDIR there to a folder"):
        sweep(path, tmp_path / "out")


def test_results_too_large_to_travel_fail_with_what_to_do(path: Path, tmp_path: Path, cluster: Cluster) -> None:
    cluster()
    result = sweep(path, tmp_path / "out", terms=Terms(most_bytes=1000))
    assert len(result.state.failed) == 1
    (error, *_) = (failure["error"] for failure in result.state.failures.values())
    assert "no more than 0 MiB travel from a node; let the nodes share the sweep's folder" in error


def test_small_runs_go_in_batches_and_a_death_costs_no_try(path: Path, tmp_path: Path, cluster: Cluster) -> None:
    sizes: list[int] = []

    def mortal(parcel: bytes) -> bytes:
        sizes.append(len(unpack(parcel)[0]["runs"]))
        if sizes[-1] > 1 and sizes.count(sizes[-1]) == 1:
            raise ConnectionError("the node is gone")
        return enter(parcel)

    path.write_text(path.read_text().replace("n: 1}", "n: 5}"))
    cluster(mortal, batch_s=100.0)
    result = sweep(path, tmp_path / "out", terms=Terms(retries=0))
    assert len(result.state.finished) == 5
    assert sizes == [1, 1, 4] + 4 * [1], "the first lacks its input; those of the batch that died go one by one"


def test_a_parcel_that_is_cut_anywhere_is_none() -> None:
    parcel = pack({"a": [1, "x"]}, {"f": b"12345", "g": b""})
    assert unpack(parcel) == ({"a": [1, "x"]}, {"f": b"12345", "g": b""})
    for n in range(len(parcel)):
        with pytest.raises(DamagedParcelError):
            unpack(parcel[:n])
        with pytest.raises(DamagedParcelError):
            unpack(parcel[:n] + bytes([parcel[n] ^ 1]) + parcel[n + 1 :])


def test_a_future_that_the_scheduler_dropped_is_one_line(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(SerialExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    monkeypatch.setattr("discosim.sweep.run.open_engine", lambda _: Engine(Gone(), 1))
    with pytest.raises(UserError, match="--executor: is gone; what is finished stays"):
        sweep(path, tmp_path / "out")
