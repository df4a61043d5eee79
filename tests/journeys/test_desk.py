"""Members' codes in life: on a phone, on a printed card, and at a helper's desk with and without a network."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import sqlalchemy as sa
import zxingcpp
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, BrowserContext, Page, expect

from activities import members
from activities.sites import Site
from tanpuhui import clock, qr, schema
from tanpuhui.config import Settings
from tanpuhui.people import Resident
from tanpuhui.reference import load_reference
from tanpuhui.rooms import build_house
from tanpuhui.sessions import Principal, new_session
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tests.databases import free_port
from tests.journeys.camera import poster_seen, seeing
from tests.journeys.conftest import DESK, PATIENCE, PHONE, NewPage, picture, serving
from tests.journeys.test_everywhere import SENT_WITHIN, ready, wait_until
from tests.world import COMMUNITY, World

pytestmark = pytest.mark.browser


@dataclass
class Place:
    """A district with a recycling point and its helper; its server can be taken away and brought back."""

    folder: Path
    port: int
    world: World
    point: Site
    helper: Principal

    @property
    def base(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def desk(self) -> str:
        """The desk of the recycling point."""
        return f"{self.base}/console/desk/{self.point.id}"

    def enter(self, context: BrowserContext, who: Principal | Resident) -> None:
        """Log `who` in with a browser."""
        kind: Any = "resident" if isinstance(who, Resident) else "staff"
        token = new_session(self.world.house, kind=kind, subject_id=who.id)
        context.add_cookies([{"name": COOKIES[kind], "value": token, "url": self.base}])

    def code(self, resident: Resident) -> str:
        """The member code of `resident`."""
        return members.token_of(
            self.world.house.settings, members.own_card(self.world.house, resident.id).number
        )

    def recorded(self) -> list[tuple[str, str, int, str]]:
        """Resident, kind, quantity in thousandths and day of every action."""
        with self.world.house.db.reading() as connection:
            rows = connection.execute(
                sa.text("SELECT resident_id, kind, quantity_milli, day FROM action ORDER BY recorded_at, id")
            )
            return [(str(row[0]).replace("-", ""), row[1], row[2], str(row[3])) for row in rows]

    @contextmanager
    def answering_500(self) -> Iterator[list[str]]:
        """A server in the place of ours that answers 500 to everything; what it was asked with POST."""
        asked: list[str] = []

        class Broken(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(500)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                asked.append(self.path)
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_said: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Broken)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield asked
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A district that is not served yet."""
    port = free_port()
    house = build_house(Settings(var=tmp_path / "var", port=port))
    schema.migrate(house)
    load_reference(house)
    world = World(house)
    point = world.site("recycle_glass", "recycle_paper", name="三宝回收点", kind="recycling_point")
    world.site("clothing_reuse", name="三宝旧衣箱", kind="clothes_bin")
    yield Place(tmp_path, port, world, point, world.colleague(Role.HELPER, division=COMMUNITY))
    house.db.dispose()


@pytest.fixture
def phone(browser: Browser, place: Place) -> Iterator[BrowserContext]:
    """The helper's phone; here errors of a network that is not there are no failures."""
    context = browser.new_context(viewport=PHONE, locale="zh-CN", timezone_id="Asia/Shanghai")
    context.set_default_timeout(PATIENCE)
    place.enter(context, place.helper)
    yield context
    context.close()


def fill(page: Page, code: str, quantity: str, kind: str = "玻璃回收") -> None:
    """Everything that a helper fills in for a member."""
    onward = page.get_by_role("button", name="下一步")
    onward.wait_for()  # until the script has run: it goes on by itself from what was filled in before
    page.fill("[name=member]", code)
    onward.click()
    page.locator(".choice", has_text=kind).click()
    page.locator(".ask input:visible").fill(quantity)


def record(page: Page, code: str, quantity: str, kind: str = "玻璃回收") -> None:
    """Fill in and confirm."""
    fill(page, code, quantity, kind)
    page.get_by_role("button", name="确认记录").click()


