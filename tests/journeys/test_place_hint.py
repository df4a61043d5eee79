"""A phone that tells where it is, here and far away, refuses to, and is told not to any more."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from activities import codes, positions, sites
from activities.sites import SiteIn
from tanpuhui import people, staff
from tanpuhui.config import Settings
from tanpuhui.rooms import House, build_house
from tanpuhui.sessions import Principal, new_session
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tests.journeys.conftest import PHONE, NewPage, picture, serving
from tests.world import COMMUNITY

pytestmark = pytest.mark.browser

TOLD = re.compile(r"^31\.\d{4} 121\.\d{4} \d+$")

KINDS = ["clean_plate", "own_cup", "recycle_glass", "recycle_paper"]


def furnish(house: House) -> tuple[people.Resident, str]:
    """A resident, and the code of a site that stands in GCJ-02 where a phone says 31.1774, 121.5272."""
    with house.db.session() as session:
        grants = [staff.grant(Role.ORGANISER, division_code="310106")]
        member = staff.add_staff(session, name="组织者", password="for a journey only", grants=grants)
    organiser = Principal("staff", member.id, member.id)
    me = people.join(
        house, phone="+8613912345678", division_code=COMMUNITY, consent_version=people.CONSENT_VERSION
    )
    site_in = SiteIn(name="临汾社区食堂", kind="canteen", division_code=COMMUNITY, kinds=KINDS)
    site = sites.create_site(house, organiser, site_in)
    positions.set_position(
        house,
        organiser,
        site.id,
        latitude=Decimal("31.175304"),
        longitude=Decimal("121.531542"),
        datum="gcj02",
        reason="在地图上查到",
    )
    return me, codes.token_of(house.settings, codes.issue_code(house, organiser, site.id).id)


def bands(house: House) -> list[str]:
    with house.db.reading() as connection:
        return list(connection.execute(sa.text("SELECT band FROM place_hint ORDER BY noted_at")).scalars())


def confirm(phone: Page, base: str, code: str, kind: str, *, told: bool) -> None:
    phone.goto(f"{base}/s/{code}?kind={kind}")
    if told:
        expect(phone.locator("input[name=position]")).to_have_value(TOLD)
    if phone.locator("input[name=quantity]").count():
        phone.fill("[name=quantity]", "1")
    phone.get_by_role("button", name="确认记录").click()
    expect(phone.get_by_text("已记录").first).to_be_visible()


def test_near_far_and_not_at_all(tmp_path: Path, new_page: NewPage) -> None:
    with serving(tmp_path) as served:
        house = build_house(Settings(var=tmp_path / "var", port=int(served.base.rsplit(":", 1)[1])))
        me, code = furnish(house)
        phone = new_page(PHONE, is_mobile=True, has_touch=True)
        token = new_session(house, kind="resident", subject_id=me.id)
        phone.context.add_cookies([{"name": COOKIES["resident"], "value": token, "url": served.base}])
        confirm(phone, served.base, code, KINDS[0], told=False)
        assert bands(house) == []

        phone.context.grant_permissions(["geolocation"])
        phone.context.set_geolocation({"latitude": 31.1774, "longitude": 121.5272, "accuracy": 20})
        phone.goto(f"{served.base}/s/{code}?kind={KINDS[1]}")
        offer = phone.locator("[data-place-offer]")
        expect(offer).to_be_visible()
        picture(phone, "place-offer")
        offer.get_by_role("button", name="同意记下远近").click()
        confirm(phone, served.base, code, KINDS[1], told=True)
        assert bands(house) == ["here"]

        phone.context.set_geolocation({"latitude": 31.2774, "longitude": 121.5272, "accuracy": 20})
        confirm(phone, served.base, code, KINDS[2], told=True)
        assert bands(house) == ["here", "far"]
        expect(phone.get_by_text("照样给积分")).to_be_visible()
        picture(phone, "place-far")

        phone.context.clear_permissions()
        confirm(phone, served.base, code, KINDS[3], told=False)
        assert bands(house) == ["here", "far"]

        phone.goto(f"{served.base}/me/privacy")
        phone.get_by_role("button", name="关闭远近提示").click()
        expect(phone.get_by_role("button", name="同意并开启远近提示")).to_be_visible()
        assert bands(house) == []
