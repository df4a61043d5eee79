"""Every page there is, in both languages, light, dark and elder: found by following links, then looked at in Chromium."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tanpuhui.web import create_app
from tanpuhui.web.views import VIEW_COOKIE
from tests.journeys.conftest import DESK, PATIENCE, PHONE
from tests.journeys.district import District, PageHere, Who, demo_district
from tests.journeys.words import names_of, slips

pytestmark = pytest.mark.browser

AXE = (Path(__file__).parents[1] / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")

#: Rules of axe about what a style sheet decides. In the dark a page has other colours, in the largest elder view also
#: other sizes: all else of it is what was looked at in the light, and in the elder view.
COLOURS = ["color-contrast", "link-in-text-block"]
SIZES = ["scrollable-region-focusable"]

#: Every look, and the rules of axe (all of them, if none is named).
LOOKS: list[Any] = [
    pytest.param({}, None, id="zh"),
    pytest.param({"language": "en"}, None, id="en"),
    pytest.param({"scheme": "dark"}, COLOURS, id="zh-dark"),
    pytest.param({"language": "en", "scheme": "dark"}, COLOURS, id="en-dark"),
    pytest.param({"view": "elder"}, None, id="zh-elder"),
    pytest.param({"language": "en", "view": "elder"}, None, id="en-elder"),
    pytest.param({"view": "elder-large"}, COLOURS + SIZES, id="zh-elder-large"),
]

#: Answers to GET without a page of their own, by endpoint.
NO_PAGE = re.compile(
    r"(static|language|desk|logout|csv|pdf|png|poster|sheet|export|download|manifest|worker|openapi|healthz|readyz|metrics"
    r"|-api\.|change_|operations|offline\.state|too_many|screen_now|photos\.|offers\.picture|trail\.(heads|script)|evidence\.file|draws\.(record|script))"
)


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    """A week of demo data, served."""
    with demo_district(tmp_path_factory.mktemp("every-page")) as found:
        yield found


def look_at(
    browser: Browser,
    district: District,
    who: Who,
    *,
    language: str = "zh",
    scheme: Any = "light",
    view: str = "standard",
) -> BrowserContext:
    """A browser of `who`, on a phone unless it is staff's."""
    context = browser.new_context(
        viewport=DESK if who == "staff" else PHONE,
        locale="en-GB" if language == "en" else "zh-CN",
        color_scheme=scheme,
        reduced_motion="reduce",
        bypass_csp=True,  # for axe, which is in the page
    )
    context.set_default_timeout(PATIENCE)
    context.add_init_script(AXE)  # at once with the page: to send it into each takes longer than to open it
    context.add_cookies([*district.cookies(who), {"name": VIEW_COOKIE, "value": view, "url": district.base}])  # type: ignore[list-item]
    return context


def each_page(
    browser: Browser, district: District, *, among: Collection[PageHere] = (), **look: Any
) -> Iterator[tuple[PageHere, Page]]:
    """Every page (of those `among` which to look, if any), opened with a look."""
    for who in ("visitor", "resident", "staff"):
        if who == "staff" and look.get("view", "standard") != "standard":
            continue  # the elder view is the residents'
        context = look_at(browser, district, who, **look)
        page = context.new_page()
        for here in among or district.pages:
            of_staff = here.endpoint.startswith("staff.")
            if here.who == who and not (of_staff and look.get("view", "standard") != "standard"):
                page.goto(district.base + here.path, wait_until="load")
                yield here, page
        context.close()


def test_the_list_holds_every_page(district: District) -> None:
    """A page that no link leads to would be looked at by nobody, here or in life."""
    app = create_app(district.house, testing=True)
    pages = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.methods and "GET" in rule.methods and not NO_PAGE.search(rule.endpoint)
    }
    assert pages - {here.endpoint for here in district.pages} - MADE_MEANWHILE == set(NOT_IN_THE_DEMO)


#: Pages of what a worker makes by itself, perhaps while the links are followed.
MADE_MEANWHILE = {"period_reports.one"}


#: Pages that demo data does not lead to; journeys of their own look at them.
NOT_IN_THE_DEMO = (
    "activities.typed_code",
    "classes.enter",
    "declarations.one",
    "declarations.records",
    "factor_forms.edit",
    "hand_over.one",
    "honours.invitation",
    "gatherings.here",
    "family.join",
    "identities.linking",
    "pages.join",
    "pages.left",
    "pages.login_code",
    "reviews.one",
    "signals.voided",
    "traced.action",
    "traced_people.here",
    "tracing.events",
    "views.what_was_typed",
)


