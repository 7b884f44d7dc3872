"""A browser for the tests that look at built pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start Chromium, or skip saying so; a skip on CI is a failure."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
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
