"""Fixtures shared by all test families."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# The same examples in every run: a red build can be repeated, and no build is red by luck.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_sessionstart() -> None:
    """Collect garbage less often: thousands of collected tests are walked each time, for 8 per cent of the whole."""
    gc.set_threshold(100_000, 50, 50)


@pytest.fixture(scope="session")
def kernel_of_this_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled library of this very source, whether or not one lies beside it; skip without a compiler."""
    from discosim.kernel.build import build, compiler

    if compiler() is None:
        pytest.skip("no C compiler")
    made = tmp_path_factory.mktemp("kernel") / "kernel.so"
    assert build(library=made) == ""
    return made


@pytest.fixture
def kernel(kernel_of_this_source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let compiled code be used."""
    from discosim.kernel import library

    monkeypatch.delenv(library.SWITCH, raising=False)
    monkeypatch.setattr(library, "LIBRARY", kernel_of_this_source)
    assert library.why_not() == ""
    return kernel_of_this_source


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python compute all."""
    from discosim.kernel.library import SWITCH

    monkeypatch.setenv(SWITCH, "1")


@pytest.fixture(scope="session")
def raw_traces() -> Path:
    """Return the folder of raw third-party traces, or skip saying so; a skip on CI is a failure."""
    folder = os.environ.get("DISCOSIM_TRACES")
    if folder:
        path = Path(folder).resolve()
        assert path.is_dir(), f"DISCOSIM_TRACES names no folder: {path}"
        return path
    message = "DISCOSIM_TRACES is unset: raw trace files are needed for this test"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start Chromium, once for all who look at pages, or skip saying so; a skip on CI is a failure."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        message = "no Chromium is installed: a browser is needed for this test"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # the sandbox refuses to run as root, which containers do
        started = playwright.chromium.launch(executable_path=found, chromium_sandbox=os.geteuid() != 0)
        yield started
        started.close()
