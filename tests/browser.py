"""A real Chromium with the network cut."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    """A page, and all that it asked for and complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    @property
    def outside(self) -> list[str]:
        """Return every address beyond the file itself."""
        return [url for url in self.requests if not url.startswith(("file://", "data:", "blob:"))]


@contextmanager
def browsing(
    *, width: int = 1280, scripts: bool = True, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Watched]:
    """Open a page without a network."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(
            offline=True, java_script_enabled=scripts, color_scheme=scheme, viewport={"width": width, "height": 900}
        )
        yield Watched(page)
        browser.close()
