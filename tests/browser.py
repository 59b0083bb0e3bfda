# SPDX-License-Identifier: MIT
"""
A real browser for the tests: Debian's Chromium, which no test lets onto the network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

CHROMIUM = "/usr/bin/chromium"

DESK, PHONE = (1280, 900), (390, 844)

Scheme = Literal["light", "dark"]


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A browser; without Chromium the test is not run, and says so."""
    if not Path(CHROMIUM).exists():
        pytest.skip("not run: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def tab(
    browser: "Browser",
    home: str,
    trouble: list[str],
    size: tuple[int, int] = DESK,
    scripts: bool = True,
) -> Iterator["Page"]:
    """A tab that reaches nothing but ``home``; what goes wrong in it is added to ``trouble``."""

    def pass_on(route: "Route") -> None:
        if route.request.url.startswith((home, "data:")):
            route.continue_()
        else:
            trouble.append(f"request to {route.request.url}")
            route.abort()

    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=scripts,
    )
    page = context.new_page()
    page.route("**/*", pass_on)
    page.on("console", lambda said: trouble.append(f"console: {said.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    yield page
    context.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``folder`` on the loopback interface; yield the address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def explorer(browser: "Browser", html: Path) -> Iterator["Page"]:
    """The explorer, just opened from its file; nothing may go wrong in it."""
    trouble: list[str] = []
    home = f"{html.as_uri()}/"
    with tab(browser, home, trouble) as page:
        page.goto(f"{home}explorer.html")
        yield page
    assert trouble == []


def said(page: "Page") -> str:
    """What the explorer told last."""
    return page.get_by_role("status").inner_text()


def state(page: "Page") -> str:
    """The value of ``state`` that the explorer shows."""
    return page.locator(".explorer-page div", has_text="state").locator("dd").nth(1).inner_text()


#: Pictures that are wider than their box.
_WIDE_PICTURES = """[...document.querySelectorAll(".picture-box")]
    .filter((box) => box.scrollWidth > box.clientWidth).length"""


def look_at(home: str, pages: list[str]) -> list[str]:
    """Open the pages at ``home`` in Chromium, look in four ways; return what went wrong."""
    trouble: list[str] = []
    schemes: list[Scheme] = ["light", "dark"]
    with chromium() as browser, tab(browser, home, trouble) as page:
        for name in pages:
            page.goto(f"{home}{name}.html")
            for scheme, (width, height) in product(schemes, (DESK, PHONE)):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": height})
                wide = page.evaluate("document.documentElement.scrollWidth")
                if wide > width:
                    trouble.append(f"{name} is {wide} wide on {width}, {scheme}")
                if page.evaluate(_WIDE_PICTURES):
                    trouble.append(f"{name} has a picture too wide for {width}, {scheme}")
    return trouble
