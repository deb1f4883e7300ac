"""A real Chromium with the network cut."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def needs_chromium(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that opens pages in a browser."""
    reason = "no Chromium is installed here; .ci/run installs one"
    marked: Callable[..., None] = pytest.mark.browser(pytest.mark.skipif(CHROMIUM is None, reason=reason)(test))
    return marked


class Watched:
    """A page, the addresses that it asked for, and the errors that it reported."""

    def __init__(self, page: Page) -> None:
        self.page, self.requests, self.errors = page, list[str](), list[str]()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    @property
    def outside(self) -> list[str]:
        """Return every address beyond the file itself."""
        return [url for url in self.requests if not url.startswith(("file://", "data:", "blob:"))]


@contextmanager
def browsing(
    path: Path | None = None, *, width: int = 1280, scripts: bool = True, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Watched]:
    """Open a page, or a file in it, without a network."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(
            offline=True, java_script_enabled=scripts, color_scheme=scheme, viewport={"width": width, "height": 900}
        )
        watched = Watched(page)
        if path:
            page.goto(path.as_uri())
        yield watched
        browser.close()