def on_the_phone(page: Page) -> list[dict[str, Any]]:
    """What waits on this phone, and what became of it."""
    entries: list[dict[str, Any]] = page.evaluate("() => queue.all()")
    return entries


def kept_desk(page: Page) -> bool:
    """Whether the phone keeps a desk."""
    return bool(
        page.evaluate(
            "async () => (await caches.has('tanpuhui-desk')) && (await (await caches.open('tanpuhui-desk')).keys()).length"
        )
    )


def open_desk(place: Place, page: Page) -> None:
    """Open the desk, and wait until the phone keeps it."""
    page.goto(place.desk)
    ready(page)
    wait_until(lambda: kept_desk(page))


def waits_until(page: Page, states: list[str]) -> None:
    """Wait for the states of what is on the phone."""
    wait_until(lambda: sorted(entry["state"] for entry in on_the_phone(page)) == states, SENT_WITHIN / 1000)


# --- codes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_code_on_the_phone_is_read_steady_blurred_askew_and_small(
    place: Place, new_page: NewPage, scheme: str
) -> None:
    resident = place.world.resident()
    page = new_page(PHONE, device_scale_factor=2, color_scheme=scheme)
    place.enter(page.context, resident)
    with serving(place.folder, place.port):
        page.goto(f"{place.base}/me/code")
        picture(page, f"own-code-{scheme}")
        seen = Image.open(io.BytesIO(page.screenshot())).convert("L")
        wide = page.locator(".qr svg").bounding_box()
    assert wide is not None
    assert wide["width"] >= PHONE["width"] - 40
    for view in (
        seen,
        seen.filter(ImageFilter.GaussianBlur(5)),
        seen.rotate(20, Image.Resampling.BICUBIC, expand=True, fillcolor=255),
        seen.reduce(4),
    ):
        (found,) = zxingcpp.read_barcodes(view)
        assert found.text == f"{place.base}/s/{place.code(resident)}"
        assert found.ec_level == "M"
        assert int(found.extra["Version"]) <= 5


def test_who_has_no_phone_is_counted(place: Place, new_page: NewPage) -> None:
    """An organiser prints cards, a helper hands one over and records glass for it; the card is lost and replaced."""
    with serving(place.folder, place.port):
        boss = new_page(DESK)
        place.enter(boss.context, place.world.organiser)
        boss.goto(f"{place.base}/console/cards")
        boss.select_option("[name=division_code]", COMMUNITY)
        boss.get_by_role("button", name="生成").click()
        picture(boss, "cards")
        sheet = boss.get_by_role("link", name="打印 PDF").get_attribute("href")
        printed = boss.context.request.get(place.base + str(sheet)).body()
        with pypdfium2.PdfDocument(printed) as document:
            cards = zxingcpp.read_barcodes(document[0].render(scale=200 / 72).to_pil())
        first, second, *_ = (found.text for found in cards)
        assert len(cards) == 10

        page = new_page(PHONE)
        place.enter(page.context, place.helper)
        page.goto(f"{place.base}/console")
        page.get_by_role("link", name="三宝回收点").click()
        record(page, first, "2")
        expect(page.get_by_text("还没有发给任何人", exact=False)).to_be_visible()
        picture(page, "desk-blank-card")
        page.get_by_role("link", name="去发这张卡").click()
        picture(page, "card-hand-over")
        page.get_by_label("本人听了说明，同意参加").check()
        page.get_by_role("button", name="发出这张卡").click()
        expect(page.get_by_text("卡已发出", exact=False)).to_be_visible()
        page.get_by_role("link", name="登记台").click()
        record(page, first, "2")
        expect(page.get_by_text("还可以记录", exact=False)).to_be_visible()
        picture(page, "desk-recorded")
        ((holder, kind, quantity, _day),) = place.recorded()
        assert (kind, quantity) == ("recycle_glass", 2000)

        page.goto(f"{place.base}/console/cards")
        page.fill("[name=code]", first[-8:])
        page.get_by_role("button", name="查找").click()
        page.locator("tbody a").click()
        expect(page.get_by_text("三宝回收点", exact=False)).to_be_visible()
        page.fill("[name=blank]", second)
        page.get_by_role("button", name="换成这张卡").click()
        expect(page.get_by_text("换好了", exact=False)).to_be_visible()
        page.goto(place.desk)
        record(page, second, "1", "废纸回收")
        expect(page.get_by_text("已记录")).to_be_visible()
        assert [who for who, *_ in place.recorded()] == [holder, holder]
    assert place.world.breaches() == []
    assert place.world.figure_differences() == []
    with place.world.house.db.reading() as connection:
        counted = connection.execute(sa.text("SELECT count(DISTINCT resident_id) FROM daily_participant"))
        assert counted.scalar() == 1


