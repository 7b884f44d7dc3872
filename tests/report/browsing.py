"""A page opened in a real browser; everything that it said, asked for or broke is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Visit:
    """One page, opened; everything it said, asked for or broke is kept."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> None:
        self.troubles: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.on("console", lambda message: self.troubles.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.troubles.append("dialog"), dialog.dismiss()))
        self.page.on("request", self._asked)
        self.page.set_default_timeout(20_000)
        self.url = path.as_uri()
        self.page.goto(self.url)

    def _asked(self, request: Any) -> None:
        if request.url != self.url and not request.url.startswith("data:"):
            self.troubles.append(f"request: {request.url}")

    def view(self, name: str) -> Any:
        return self.page.locator(f'[data-view="{name}"]')

    def choose(self, view: str, label: str, option: str | int) -> None:
        box = self.view(view).get_by_label(label, exact=True)
        box.select_option(index=option) if isinstance(option, int) else box.select_option(label=option)
