"""Works everywhere: light on a slow network, without one, in an embedded view, with the camera in the page."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect
from sqlmodel import col, select

from activities.actions import Action
from tanpuhui.config import Settings
from tanpuhui.people import Resident
from tanpuhui.rooms import build_house
from tanpuhui.sessions import end_all, new_session
from tanpuhui.web.auth import COOKIES
from tests.journeys.conftest import (
    PHONE,
    NewPage,
    Served,
    picture,
    serving,
)
from tests.world import World

pytestmark = pytest.mark.browser

WECHAT = (
    "Mozilla/5.0 (Linux; Android 14; V2309A Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
    "Chrome/130.0.6723.103 Mobile Safari/537.36 XWEB/1300259 MMWEBSDK/20240404 MicroMessenger/8.0.49.2600"
    "(0x28003133) WeChat/arm64 Weixin NetType/4G Language/zh_CN ABI/arm64"
)
CANTEEN = "临汾社区食堂"

#: ms; a phone tries at once when the network is back, and again every ten seconds.
SENT_WITHIN = 45_000


@dataclass
class Place:
    """A served district that the test can reach into."""

    served: Served
    world: World
    before: int = 0

    @property
    def base(self) -> str:
        """Where it is served."""
        return self.served.base

    def enter(self, page: Page, who: Resident) -> None:
        """Log `who` in with the browser of `page`."""
        token = new_session(self.world.house, kind="resident", subject_id=who.id)
        page.context.add_cookies([{"name": COOKIES["resident"], "value": token, "url": self.base}])

    def recorded(self) -> list[tuple[str, Any]]:
        """Who did what: kind and resident of every action of this test."""
        with self.world.house.db.reading() as connection:
            rows = connection.execute(sa.text("SELECT kind, resident_id FROM action ORDER BY recorded_at"))
            return [(kind, who) for kind, who in rows][self.before :]


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A served district for all tests of this file."""
    folder = tmp_path_factory.mktemp("everywhere")
    with serving(folder) as served:
        house = build_house(Settings(var=folder / "var", port=urlsplit(served.base).port))
        yield Place(served, World(house))
        house.db.dispose()


@pytest.fixture
def place(district: Place) -> Place:
    """The district, as if nothing had been recorded in it yet."""
    district.before = 0
    district.before = len(district.recorded())
    return district


def ready(page: Page) -> None:
    """Wait until the service worker looks after this page."""
    state = page.evaluate(
        "() => new Promise(done => {"
        " const worker = navigator.serviceWorker;"
        " if (worker.controller) done('here');"
        " worker.addEventListener('controllerchange', () => done('here'));"
        " setTimeout(async () => { const found = await worker.getRegistration();"
        " done(found ? ['installing', 'waiting', 'active'].filter(name => found[name]).join() : 'none') }, 15000) })"
    )
    assert state == "here", f"service worker: {state}"


def go_offline(page: Page) -> None:
    """Take the network away from every tab of this browser."""
    ready(page)
    page.context.set_offline(True)


def confirm(page: Page) -> None:
    """Tap the one large button of a scan."""
    page.get_by_role("button", name="确认记录").click()


def confirm_without_network(place: Place, page: Page, who: Resident, code: str) -> None:
    """`who` confirms the scan of `code` without network; ends, still without, at what waits."""
    place.enter(page, who)
    page.goto(f"{place.base}/s/{code}")
    go_offline(page)
    confirm(page)
    expect(page.get_by_text("等待发送", exact=True)).to_be_visible()


def keep_without_network(place: Place, page: Page, who: Resident, code: str) -> None:
    """`who` opens `code` without network and keeps the scan; ends, still without, at what waits."""
    place.enter(page, who)
    page.goto(place.base)
    go_offline(page)
    page.goto(f"{place.base}/s/{code}")
    expect(page.get_by_role("heading", name="没有网络")).to_be_visible()
    picture(page, "offline-code")
    page.get_by_role("button", name="记下来").click()
    expect(page.get_by_text("等待发送", exact=True)).to_have_count(1)