def test_the_camera_at_the_desk_reads_a_members_code(place: Place, browser: Browser, tmp_path: Path) -> None:
    code = place.code(place.world.resident())
    view = poster_seen(qr.png(f"{place.base}/s/{code}", level="M"))
    with serving(place.folder, place.port), seeing(browser, view, tmp_path) as page:
        place.enter(page.context, place.helper)
        page.goto(place.desk)
        expect(page.get_by_text(f"…{code[-4:]}")).to_be_visible()
        picture(page, "desk-scanned")
        page.locator(".choice", has_text="玻璃回收").click()
        page.locator(".ask input:visible").fill("1")
        page.get_by_role("button", name="确认记录").click()
        expect(page.get_by_text("已记录")).to_be_visible()
        assert len(place.recorded()) == 1


def test_without_javascript_the_desk_is_a_form(place: Place, new_page: NewPage) -> None:
    page = new_page(PHONE, java_script_enabled=False)
    place.enter(page.context, place.helper)
    with serving(place.folder, place.port):
        page.goto(place.desk)
        page.fill("[name=member]", place.code(place.world.resident()))
        page.locator(".choice", has_text="玻璃回收").click()
        page.locator(".ask input:visible").fill("1")
        picture(page, "desk-without-javascript")
        page.get_by_role("button", name="确认记录").click()
        expect(page.get_by_text("已记录")).to_be_visible()


def test_what_could_not_be_recorded_is_asked_for_at_once(place: Place, new_page: NewPage) -> None:
    """Without a network the refusal would come when the member has gone."""
    page = new_page(PHONE)
    place.enter(page.context, place.helper)
    with serving(place.folder, place.port):
        page.goto(place.desk)
        page.fill("[name=member]", place.world.code_at(place.point))
        page.get_by_role("button", name="下一步").click()
        expect(page.get_by_text("这不是会员码", exact=False)).to_be_visible()
        for quantity in ("", "31", "two", "0"):
            record(page, place.code(place.world.resident()), quantity)
            assert page.locator(".ask input:visible").evaluate("field => field.validationMessage")
            page.reload()
        assert place.recorded() == []


# --- without a network -----------------------------------------------------------------------------------------