MEASURE = """() => {
  const shown = e => { const r = e.getBoundingClientRect(), s = getComputedStyle(e);
    return r.width > 2 && r.height > 2 && s.visibility !== 'hidden' && !e.closest('.hidden, .skip, svg') };
  const wrong = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), e = walker.currentNode.parentElement;
    if (!text || !shown(e) || ['SCRIPT', 'STYLE', 'SUB', 'SUP', 'OPTION'].includes(e.tagName)) continue;
    const s = getComputedStyle(e), size = parseFloat(s.fontSize), line = parseFloat(s.lineHeight);
    if (size < 18) wrong.push(`text of ${size}px: ${text.slice(0, 30)}`);
    if (line < 1.3 * size - 0.1) wrong.push(`line of ${line}px at ${size}px: ${text.slice(0, 30)}`);
  }
  for (const e of document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea, summary')) {
    if (!shown(e)) continue;
    const box = (e.closest('label.choice') || e).getBoundingClientRect();
    if (box.height < 59.5 || box.width < 43.5) wrong.push(`target of ${Math.round(box.width)}x${Math.round(box.height)}: ${e.outerHTML.slice(0, 90)}`);
  }
  return wrong }"""


def _wrong(page: Page, view: str, rules: list[str] | None) -> Iterator[str]:
    """What is wrong with a page: axe's violations, and what overflows; in the elder views also sizes, and a missing number for help."""
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    for violation in page.evaluate("async options => (await axe.run(document, options)).violations", options):
        nodes = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
        yield f"{violation['id']}: {nodes}"
    width, room = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    if width > room:
        yield f"{width} px wide on {room}"
    if view != "standard":
        yield from page.evaluate(MEASURE)
        if not page.locator("a[href^='tel:']").count():
            yield "no number for help"


@pytest.mark.parametrize(("look", "rules"), LOOKS)
def test_every_page_can_be_used_by_everybody(
    browser: Browser, district: District, look: dict[str, str], rules: list[str] | None
) -> None:
    """Axe finds nothing and nothing overflows. The elder views have text of 18 px or more, lines of 1.3 or more,
    targets of 60 px or more, and the number for help."""
    wrong = [
        f"{here.path} ({here.who}): {what}"
        for here, page in each_page(browser, district, **look)
        for what in _wrong(page, look.get("view", "standard"), rules)
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_wrong_with_a_page_is_found(browser: Browser) -> None:
    """The negative control, whichever rules are looked at."""
    page = browser.new_page(viewport=PHONE)
    page.set_content(
        '<html lang="zh"><title>页</title><h1 style="width: 500px">页</h1><p style="color: #ccc">看不清的字</p><img src="/">'
    )
    page.evaluate(AXE)
    found = "\n".join(_wrong(page, "elder", None))
    for word in ("image-alt", "color-contrast", "px wide on 390", "text of 16px", "no number for help"):
        assert word in found
    assert "color-contrast" in "\n".join(_wrong(page, "standard", COLOURS))
    page.close()


def test_the_elder_view_is_one_tap_from_every_page_and_stays(browser: Browser, district: District) -> None:
    context = look_at(browser, district, "visitor")
    page = context.new_page()
    page.goto(f"{district.base}/factors")
    page.get_by_role("link", name="关怀版", exact=True).click()
    assert page.url == f"{district.base}/factors"
    assert page.locator("html").get_attribute("data-view") == "elder"
    page.goto(f"{district.base}/login")
    assert page.locator("html").get_attribute("data-view") == "elder"
    page.get_by_role("link", name="普通版").click()
    assert page.locator("html").get_attribute("data-view") == "standard"
    context.close()
    for here, page in each_page(browser, district):
        if here.who != "staff" and not here.endpoint.startswith("staff."):
            assert page.get_by_role("link", name="关怀版", exact=True).is_visible(), here.path


def test_a_phone_at_200_percent_needs_no_sideways_scrolling(browser: Browser, district: District) -> None:
    wrong = []
    for who in ("visitor", "resident"):
        context = look_at(browser, district, who)
        page = context.new_page()
        page.set_viewport_size({"width": 195, "height": 422})
        for here in district.pages:
            if here.who == who:
                page.goto(district.base + here.path)
                width = page.evaluate("document.documentElement.scrollWidth")
                if width > 195:
                    wrong.append(f"{here.path}: {width} px")
        context.close()
    assert not wrong, "\n".join(wrong)


def test_everything_is_reached_by_keyboard_and_the_focus_is_seen(
    browser: Browser, district: District
) -> None:
    """Tab goes through every link, button and field of a page, in an order, each with a visible outline."""
    firsts = {here.endpoint: here for here in reversed(district.pages)}
    for here, page in each_page(browser, district, among=firsts.values()):
        _go_through_by_keyboard(here, page)
    for here, page in each_page(browser, district, among=[firsts["views.style"]], scheme="dark"):
        _go_through_by_keyboard(here, page)


def _go_through_by_keyboard(here: PageHere, page: Page) -> None:
    wanted = page.evaluate(
        "() => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex=\"0\"]')]"
        '.filter(e => e.checkVisibility() && e.getClientRects().length && !(e.type === \'radio\' && e !== (document.querySelector(`[name="${e.name}"]:checked`) ?? document.querySelector(`[name="${e.name}"]`)))).length'
    )
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(3 * wanted + 20):  # a field for a day and a time has several stops
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "() => { const e = document.activeElement; if (!e || e === document.body) return null;"
            " e.dataset.at ??= String(document.querySelectorAll('[data-at]').length);"
            " const s = getComputedStyle(e); return [e.dataset.at, s.outlineStyle, parseFloat(s.outlineWidth)] }"
        )
        if outline is None:
            continue
        reached.add(outline[0])
        assert outline[1] != "none", (here.path, outline)
        assert outline[2] >= 2, (here.path, outline)
        if len(reached) == wanted:
            break
    assert len(reached) >= wanted - 1, (here.path, len(reached), wanted)