def to_be_mended(place: Place, page: Page, who: Resident) -> Page:
    """`who` keeps a code scanned without network; with it, the page says what is still missing."""
    code = place.world.code("recycle_glass", "recycle_paper", name="回收点")
    keep_without_network(place, page, who, code)
    page.go_back()
    page.goto(f"{place.base}/waiting")
    page.context.set_offline(False)
    expect(page.get_by_text("请选择要记录的行为。")).to_be_visible(timeout=SENT_WITHIN)
    return page


def on_the_phone(page: Page) -> list[dict[str, Any]]:
    """What is kept on the phone of this browser."""
    entries: list[dict[str, Any]] = page.evaluate("() => queue.all()")
    return entries


def wait_until(true: Callable[[], bool], within: float = 60) -> None:
    """Wait for something that no page shows."""
    until = time.monotonic() + within
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


#: Counts how often a page asks its service worker to send, and passes the wish on or not.
COUNT_NUDGES = """window.nudges = 0;
const { postMessage } = ServiceWorker.prototype;
ServiceWorker.prototype.postMessage = function (...said) {
  window.nudges += said[0] === "send";
  if (PASS_ON) postMessage.apply(this, said);
};"""


def nudges_within(page: Page, minutes: int) -> int:
    """How often a page whose clock is installed asks for sending while it is left open."""
    before = page.evaluate("() => window.nudges")
    page.clock.run_for(minutes * 60_000)
    page.wait_for_timeout(500)
    asked: int = page.evaluate("() => window.nudges") - before
    return asked


# --- light -------------------------------------------------------------------------------------------------

