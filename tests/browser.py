"""A browser without JavaScript: follows redirects, keeps cookies, sends forms."""

import re
from html import unescape
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tanpuhui.people import Resident
from tanpuhui.sessions import Principal, new_session
from tanpuhui.web.auth import COOKIES
from tests.world import World


class Browser:
    """A browser of one person: follows redirects, and sends forms with their hidden fields."""

    def __init__(self, client: FlaskClient, language: str = "zh") -> None:
        self.client = client
        self.language = language
        self.page: Any = None

    def get(self, path: str) -> str:
        """Open an address."""
        return self._arrive(self.client.get(path, follow_redirects=True, headers=self._headers()))

    def send(self, action: str | None = None, **fields: Any) -> str:
        """Send the form on this page that goes to `action` (a part of its address; any, if None)."""
        path, hidden = self._form(action)
        data = {**hidden, **fields}
        return self._arrive(self.client.post(path, data=data, follow_redirects=True, headers=self._headers()))

    def take(self, action: str) -> bytes:
        """Send a form that answers with a file."""
        path, hidden = self._form(action)
        self.page = self.client.post(path, data=hidden, headers=self._headers())
        body: bytes = self.page.get_data()
        self.page.close()
        return body

    @property
    def path(self) -> str:
        """Where the browser is."""
        return str(self.page.request.path)

    @property
    def address(self) -> str:
        """Where the browser is, with the query."""
        return str(self.page.request.full_path)

    @property
    def status(self) -> int:
        """The status of the page."""
        return int(self.page.status_code)

    def _headers(self) -> dict[str, str]:
        return {"Accept": "text/html", "Accept-Language": self.language}

    def _arrive(self, page: TestResponse) -> str:
        self.page = page
        return page.get_data(as_text=True)

    def _form(self, action: str | None) -> tuple[str, dict[str, str]]:
        for form in re.findall(r'<form[^>]*method="post".*?</form>', self.page.get_data(as_text=True), re.S):
            target = re.search(r'<form[^>]*action="([^"]*)"', form)
            path = unescape(target[1]) if target else self.address
            if "logout" in path and (action is None or "logout" not in action):
                continue
            if action is None or action in path:
                hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
                return path, {name: unescape(value) for name, value in hidden}
        raise AssertionError(f"no form to {action} at {self.path}")


def browser(world: World, who: Resident | Principal | None = None, language: str = "zh") -> Browser:
    """A browser in which `who` is logged in."""
    client = world.client()
    if who is not None:
        kind: Any = "resident" if isinstance(who, Resident) else "staff"
        client.set_cookie(COOKIES[kind], new_session(world.house, kind=kind, subject_id=who.id))
    return Browser(client, language)
