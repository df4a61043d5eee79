"""`python -m tests.journeys.screens`: the pictures of docs/screens, taken of a district with demo data."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from uuid import UUID

from playwright.sync_api import Browser, Page, sync_playwright
from sqlmodel import select

from activities import codes
from activities.actions import Action
from activities.sites import Site
from tanpuhui.config import Settings
from tanpuhui.people import Resident
from tanpuhui.rooms import House, build_house
from tanpuhui.sessions import new_session
from tanpuhui.staff import Role, accept, grant, invite
from tests.databases import free_port
from tests.journeys.conftest import CHROMIUM_SWITCHES, DESK, PHONE, chromium_program

SCREENS = Path(__file__).parents[2] / "docs" / "screens"
TANPUHUI = Path(sys.executable).with_name("tanpuhui")


def main() -> None:
    """Fill a temporary district, serve it, and take the pictures."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        environment = os.environ | {"TANPUHUI_VAR": folder, "TANPUHUI_PORT": str(port)}
        subprocess.run([TANPUHUI, "demo"], env=environment, check=True, stderr=subprocess.DEVNULL)
        server = subprocess.Popen([TANPUHUI, "serve"], env=environment, stdout=subprocess.DEVNULL)
        try:
            _wait_for(f"http://127.0.0.1:{port}/readyz")
            _take(build_house(Settings(var=Path(folder), port=port)))
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait_for(address: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"{address} does not answer")


def _take(house: House) -> None:
    base = house.settings.public_url
    with house.db.reading_session() as session:
        canteen = session.exec(select(Site).where(Site.kind == "canteen").order_by(Site.name)).first()
        assert canteen is not None
        code = codes.codes_of(session, canteen.id)[0]
        busiest = session.exec(select(Action.resident_id).order_by(Action.recorded_at.desc())).first()  # type: ignore[attr-defined]
        resident = session.get_one(Resident, busiest)
    token = invite(
        house, [grant(role, division_code="310106") for role in (Role.ADMIN, Role.OFFICER, Role.ORGANISER)]
    )
    member = accept(house, token, name="静安碳普惠", password="for pictures only")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=CHROMIUM_SWITCHES)
        phone = _logged_in(browser, house, "resident", resident.id, PHONE, scale=2)
        phone.goto(f"{base}/s/{codes.token_of(house.settings, code.id)}")
        phone.get_by_text("光盘行动").first.click()
        phone.screenshot(path=SCREENS / "resident-scan.png")
        phone.get_by_role("button", name="确认记录").click()
        phone.screenshot(path=SCREENS / "resident-result.png")
        phone.goto(f"{base}/me/statement")
        phone.screenshot(path=SCREENS / "resident-statement.png")
        desk = _logged_in(browser, house, "staff", member.id, DESK, scale=1)
        desk.goto(f"{base}/console/sites/{canteen.id}")
        desk.screenshot(path=SCREENS / "console-site.png")
        time.sleep(1)
        desk.goto(f"{base}/bureau")
        desk.screenshot(path=SCREENS / "bureau.png")
        browser.close()


def _logged_in(
    browser: Browser, house: House, kind: str, who: UUID, size: dict[str, int], *, scale: int
) -> Page:
    context = browser.new_context(viewport=size, locale="zh-CN", device_scale_factor=scale)
    token = new_session(house, kind=kind, subject_id=who)  # type: ignore[arg-type]
    context.add_cookies([{"name": f"tph_{kind}", "value": token, "url": house.settings.public_url}])
    return context.new_page()


if __name__ == "__main__":
    main()