#: Bytes a second and milliseconds: what Lighthouse calls slow 4G, the severe case of the two in use.
SLOW_4G = {"latency": 150, "downloadThroughput": 1_600_000 // 8, "uploadThroughput": 750_000 // 8}

LARGEST_PAINT = """() => new Promise(done => new PerformanceObserver(seen => done(seen.getEntries().at(-1).startTime))
  .observe({type: 'largest-contentful-paint', buffered: true}))"""


def first_visit(browser: Browser, base: str) -> tuple[dict[str, float], float]:
    """Open the first page as nobody ever did: bytes transferred by address, and the time of the largest paint in ms."""
    context = browser.new_context(viewport=PHONE, locale="zh-CN", is_mobile=True, device_scale_factor=2)
    page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.send("Network.emulateNetworkConditions", {"offline": False, **SLOW_4G})
    addresses: dict[str, str] = {}
    bytes_by_request: dict[str, float] = {}
    wire.on("Network.requestWillBeSent", lambda e: addresses.update({e["requestId"]: e["request"]["url"]}))
    wire.on(
        "Network.loadingFinished", lambda e: bytes_by_request.update({e["requestId"]: e["encodedDataLength"]})
    )
    page.goto(base, wait_until="networkidle")
    painted = page.evaluate(LARGEST_PAINT)
    context.close()
    assert addresses.keys() == bytes_by_request.keys(), "something was asked for and did not arrive"
    return {addresses[one]: size for one, size in bytes_by_request.items()}, painted


def test_the_first_page_is_light_and_comes_fast_on_slow_4g(place: Place, browser: Browser) -> None:
    visits = [first_visit(browser, place.base) for _ in range(3)]
    for transferred, _ in visits:
        assert len(transferred) >= 3
        assert len(transferred) <= 10, sorted(transferred)
        assert sum(transferred.values()) < 100_000, transferred
        assert {urlsplit(address).netloc for address in transferred} == {urlsplit(place.base).netloc}
    assert min(painted for _, painted in visits) < 1500, [painted for _, painted in visits]


def test_what_was_transferred_once_is_not_transferred_again(place: Place, new_page: NewPage) -> None:
    page = new_page(PHONE)
    page.goto(place.base, wait_until="networkidle")
    asked: list[str] = []
    page.on("response", lambda answer: asked.append(answer.url) if not answer.from_service_worker else None)
    page.goto(f"{place.base}/login")
    fetched = [
        timing
        for timing in page.evaluate(
            "() => performance.getEntriesByType('resource').map(e => [e.name, e.transferSize])"
        )
        if "/static/" in timing[0] and timing[1] > 0
    ]
    assert asked
    assert fetched == []


def test_nothing_is_kept_on_the_phone_of_a_mere_visitor(place: Place, new_page: NewPage) -> None:
    page = new_page(PHONE)
    page.goto(place.base)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("() => navigator.serviceWorker.getRegistrations().then(all => all.length)") == 0
    assert page.evaluate("() => [localStorage.length, caches.keys().then(all => all.length)][0]") == 0
    assert page.evaluate("() => indexedDB.databases().then(all => all.length)") == 0


# --- the scanner -------------------------------------------------------------------------------------------


def test_without_a_camera_the_page_says_so_and_takes_the_short_code(place: Place, new_page: NewPage) -> None:
    code = place.world.code("clean_plate", name=CANTEEN)
    page = new_page(PHONE)
    page.goto(f"{place.base}/scan")
    refusals = page.get_by_text(re.compile("相机打不开|没有得到使用相机的许可"))
    expect(refusals.filter(visible=True)).to_have_count(1)
    expect(page.get_by_role("button", name="再试一次")).to_be_visible()
    picture(page, "scan-no-camera")
    page.fill("[name=code]", "-".join(re.findall("....", code)).lower())
    page.get_by_role("button", name="打开").click()
    expect(page.get_by_role("heading", name=CANTEEN)).to_be_visible()


def test_without_javascript_the_scan_page_is_the_short_code(place: Place, new_page: NewPage) -> None:
    code = place.world.code("clean_plate", name=CANTEEN)
    page = new_page(PHONE, java_script_enabled=False)
    page.goto(f"{place.base}/scan")
    expect(page.locator("video")).to_be_hidden()
    page.fill("[name=code]", code)
    page.get_by_role("button", name="打开").click()
    expect(page.get_by_role("heading", name=CANTEEN)).to_be_visible()


# --- without network ---------------------------------------------------------------------------------------


def test_a_scan_confirmed_without_network_waits_and_is_credited_once(place: Place, new_page: NewPage) -> None:
    resident = place.world.resident()
    page = new_page(PHONE)
    place.enter(page, resident)
    page.goto(f"{place.base}/s/{place.world.code('clean_plate', name=CANTEEN)}")
    go_offline(page)
    confirm(page)
    expect(page.get_by_text("等待发送", exact=True)).to_be_visible()
    expect(page.get_by_text(f"光盘行动 · {CANTEEN}")).to_be_visible()
    picture(page, "waiting")
    assert place.recorded() == []

    page.context.set_offline(False)
    expect(page.get_by_role("link", name="看结果")).to_be_visible(timeout=SENT_WITHIN)
    assert place.recorded() == [("clean_plate", resident.id.hex)]
    page.get_by_role("link", name="看结果").click()
    expect(page.get_by_text("144", exact=False).first).to_be_visible()
    expect(page.get_by_role("link", name="离线时的记录已有结果")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="知道了").click()
    expect(page.get_by_text("没有等待发送的记录。")).to_be_visible()
    assert place.world.breaches() == []


def test_it_counts_for_the_moment_it_was_confirmed(place: Place, new_page: NewPage) -> None:
    page = new_page(PHONE)
    place.enter(page, place.world.resident())
    page.goto(f"{place.base}/s/{place.world.code('clean_plate')}")
    go_offline(page)
    before = time.time()
    confirm(page)
    expect(page.get_by_text("等待发送", exact=True)).to_be_visible()
    after = time.time()
    time.sleep(3)
    page.context.set_offline(False)
    expect(page.get_by_role("link", name="看结果")).to_be_visible(timeout=SENT_WITHIN)
    with place.world.house.db.reading_session() as session:
        action = session.exec(select(Action).order_by(col(Action.recorded_at).desc())).first()
        assert action is not None
        assert before - 1 < action.occurred_at.timestamp() < after + 1
        assert action.recorded_at.timestamp() - action.occurred_at.timestamp() > 2


def test_tapping_twice_without_network_is_one_scan(place: Place, new_page: NewPage) -> None:
    page = new_page(PHONE)
    place.enter(page, place.world.resident())
    page.goto(f"{place.base}/s/{place.world.code('clean_plate')}")
    go_offline(page)
    page.get_by_role("button", name="确认记录").dblclick(no_wait_after=True)
    expect(page.get_by_text("等待发送", exact=True)).to_have_count(1)
    page.go_back()
    expect(page.get_by_text("等待发送", exact=True)).to_have_count(1)
    page.context.set_offline(False)
    expect(page.get_by_role("link", name="看结果")).to_have_count(1, timeout=SENT_WITHIN)
    assert len(place.recorded()) == 1


@pytest.mark.parametrize("same_key", [True, False], ids=["one page twice", "two pages"])
def test_two_tabs_credit_it_once(place: Place, new_page: NewPage, same_key: bool) -> None:
    """With two keys there are two confirmations; the canteen credits one meal, and the other is told why not."""
    one = new_page(PHONE)
    place.enter(one, place.world.resident())
    code = f"{place.base}/s/{place.world.code('clean_plate')}"
    one.goto(code)
    other = one.context.new_page()
    other.goto(one.url if same_key else code)
    go_offline(one)
    ready(other)
    confirm(one)
    confirm(other)
    for tab in (one, other):
        expect(tab.get_by_text("等待发送", exact=True)).to_have_count(1 if same_key else 2)
    one.context.set_offline(False)
    for tab in (one, other):
        expect(tab.get_by_role("link", name="看结果")).to_have_count(1, timeout=SENT_WITHIN)
        expect(tab.get_by_text("时间太近", exact=False)).to_have_count(0 if same_key else 1)
    assert len(place.recorded()) == 1


def test_an_answer_that_was_lost_on_the_way_is_not_a_second_scan(place: Place, new_page: NewPage) -> None:
    """The server has the confirmation, but the phone hears nothing for longer than it waits, and sends it again."""
    page = new_page(PHONE)
    place.enter(page, place.world.resident())
    page.goto(f"{place.base}/s/{place.world.code('clean_plate')}")
    ready(page)
    page.wait_for_load_state("networkidle")
    place.served.process.send_signal(signal.SIGSTOP)
    try:
        page.get_by_role("button", name="确认记录").click(no_wait_after=True)
        time.sleep(16)
    finally:
        place.served.process.send_signal(signal.SIGCONT)
    page.wait_for_url("**/waiting")
    expect(page.get_by_role("link", name="看结果")).to_have_count(1, timeout=SENT_WITHIN)
    assert len(place.recorded()) == 1


def test_a_code_scanned_without_network_is_kept_and_finished_later(place: Place, new_page: NewPage) -> None:
    page = to_be_mended(place, new_page(PHONE), place.world.resident())
    picture(page, "waiting-mend")
    assert place.recorded() == []
    page.get_by_role("link", name="补充并提交").click()
    page.get_by_text("玻璃").first.click()
    expect(page.get_by_text("按您扫码的时间记录", exact=False)).to_be_visible()
    page.fill("[name=quantity]", "2")
    confirm(page)
    expect(page.get_by_text("已记录")).to_be_visible()
    assert [kind for kind, _ in place.recorded()] == ["recycle_glass"]
    expect(page.get_by_text("离线时的记录已有结果")).to_be_hidden()
    page.goto(f"{place.base}/waiting")
    expect(page.get_by_text("没有等待发送的记录。")).to_be_visible()


def test_what_was_mended_without_network_counts_for_its_first_moment(place: Place, new_page: NewPage) -> None:
    page = to_be_mended(place, new_page(PHONE), place.world.resident())
    (entry,) = on_the_phone(page)
    page.get_by_role("link", name="补充并提交").click()
    page.get_by_text("玻璃").first.click()
    page.fill("[name=quantity]", "2")
    time.sleep(3)
    go_offline(page)
    confirm(page)
    expect(page.get_by_text("等待发送", exact=True)).to_have_count(1)
    page.context.set_offline(False)
    expect(page.get_by_role("link", name="看结果")).to_be_visible(timeout=SENT_WITHIN)
    with place.world.house.db.reading_session() as session:
        action = session.exec(select(Action).order_by(col(Action.recorded_at).desc())).first()
        assert action is not None
        assert action.occurred_at == datetime.fromisoformat(entry["occurred_at"])
        assert action.recorded_at.timestamp() - action.occurred_at.timestamp() > 2


def test_what_is_mended_after_the_session_ended_waits_for_the_log_in(place: Place, new_page: NewPage) -> None:
    """The confirmation leads to the log-in, which records nothing: it still has to be mended."""
    resident = place.world.resident()
    page = to_be_mended(place, new_page(PHONE), resident)
    page.get_by_role("link", name="补充并提交").click()
    page.get_by_text("玻璃").first.click()
    page.fill("[name=quantity]", "2")
    end_all(place.world.house, "resident", resident.id)
    confirm(page)
    expect(page.locator("[name=phone]")).to_be_visible()
    page.wait_for_timeout(1000)
    assert [entry["state"] for entry in on_the_phone(page)] == ["mend"]
    assert place.recorded() == []


def test_a_refusal_is_shown_with_its_reason(place: Place, new_page: NewPage) -> None:
    resident = place.world.resident()
    code = place.world.code("clean_plate")
    page = new_page(PHONE)
    place.enter(page, resident)
    page.goto(f"{place.base}/s/{code}")
    go_offline(page)
    confirm(page)
    expect(page.get_by_text("等待发送", exact=True)).to_be_visible()
    place.world.scan(resident, code)  # meanwhile, with another phone
    page.context.set_offline(False)
    expect(page.get_by_text("时间太近", exact=False)).to_be_visible(timeout=SENT_WITHIN)
    expect(page.get_by_text("稍后再扫一次即可。")).to_be_visible()
    picture(page, "waiting-refused")
    assert len(place.recorded()) == 1


def test_after_the_session_ended_it_waits_for_the_log_in(place: Place, new_page: NewPage) -> None:
    resident = place.world.resident()
    page = new_page(PHONE)
    place.enter(page, resident)
    page.goto(f"{place.base}/s/{place.world.code('clean_plate', name=CANTEEN)}")
    go_offline(page)
    confirm(page)
    expect(page.get_by_text("等待发送", exact=True)).to_be_visible()
    end_all(place.world.house, "resident", resident.id)
    page.context.clear_cookies()  # the token of the form is gone as well
    page.context.set_offline(False)
    expect(page.get_by_text("重新登录后，等待的记录会自动发送。", exact=False)).to_be_visible(
        timeout=SENT_WITHIN
    )
    assert place.recorded() == []
    place.enter(page, resident)
    page.goto(place.base)
    page.goto(f"{place.base}/waiting")
    expect(page.get_by_role("link", name="看结果")).to_be_visible(timeout=SENT_WITHIN)
    assert place.recorded() == [("clean_plate", resident.id.hex)]


def test_another_resident_on_the_phone_is_not_credited(place: Place, new_page: NewPage) -> None:
    first, second = place.world.residents(2)
    page = new_page(PHONE)
    place.enter(page, first)
    page.goto(f"{place.base}/s/{place.world.code('clean_plate', name=CANTEEN)}")
    go_offline(page)
    confirm(page)
    expect(page.get_by_text("等待发送", exact=True)).to_be_visible()
    place.enter(page, second)
    page.context.set_offline(False)
    page.goto(place.base)
    page.goto(f"{place.base}/waiting")
    expect(page.get_by_text("由另一个账号确认", exact=False)).to_be_visible()
    expect(page.get_by_text(CANTEEN, exact=False)).to_have_count(0)
    picture(page, "waiting-other")
    expect(page.get_by_role("button", name="现在发送")).to_be_hidden()
    page.reload()
    page.wait_for_timeout(1000)
    assert place.recorded() == []
    place.enter(page, first)
    page.goto(place.base)
    page.goto(f"{place.base}/waiting")
    expect(page.get_by_role("link", name="看结果")).to_be_visible(timeout=SENT_WITHIN)
    assert place.recorded() == [("clean_plate", first.id.hex)]


def test_leaving_takes_only_ones_own_scans_from_a_shared_phone(place: Place, new_page: NewPage) -> None:
    first, second = place.world.residents(2)
    code, other_code = place.world.code("clean_plate"), place.world.code("clean_plate")
    page = new_page(PHONE)
    confirm_without_network(place, page, second, code)
    page.context.set_offline(False)
    expect(page.get_by_role("link", name="看结果")).to_be_visible(timeout=SENT_WITHIN)
    confirm_without_network(place, page, first, other_code)
    place.enter(page, second)
    page.context.set_offline(False)
    page.goto(f"{place.base}/me/leave")
    assert sorted(entry["state"] for entry in on_the_phone(page)) == ["sent", "waiting"]
    page.get_by_role("button", name="确认注销并删除").click()
    expect(page.get_by_role("heading", name="账户已注销")).to_be_visible()
    wait_until(lambda: [entry["state"] for entry in on_the_phone(page)] == ["waiting"])
    assert page.evaluate("() => localStorage.getItem('resident')") is None
    place.enter(page, first)
    page.goto(place.base)
    page.goto(f"{place.base}/waiting")
    expect(page.get_by_role("link", name="看结果")).to_be_visible(timeout=SENT_WITHIN)
    assert [who for _, who in place.recorded()] == [second.id.hex, first.id.hex]


def test_the_page_of_leaving_takes_nothing_from_who_has_not_left(place: Place, new_page: NewPage) -> None:
    resident = place.world.resident()
    page = new_page(PHONE)
    confirm_without_network(place, page, resident, place.world.code("clean_plate"))
    end_all(place.world.house, "resident", resident.id)
    page.context.set_offline(False)
    page.goto(f"{place.base}/left")
    expect(page.get_by_role("heading", name="账户已注销")).to_be_visible()
    page.wait_for_timeout(1000)
    page.goto(place.base)
    assert len(on_the_phone(page)) == 1
    place.enter(page, resident)
    page.goto(place.base)
    page.goto(f"{place.base}/waiting")
    expect(page.get_by_role("link", name="看结果")).to_be_visible(timeout=SENT_WITHIN)
    assert place.recorded() == [("clean_plate", resident.id.hex)]


def test_what_waits_for_another_account_asks_for_nothing_meanwhile(place: Place, new_page: NewPage) -> None:
    first, second = place.world.residents(2)
    page = new_page(PHONE)
    page.clock.install()
    page.add_init_script(COUNT_NUDGES.replace("PASS_ON", "true"))
    confirm_without_network(place, page, first, place.world.code("clean_plate"))
    place.enter(page, second)
    page.context.set_offline(False)
    page.goto(place.base)
    expect(page.get_by_text("有记录等待发送")).to_be_visible()
    wait_until(lambda: [entry["held"] for entry in on_the_phone(page)] == ["other"])
    page.wait_for_timeout(500)  # for the page to hear of it
    assert nudges_within(page, minutes=30) == 0
    before = page.evaluate("() => window.nudges")
    page.evaluate("() => window.dispatchEvent(new Event('online'))")
    wait_until(lambda: page.evaluate("() => window.nudges") > before)


def test_what_cannot_be_sent_is_tried_ever_more_seldom(place: Place, new_page: NewPage) -> None:
    """Here no try gets through: after 10 s it is tried again, then after 20 s, and so on up to every five minutes."""
    page = new_page(PHONE)
    page.clock.install()
    page.add_init_script(COUNT_NUDGES.replace("PASS_ON", "false"))
    keep_without_network(place, page, place.world.resident(), place.world.code("clean_plate"))
    page.context.set_offline(False)
    wait_until(lambda: page.evaluate("() => navigator.onLine"))
    page.wait_for_timeout(500)
    assert nudges_within(page, minutes=1) == 2
    assert nudges_within(page, minutes=9) == 3
    assert 5 <= nudges_within(page, minutes=30) <= 6
    assert place.recorded() == []


def test_a_page_that_cannot_be_reached_opens_by_itself_when_the_network_is_back(
    place: Place, new_page: NewPage
) -> None:
    page = new_page(PHONE)
    place.enter(page, place.world.resident())
    page.goto(place.base)
    go_offline(page)
    page.goto(f"{place.base}/me/statement")
    expect(page.get_by_role("heading", name="没有网络")).to_be_visible()
    picture(page, "offline")
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="没有网络")).to_have_count(0, timeout=SENT_WITHIN)
    assert page.url == f"{place.base}/me/statement"


