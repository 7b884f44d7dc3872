"""Sweeps in object stores: the bytes of a folder, resumed from there, and nothing half-written is taken for a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_samples import SWEEP, contents, sweep, write

from discosim import load_results
from discosim.core.addresses import place_of_text
from discosim.core.errors import UserError
from discosim.sweep.drive import Terms
from discosim.sweep.mirror import mirrored, opened
from discosim.sweep.object_store import ObjectStore
from discosim.sweep.plan import load_plan
from discosim.sweep.run import SweepResult, collect_sweep, run_sweep

SMALL = (
    ("n: 3}", "n: 1}"),
    ("[0.2, 0.6]", "[0.2]"),
    ("    - {kind: disco, name: B, budget: 0.2}\n", ""),
    (", policies.B.budget", ""),
)
URL = "memory://lab/sweep"
fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of this test's, and an empty store in memory."""
    monkeypatch.setenv("DISCOSIM_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield tmp_path / "cache"
    memory.store.clear()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two runs, and beside it what it gives in a folder."""
    path = write(tmp_path_factory.mktemp("sweep"), SWEEP, *SMALL)
    sweep(path, path.parent / "folder")
    return path


def fill(path: Path) -> None:
    """Put the folder into the store."""
    folder = path.parent / "folder"
    files = {name.relative_to(folder).as_posix(): name.read_bytes() for name in folder.rglob("*") if name.is_file()}
    ObjectStore.at(URL).write({name: body for name, body in files.items() if not name.startswith("kept/")})


def stored(url: str = URL) -> dict[str, bytes]:
    """Return what lies in a store, but for the facts of execution."""
    store = ObjectStore.at(url)
    return {name: store.read(name) for name in store.listing() if not name.endswith("run.json")}


def to(url: str, path: Path, **options: Any) -> SweepResult:
    return run_sweep(load_plan(path), url, executor="serial", **options)


def forget(cache: Path) -> None:
    """Be another machine."""
    cache.rename(cache.with_name(f"{cache.name}-{len(list(cache.parent.iterdir()))}"))


def folder_of(path: Path) -> dict[str, bytes]:
    found = contents(path.parent / "folder")
    return {name: body for name, body in found.items() if not name.startswith("kept/")}


def test_a_store_holds_the_bytes_of_a_folder_and_markers_come_last(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[set[str]] = []
    real = ObjectStore.write

    def noted(self: ObjectStore, files: Any) -> None:
        order.append({name for name in files if name.startswith("runs/")})
        real(self, files)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "write", noted)
        result = to(URL, path)
    assert len(result.state.finished) == 2
    assert stored() == folder_of(path)
    seen: set[str] = set()
    for names in order:
        for marker in (name for name in names if name.endswith("run.json")):
            assert len(names) == 1
            folder = marker.removesuffix("run.json")
            assert len([name for name in seen if name.startswith(folder)]) >= 5
        seen |= names
    forget(cache)
    table = load_results(URL)
    assert list(table["requests_sha256"]) == list(load_results(str(path.parent / "folder"))["requests_sha256"])
    assert not list(cache.rglob("requests.parquet")), "the index is enough"


def test_another_machine_goes_on_where_the_first_one_was_cut_off(path: Path, cache: Path) -> None:
    class Ended(Exception):  # noqa: N818 - stands for a power cut
        pass

    class Cut:
        def done(self, run: Any, outcome: Any) -> None:
            raise Ended

    with pytest.raises(Ended):
        to(URL, path, watch=lambda _finished, _all: Cut())
    markers = [name for name in ObjectStore.at(URL).listing() if name.endswith("run.json")]
    assert len(markers) == 1
    forget(cache)
    heard: list[tuple[int, int]] = []
    to(URL, path, watch=lambda finished, n: heard.append((finished, n)) or Silent())  # type: ignore[func-returns-value]
    assert heard == [(1, 2)]
    assert stored() == folder_of(path)


class Silent:
    def done(self, run: Any, outcome: Any) -> None:
        pass


def test_a_run_counts_only_with_its_marker_and_its_hashes(path: Path, cache: Path) -> None:
    fill(path)
    store = ObjectStore.at(URL)
    runs = sorted(name for name in store.listing() if name.endswith("run.json"))
    store.remove([runs[0]])
    damaged = runs[1].replace("run.json", "requests.parquet")
    store.write({damaged: store.read(damaged)[:-1] + b"x"})
    with opened(URL, is_read=True) as held:
        state = held.state(held.planned())
        assert (len(state.finished), len(state.missing)) == (0, 2)
    result = to(URL, path)
    assert len(result.state.finished) == 2
    assert [note[:4] for note in result.notes] == ["run "] * 2
    assert stored() == folder_of(path)
    for name in runs:
        facts = json.loads(store.read(name))
        assert facts["files"].keys() == {
            key.rpartition("/")[2] for key in store.listing() if key.startswith(name.rpartition("/")[0])
        } - {"run.json"}


def test_two_shards_of_two_machines_meet_in_a_store(path: Path, cache: Path) -> None:
    for part in (1, 2):
        to(URL, path, shard=(part, 2))
        forget(cache)
    store, state, _ = collect_sweep(URL)
    assert state.is_complete
    assert store.shown == URL
    whole = folder_of(path)
    del whole["comparisons.csv"]
    assert stored() == whole


def test_what_is_cleaned_is_gone_in_the_store_too(path: Path) -> None:
    fill(path)
    store = ObjectStore.at(URL)
    run = next(name for name in store.listing() if name.endswith("run.json")).split("/")[1]
    copied = {name: store.read(name) for name in store.listing() if name.startswith(f"runs/{run}/")}
    store.write({name.replace(run, "0123456789-s9"): body for name, body in copied.items()})
    with opened(URL) as held:
        assert held.clean() == ["0123456789-s9"]
    assert {name: body for name, body in folder_of(path).items() if name.startswith("runs/")} == {
        name: body for name, body in stored().items() if name.startswith("runs/")
    }


def test_the_errors_of_failed_runs_are_kept_and_forgotten_in_the_store(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("discosim.runs.store.simulate", lambda *_, **__: 1 / 0)
        to(URL, path, terms=Terms(retries=0))
    assert len([name for name in stored() if name.startswith("failures/")]) == 2
    fill(path)
    with opened(URL) as held:
        assert len(held.clean()) == 2, "the errors that were kept"
    assert not [name for name in stored() if name.startswith("failures/")]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s4://bucket/x", r"^s4://bucket/x: cannot be used \(.*s4.*\)$"),
        ("memory://", r"names no bucket or folder; expected for example s3://bucket/sweep"),
        ("file://host/x", r"expected file:///folder \(got 'file://host/x'\)"),
    ],
)
def test_a_bad_address_is_one_line(path: Path, url: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        to(url, path)


def test_a_store_that_cannot_be_written_is_said_before_the_first_run(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", refuse)
    with pytest.raises(UserError, match=r"^memory://lab/sweep: cannot be written \(PermissionError: Access Denied\)$"):
        to(URL, path)


def test_a_store_of_something_else_is_left_alone(path: Path) -> None:
    ObjectStore.at(URL).write({"data.bin": b"x"})
    with pytest.raises(UserError, match=r"^memory://lab/sweep: is not empty and holds no sweep"):
        to(URL, path)
    assert stored() == {"data.bin": b"x"}


def test_messages_name_the_address_and_not_the_copy(path: Path, cache: Path) -> None:
    fill(path)
    store = ObjectStore.at(URL)
    (name, *_) = (name for name in store.listing() if name.endswith("run.json"))
    facts = json.loads(store.read(name))
    store.write({name: json.dumps({**facts, "code": {**facts["code"], "numpy": "1"}}).encode()})
    with pytest.raises(UserError) as caught:
        to(URL, path)
    assert f"discosim sweep clean {URL} --stale" in str(caught.value)
    assert str(cache) not in str(caught.value)


def test_two_processes_have_a_copy_each(cache: Path) -> None:
    with mirrored(URL) as one, mirrored(URL) as two:
        assert one.folder != two.folder
    with mirrored(URL) as again:
        assert again.folder == one.folder


def test_a_file_address_is_a_folder() -> None:
    assert place_of_text("file:///tmp/a%20b") == Path("/tmp/a b")
    assert place_of_text("results/x") == Path("results/x")


# --- a real server --------------------------------------------------------------------------------------------


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a server process."""
    import subprocess
    import sys
    import time
    import urllib.request

    pytest.importorskip("s3fs", reason="pip install 'discosim[cloud]'")
    pytest.importorskip("moto", reason="pip install 'moto[server]'")
    from test_clusters import free_port

    port = free_port()
    log = tmp_path / "moto.log"
    with log.open("wb") as file:
        line = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(line, stdout=file, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{address}/moto-api/").close()
            break
        except OSError:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
    fsspec.filesystem("s3").mkdir("lab")
    yield "s3://lab/sweeps/sample"
    server.kill()
    server.wait()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # those of botocore
def test_s3_holds_the_bytes_of_a_folder_and_goes_on(s3: str, path: Path, cache: Path) -> None:
    to(s3, path, shard=(1, 2))
    forget(cache)
    result = to(s3, path)
    assert len(result.state.finished) == 2
    assert stored(s3) == folder_of(path)
    forget(cache)
    assert set(load_results(s3)["status"]) == {"finished"}
    with pytest.raises(UserError, match=r"^s3://nobody/x: cannot be (written|read) \(.*bucket.*\)$"):
        to("s3://nobody/x", path)
