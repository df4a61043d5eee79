"""A served district with demo data, and the list of all its pages, found by following links."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from flask import Flask
from sqlmodel import col, select
from werkzeug.exceptions import HTTPException

from activities import codes
from activities.actions import Action
from activities.campaigns import CampaignVersion, VersionState
from activities.codes import Code, CodeKind
from activities.sites import Site
from tanpuhui.config import Settings
from tanpuhui.rooms import House, build_house
from tanpuhui.sessions import new_session
from tanpuhui.staff import Role, accept, grant, invite
from tanpuhui.web import create_app
from tanpuhui.web.auth import COOKIES
from tests.databases import free_port
from tests.provider import CLIENT, NAME, NAME_EN

TANPUHUI = Path(sys.executable).with_name("tanpuhui")
HELP_PHONE = "021 1234 5678"

#: A provider that does not answer: its button is shown, and the page that says so.
ELSEWHERE = {
    "oidc_issuer": "http://127.0.0.1:9",
    "oidc_client_id": CLIENT,
    "oidc_name": NAME,
    "oidc_name_en": NAME_EN,
}

Who = Literal["visitor", "resident", "staff"]


@dataclass(frozen=True, order=True)
class PageHere:
    """A page: its endpoint, an address of it, and who looks at it."""

    endpoint: str
    path: str
    who: Who


@dataclass
class District:
    """Where it is served, its house, and the people who look at its pages."""

    base: str
    house: House
    people: dict[Who, UUID] = field(default_factory=dict)
    pages: list[PageHere] = field(default_factory=list)

    def cookies(self, who: Who) -> list[dict[str, str]]:
        """The session of `who`, for a browser."""
        if who == "visitor":
            return []
        token = new_session(self.house, kind=who, subject_id=self.people[who])
        return [{"name": COOKIES[who], "value": token, "url": self.base}]


@contextmanager
def demo_district(folder: Path, *, residents: int = 25, days: int = 8) -> Iterator[District]:
    """Fill a district in `folder`, serve it, and list its pages."""
    port = free_port()
    settings: dict[str, Any] = {"var": folder, "port": port, "help_phone": HELP_PHONE, **ELSEWHERE}
    environment = {name: text for name, text in os.environ.items() if not name.startswith("TANPUHUI_")}
    environment |= {f"TANPUHUI_{name.upper()}": str(value) for name, value in settings.items()}
    demo = [TANPUHUI, "demo", "--residents", str(residents), "--days", str(days)]
    subprocess.run(demo, env=environment, check=True, capture_output=True)
    server = subprocess.Popen([TANPUHUI, "serve"], env=environment, stdout=subprocess.DEVNULL)
    house = build_house(Settings(**settings))
    district = District(f"http://127.0.0.1:{port}", house)
    try:
        _wait_for(f"{district.base}/readyz")
        district.people = _people(house)
        district.pages = sorted(_pages(district))
        yield district
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)
        house.db.dispose()


def _wait_for(address: str) -> None:
    for _ in range(600):  # a busy machine takes its time; where nothing is wrong this ends at once
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"{address} does not answer")


def _people(house: House) -> dict[Who, UUID]:
    with house.db.reading_session() as session:
        busiest = session.exec(select(Action.resident_id).order_by(col(Action.recorded_at).desc())).first()
    assert busiest is not None
    everything = [grant(role, division_code="310106") for role in (Role.ADMIN, Role.OFFICER, Role.ORGANISER)]
    member = accept(house, invite(house, everything), name="静安碳普惠", password="for pictures only")
    return {"resident": busiest, "staff": member.id}


# --- the list of pages --------------------------------------------------------------------------------------


def _pages(district: District) -> Iterator[PageHere]:
    """One address of every page that links lead to, for each kind of person; and the pages no link leads to."""
    app = create_app(district.house, testing=True)
    with district.house.db.reading_session() as session:
        site = session.exec(select(Site).where(Site.kind == "canteen")).first()
        assert site is not None
        code = codes.token_of(district.house.settings, codes.codes_of(session, site.id)[0].id)
        of_all_kinds = session.exec(select(Code.site_id).where(Code.kind == CodeKind.SLIPS)).first()
        changing = select(CampaignVersion.campaign_id).where(CampaignVersion.state == VersionState.DRAFT)
        changed = session.exec(changing).first()  # whichever campaign its organisers are told of first
    invitation = invite(district.house, [grant(Role.HELPER, division_code="310106")])
    starts: dict[Who, list[str]] = {
        "visitor": [
            "/",
            "/login",
            "/login/with/oidc/back",
            f"/staff/first/{invitation}",
            f"/s/{code}",
            "/style",
            "/offline",
            "/no-such-page",
        ],
        "resident": ["/", f"/s/{code}", "/me/leave"],
        "staff": [
            f"/console/sites/{of_all_kinds}",
            f"/console/campaigns/{changed}/preview",
            "/console",
            "/bureau",
        ],
    }
    for who, paths in starts.items():
        yield from _crawl(app, district, who, paths)


def _crawl(app: Flask, district: District, who: Who, starts: list[str]) -> Iterator[PageHere]:
    client = app.test_client()
    for cookie in district.cookies(who):
        client.set_cookie(cookie["name"], cookie["value"])
    waiting, seen, queued = list(starts), set(), set(starts)
    while waiting:
        path = waiting.pop(0)
        endpoint = endpoint_of(app, path)
        if endpoint in seen:
            continue
        answer = client.get(path, follow_redirects=True, headers={"Accept-Language": "zh-CN"})
        if answer.mimetype != "text/html":
            continue
        arrived = answer.request.full_path.rstrip("?")
        endpoint = endpoint_of(app, arrived)
        if endpoint in seen or (who != "visitor" and endpoint in _FOR_VISITORS):
            continue
        seen |= {endpoint, endpoint_of(app, path)}
        yield PageHere(endpoint, arrived, who)
        for link in re.findall(r'href="([^"#]+)', answer.get_data(as_text=True)):
            target = urlsplit(link.replace("&amp;", "&"))
            address = target.path + (f"?{target.query}" if target.query else "")
            ours = target.netloc in {"", urlsplit(district.base).netloc}
            if ours and address not in queued and not re.match(r"/(static|language|view|api)\b", target.path):
                queued.add(address)
                waiting.append(address)


_FOR_VISITORS = ("pages.login", "staff.login")


def endpoint_of(app: Flask, path: str) -> str:
    """The endpoint that answers GET `path`; ``missing`` if none does."""
    try:
        found: str = app.url_map.bind("").match(urlsplit(path).path, method="GET")[0]
    except HTTPException:
        return "missing"
    return found
