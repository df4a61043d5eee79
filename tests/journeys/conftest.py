"""A real server and a real browser."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.databases import free_port

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
CHROMIUM_SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000  # milliseconds: what is waited for comes at once, but not on a machine that is busy with every other test
expect.set_options(timeout=PATIENCE)
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}


def chromium_program() -> str | None:
    """The machine's own Chromium, if it has one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Served:
    """`tanpuhui serve` in a folder of its own, with what it printed."""

    base: str
    log: Path
    process: subprocess.Popen[bytes]

    def printed(self, pattern: str, within: float = 60) -> str:
        """The last text printed that matches `pattern` (its first group), waiting for it if need be."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            found = re.findall(pattern, self.log.read_text(encoding="utf-8"))
            if found:
                return str(found[-1])
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} was not printed:\n{self.log.read_text(encoding='utf-8')}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A fresh embedded server on SQLite, as `make run` starts it."""
    with serving(tmp_path) as server:
        yield server


@contextmanager
def serving(folder: Path, port: int | None = None, **settings: str) -> Iterator[Served]:
    """An embedded server with its data in `folder`, on a free port unless one is named, and further `settings` if any."""
    port = port or free_port()
    log = folder / "serve.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TANPUHUI_")}
    environment |= {f"TANPUHUI_{name.upper()}": value for name, value in settings.items()}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("tanpuhui"), "serve", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    server = Served(f"http://127.0.0.1:{port}", log, process)
    try:
        server.printed("Ctrl-C stops it", within=120)
        urllib.request.urlopen(f"{server.base}/readyz", timeout=60).close()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; skips where there is none."""
    program = chromium_program()
    if program is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program,
            args=CHROMIUM_SWITCHES,
        )
        yield chromium
        chromium.close()


NewPage = Callable[..., Page]


@pytest.fixture
def new_page(browser: Browser) -> Iterator[NewPage]:
    """Pages in contexts of their own; any error on a page fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_page(size: dict[str, int], **more: object) -> Page:
        context = browser.new_context(viewport=size, locale="zh-CN", timezone_id="Asia/Shanghai", **more)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: _note(said, errors))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors, errors


def go(page: Page, entry: str) -> None:
    """Follow an entry of the staff menu, from the bar or from behind 全部."""
    bar = page.get_by_role("navigation", name="主导航")
    link = bar.get_by_role("link", name=entry, exact=True)
    expect(bar).to_be_visible()
    if not link.count():
        bar.locator("summary", has_text="全部").click()
    link.first.click()


def picture(page: Page, name: str) -> None:
    """Keep a screenshot as a test artifact: what a phone shows at once, or a whole desktop page."""
    ARTIFACTS.mkdir(exist_ok=True)
    phone = (page.viewport_size or DESK)["width"] < 600
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=not phone)


def _note(said: ConsoleMessage, errors: list[str]) -> None:
    """Chromium remarks on the status of a refusal and on a network that the test has cut; anything else is an error."""
    remarks = ("the server responded with a status of 4", "net::ERR_INTERNET_DISCONNECTED")
    if said.type == "error" and not any(remark in said.text for remark in remarks):
        errors.append(said.text)
