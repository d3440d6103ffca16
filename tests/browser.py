"""A real Chromium for tests, without a network: what a page says, asks for, and how usable it is."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (1440, 390)  # a desk and a phone
BAD = {"serious", "critical"}


@dataclass
class Seen:
    """`said`: on the console; `asked`: where its requests went, beside the page itself."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the group `browser`: uv sync --group browser")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs a Chromium on PATH, such as Debian's package chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])  # in a container as root
        yield browser
        browser.close()


def look(browser: Browser, address: str, width: int) -> Seen:
    """The page once its charts are drawn."""
    seen = Seen(browser.new_page(viewport={"width": width, "height": 900}))
    seen.page.on("console", lambda message: seen.said.append(message.text))
    seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
    seen.page.on("request", lambda request: seen.asked.append(request.url))
    seen.page.goto(address)
    wait_for_charts(seen.page)
    return seen


def faults(page: Page) -> list[str]:
    """What axe-core finds that keeps somebody from using the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the group `browser`")
    found = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:100]}" for one in found if one["impact"] in BAD]


def wait_for_charts(page: Page) -> None:
    """By asking again: what the browser waits for by itself is evaluated in the page, which forbids that."""
    drawn, until = (
        "[...document.querySelectorAll('.chart')].every(one => one.querySelector('svg'))",
        time.monotonic() + 30,
    )
    while not page.evaluate(drawn):
        assert time.monotonic() < until, "some charts are not drawn"
        time.sleep(0.05)