def test_no_page_is_half_translated(district: District) -> None:
    """Names of places, people and documents stay as they are; all else is in the page's language, and set as it is."""
    app, names = create_app(district.house, testing=True), names_of(district.house)
    wrong = []
    for language in ("zh", "en"):
        for who in ("visitor", "resident", "staff"):
            client = app.test_client()
            for cookie in district.cookies(who):
                client.set_cookie(cookie["name"], cookie["value"])
            for here in district.pages:
                if here.who == who:
                    page = client.get(here.path, headers={"Accept-Language": language, "Accept": "text/html"})
                    wrong += [f"{here.path} ({language}): {words}" for words in slips(page.text, names)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "page",
    [
        '<html lang="en"><p>Home <b>首页</b></p>',
        '<html lang="en"><img alt="碳">',
        '<html lang="en"><p>grams of CO2e</p>',
        '<html lang="zh-Hans"><p>Nothing here</p>',
        '<html lang="zh-Hans"><p>好,谢谢</p>',
        '<html lang="zh-Hans"><p>他说"好"</p>',
        '<html lang="zh-Hans"><a aria-label="go back now">回</a>',
    ],
)
def test_a_slip_of_the_tongue_is_found(page: str) -> None:
    assert slips(page, [])
    assert not slips('<html lang="en"><a lang="zh-Hans">中文</a> 临汾路街道</html>', ["临汾路街道"])


def test_paper_is_white_without_what_only_a_screen_can_do(browser: Browser, district: District) -> None:
    """Also for who reads in the dark."""
    paper = {"rewards.statement", "trees.certificate", "factors.version", "synergy.indicators"}
    among = [here for here in district.pages if here.endpoint in paper]
    assert {here.endpoint for here in among} == paper
    for here, page in each_page(browser, district, among=among, scheme="dark"):
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        for gone in ("nav:visible", "button:visible", ".foot:visible", ".tool:visible", "a.step:visible"):
            assert page.locator(gone).count() == 0, (here.path, gone)
        assert page.locator("h1:visible").count() == 1


def test_nothing_moves_for_those_who_ask_for_stillness(browser: Browser, district: District) -> None:
    context = browser.new_context(viewport=PHONE, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{district.base}/style")
    moving = page.evaluate(
        "() => [...document.querySelectorAll('*')].filter(e => { const s = getComputedStyle(e);"
        " return s.animationName !== 'none' || parseFloat(s.transitionDuration) > 0 }).length"
    )
    assert moving == 0
    context.close()