def test_nothing_twice_nothing_lost(place: Place, phone: BrowserContext) -> None:
    """The network is cut, the page closed and reopened, the server answers 500 and then is there again."""
    one, two, three, four = place.world.residents(4)
    codes = {who.id.hex: place.code(who) for who in (one, two, three, four)}
    page = phone.new_page()
    with serving(place.folder, place.port):
        open_desk(place, page)
        phone.set_offline(True)
        fill(page, codes[one.id.hex], "1")
        page.get_by_role("button", name="确认记录").dblclick(no_wait_after=True)  # tapped twice
        expect(page.get_by_text("等待发送", exact=True)).to_have_count(1)
        picture(page, "desk-offline")
        page.close()
        page = phone.new_page()
        page.goto(f"{place.base}/console/desk")  # opened again, as the installed app begins
        expect(page.get_by_text("等待发送", exact=True)).to_have_count(1)
        record(page, codes[two.id.hex], "2")
        expect(page.get_by_text("等待发送", exact=True)).to_have_count(2)
        assert place.recorded() == []
    with place.answering_500() as asked:
        phone.set_offline(False)
        page.reload()
        expect(page.get_by_role("heading", name="三宝回收点")).to_be_visible()  # the kept desk stands in
        record(page, codes[three.id.hex], "3")
        expect(page.get_by_text("等待发送", exact=True)).to_have_count(3)
        page.get_by_role("button", name="现在发送").click()
        page.wait_for_timeout(1000)
        assert asked
    assert [entry["state"] for entry in on_the_phone(page)] == ["waiting"] * 3
    record(page, codes[four.id.hex], "4")  # now nobody answers at all
    expect(page.get_by_text("等待发送", exact=True)).to_have_count(4)
    with serving(place.folder, place.port):
        page.evaluate("() => window.dispatchEvent(new Event('online'))")
        expect(page.get_by_role("link", name="看结果")).to_have_count(4, timeout=SENT_WITHIN)
        picture(page, "desk-sent")
        assert codes[one.id.hex] not in str(on_the_phone(page)), "a member's code outlived its sending"
        page.get_by_role("button", name="收起已记录的").click()
        expect(page.get_by_role("link", name="看结果")).to_have_count(0)
        assert on_the_phone(page) == []
        page.reload()
        page.wait_for_timeout(1000)
    wanted = {
        (who.id.hex, "recycle_glass", 1000 * (at + 1)) for at, who in enumerate((one, two, three, four))
    }
    assert {record[:3] for record in place.recorded()} == wanted
    assert len(place.recorded()) == 4
    assert place.world.breaches() == []


def test_a_page_that_one_comes_back_to_makes_a_record_of_its_own(place: Place, phone: BrowserContext) -> None:
    """The page that the phone kept says one key; each member gets another, and the same again is the same."""
    one, two = place.world.residents(2)
    page = phone.new_page()
    with serving(place.folder, place.port):
        open_desk(place, page)
        phone.set_offline(True)
        for count, who in ((1, one), (2, two)):
            record(page, place.code(who), "1")
            expect(page.get_by_text("等待发送", exact=True)).to_have_count(count)
            page.go_back()
        phone.set_offline(False)
        page.goto(place.desk)
        waits_until(page, ["sent", "sent"])
    assert {who for who, *_ in place.recorded()} == {one.id.hex, two.id.hex}


def test_records_land_on_the_day_they_occurred(place: Place, phone: BrowserContext) -> None:
    """Scanned yesterday, sent today: the limits of yesterday hold, and what they refuse is listed with its reason."""
    resident, full = place.world.residents(2)
    page = phone.new_page()
    with serving(place.folder, place.port):
        open_desk(place, page)
        phone.set_offline(True)
        record(page, place.code(resident), "1")
        expect(page.get_by_text("等待发送", exact=True)).to_have_count(1)
        record(page, place.code(full), "20")
        expect(page.get_by_text("等待发送", exact=True)).to_have_count(2)
        record(page, place.code(full), "20", "玻璃回收")
        expect(page.get_by_text("等待发送", exact=True)).to_have_count(3)
        a_day_ago(page)
        phone.set_offline(False)
        waits_until(page, ["refused", "sent", "sent"])
        expect(page.get_by_text("没有记录：", exact=False)).to_be_visible()
        picture(page, "desk-conflict")
    yesterday = str(clock.today() - timedelta(days=1))
    assert [day for *_, day in place.recorded()] == [yesterday] * 2
    (refused,) = (entry for entry in on_the_phone(page) if entry["state"] == "refused")
    assert refused["reason"]
    assert refused["next"]
    assert refused["fields"] == {}


