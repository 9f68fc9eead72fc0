"""A page of the tests' browser that remembers what it complained about, and the first steps on it."""

from __future__ import annotations

from typing import Any

from gate import Gate
from playwright.sync_api import ConsoleMessage, Page, Request, expect

WATCH = "window.violations = []; addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective));"


class Watched:
    """A page, and all that it complained about or asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.add_init_script(WATCH)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)

    def violations(self) -> Any:
        return self.page.evaluate("window.violations")


def show(watched: Watched, gate: Gate) -> Page:
    """The page, live."""
    watched.page.goto(gate.base + "/")
    watched.page.wait_for_selector("body:not(.lost)")
    return watched.page


def log_in(page: Page, gate: Gate, user: str) -> None:
    page.click("#login")
    page.fill("input[name=user]", user)
    page.fill("input[name=password]", gate.password[user])
    page.click("#login-form button[type=submit]")
    page.wait_for_selector("#login-dialog", state="hidden")
    # The panel unlocks with the next frame; a key pressed before that would go nowhere.
    expect(page.locator("[data-method=Start]")).to_be_enabled()