def test_the_offline_page_speaks_the_language_that_was_chosen(place: Place, new_page: NewPage) -> None:
    page = new_page(PHONE)
    place.enter(page, place.world.resident())
    page.goto(place.base)
    ready(page)
    page.goto(f"{place.base}/language/en")
    page.wait_for_timeout(2500)
    go_offline(page)
    page.goto(f"{place.base}/me")
    assert page.locator("html").get_attribute("lang") == "en"


def test_only_pages_alike_for_everybody_are_kept(place: Place, new_page: NewPage) -> None:
    page = new_page(PHONE)
    place.enter(page, place.world.resident())
    for path in ("/", "/me", "/me/statement", "/rewards", "/scan"):
        page.goto(place.base + path)
        ready(page)
    kept = page.evaluate(
        "async () => { const found = []; for (const name of await caches.keys())"
        " for (const asked of await (await caches.open(name)).keys()) found.push(new URL(asked.url).pathname); return found }"
    )
    assert {path for path in kept if not path.startswith("/static/")} == {"/offline", "/waiting", "/scan"}
    page.goto(f"{place.base}/scan")
    assert page.locator("nav.tabs").count() == 0


# --- embedded views ----------------------------------------------------------------------------------------


def test_in_an_embedded_view_without_javascript_a_scan_is_confirmed(place: Place, new_page: NewPage) -> None:
    """WeChat's view: its user agent, no script, no service worker, nothing of another site, no window but one."""
    page = new_page(
        PHONE, user_agent=WECHAT, java_script_enabled=False, service_workers="block", is_mobile=True
    )
    hosts: set[str] = set()
    page.on("request", lambda asked: hosts.add(urlsplit(asked.url).netloc))
    page.goto(f"{place.base}/s/{place.world.code('clean_plate', name=CANTEEN)}")
    page.get_by_role("button", name="登录并记录").click()
    expect(page.locator("[name=phone]")).to_be_visible()
    place.enter(page, place.world.resident())
    page.go_back()
    page.reload()
    confirm(page)
    expect(page.get_by_text("已记录")).to_be_visible()
    assert len(place.recorded()) == 1
    assert len(page.context.pages) == 1
    assert hosts == {urlsplit(place.base).netloc}
    for cookie in page.context.cookies():
        assert cookie["sameSite"] == "Lax", cookie["name"]
        assert cookie["domain"] == urlsplit(place.base).hostname


def test_with_javascript_and_no_service_worker_a_scan_is_confirmed(place: Place, new_page: NewPage) -> None:
    page = new_page(PHONE, user_agent=WECHAT, service_workers="block")
    page.add_init_script("delete Navigator.prototype.serviceWorker")
    place.enter(page, place.world.resident())
    page.goto(f"{place.base}/s/{place.world.code('clean_plate')}")
    confirm(page)
    expect(page.get_by_text("已记录")).to_be_visible()
    page.goto(f"{place.base}/waiting")
    expect(page.get_by_text("没有等待发送的记录。")).to_be_visible()
    assert len(place.recorded()) == 1