def a_day_ago(page: Page) -> None:
    """Let everything that waits on the phone have been kept a day ago."""
    page.evaluate(
        "async () => { for (const entry of await queue.all())"
        " await queue.put({ ...entry, at: entry.at - 24 * 3600 * 1000 }) }"
    )


def test_an_answer_that_was_lost_is_not_a_second_record(place: Place, phone: BrowserContext) -> None:
    """The server recorded it, and the phone heard nothing: it is sent again with the time it was confirmed."""
    page = phone.new_page()
    with serving(place.folder, place.port):
        page.goto(place.desk)
        ready(page)
        record(page, place.code(place.world.resident()), "1")
        expect(page.get_by_text("已记录")).to_be_visible()
        with place.world.house.db.reading() as connection:
            stored = connection.execute(sa.text("SELECT key FROM stored_answer")).scalar()
        code = place.code(_only_resident(place))
        page.goto(place.desk)
        page.evaluate(
            "([key, path, member, staff]) => queue.keep({ key, path, label: '', staff,"
            " fields: { member, kind: 'recycle_glass', 'quantity-recycle_glass': '1' } })",
            [
                stored,
                f"/console/desk/{place.point.id}",
                code,
                page.locator("[data-staff]").get_attribute("data-staff"),
            ],
        )
        page.reload()
        waits_until(page, ["sent"])
    assert len(place.recorded()) == 1


def _only_resident(place: Place) -> Resident:
    with place.world.house.db.reading_session() as session:
        return session.exec(sa.select(Resident)).scalars().one()


# --- what a phone keeps ----------------------------------------------------------------------------------------


def test_the_desk_is_kept_for_the_session_only_and_what_waits_for_its_helper(
    place: Place, phone: BrowserContext
) -> None:
    page = phone.new_page()
    code = place.code(place.world.resident())
    with serving(place.folder, place.port):
        open_desk(place, page)
        phone.set_offline(True)
        record(page, code, "1")
        expect(page.get_by_text("等待发送", exact=True)).to_have_count(1)
        place.enter(
            phone, place.world.colleague(Role.HELPER, division=COMMUNITY)
        )  # another helper takes the phone
        phone.set_offline(False)
        page.goto(place.desk)
        expect(page.get_by_text("由另一个账号确认", exact=False)).to_be_visible()
        expect(page.get_by_text(code[-4:], exact=False)).to_have_count(0)
        page.wait_for_timeout(1000)
        assert place.recorded() == []
        page.get_by_role("button", name="退出").click()
        expect(page.get_by_role("heading", name="工作人员登录")).to_be_visible()
        wait_until(lambda: not kept_desk(page))
        phone.set_offline(True)
        page.goto(place.desk)
        expect(page.get_by_role("heading", name="没有网络")).to_be_visible()
        place.enter(phone, place.helper)
        phone.set_offline(False)  # and the page that could not be reached opens by itself
        expect(page.get_by_role("link", name="看结果")).to_be_visible(timeout=SENT_WITHIN)
    assert len(place.recorded()) == 1


def test_no_page_with_a_member_on_it_is_kept(place: Place, phone: BrowserContext) -> None:
    page = phone.new_page()
    code = place.code(place.world.resident())
    with serving(place.folder, place.port):
        open_desk(place, page)
        record(page, code, "1")
        expect(page.get_by_text("已记录")).to_be_visible()
        page.goto(place.desk)
        record(page, place.world.code_at(place.point).replace("C", "G", 1), "1")
        page.wait_for_load_state()
        kept = page.evaluate(
            "async () => { const found = []; for (const name of await caches.keys())"
            " for (const asked of await (await caches.open(name)).keys())"
            " found.push([new URL(asked.url).pathname, await (await (await caches.open(name)).match(asked)).text()]); return found }"
        )
    pages = {path: text for path, text in kept if not path.startswith("/static/")}
    assert set(pages) == {"/offline", "/waiting", "/scan", f"/console/desk/{place.point.id}"}
    assert not [path for path, text in pages.items() if code in text]
