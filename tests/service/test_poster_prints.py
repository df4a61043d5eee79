"""Posters for many sites: checked first, made in the background, whole or not at all."""

import io
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pypdfium2
import pytest
import sqlalchemy as sa
import zxingcpp
from sqlmodel import SQLModel

from activities import codes, poster_prints
from activities.poster_prints import LEFT_ALONE, PosterPrint
from activities.sites import Site
from tanpuhui import clock, pdf
from tanpuhui.errors import InvalidField
from tanpuhui.staff import Organisation, Role
from tests.browser import Browser, browser
from tests.threads import at_once
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

TABLE = SQLModel.metadata.tables["poster_print"]


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("posters-"):
            thread.join()


def sites_with_codes(world: World, count: int, **more: Any) -> list[Site]:
    made = []
    for number in range(count):
        site = world.site("clean_plate", "own_cup", name=f"第{number + 1}食堂", **more)
        codes.issue_code(world.house, world.organiser, site.id)
        made.append(site)
    return made


def finished(me: Browser) -> str:
    """The page of the order that `me` looks at, once there is no more to wait for."""
    until = time.monotonic() + 60
    while 'http-equiv="refresh"' in me.page.text:
        assert time.monotonic() < until
        time.sleep(0.05)
        me.get(me.path)
    return str(me.page.text)


def read(me: Browser) -> tuple[int, list[str], list[str]]:
    """Pages, codes and words of the file."""
    answer = me.client.get(f"{me.path}.pdf")
    assert answer.mimetype == "application/pdf"
    with pypdfium2.PdfDocument(io.BytesIO(answer.get_data())) as document:
        pages = list(document)
        found = [
            code.text for page in pages for code in zxingcpp.read_barcodes(page.render(scale=3).to_pil())
        ]
        return len(pages), found, ["".join(page.get_textpage().get_text_bounded().split()) for page in pages]


def addresses(world: World, sites: Sequence[Site]) -> list[str]:
    with world.house.db.reading_session() as session:
        numbers = [codes.codes_of(session, site.id)[0].id for site in sites]
    settings = world.house.settings
    return [codes.address_of(settings, codes.token_of(settings, number)) for number in numbers]


@pytest.mark.parametrize(
    ("paper", "pages", "size"), [("A4", 3, 595.28), ("A5", 3, 420.93), ("50mm", 1, 595.28)]
)
def test_all_sites_of_ones_scope_in_one_file(world: World, paper: str, pages: int, size: float) -> None:
    sites = sites_with_codes(world, 3)
    me = browser(world, world.organiser)
    me.get("/console")
    assert "/console/posters" in me.page.text
    me.get("/console/posters")
    me.send("/console/posters", which="all", paper=paper, campaign="running")
    assert "3 张海报好了" in finished(me)
    count, found, words = read(me)
    assert count == pages
    assert sorted(found) == sorted(addresses(world, sites))
    for site in sites:
        assert any(site.name in text for text in words)
    assert all(said in words[0] for said in ("光盘行动", "自带杯", "会员卡"))
    with pypdfium2.PdfDocument(io.BytesIO(me.client.get(f"{me.path}.pdf").get_data())) as document:
        assert document[0].get_size()[0] == pytest.approx(size, abs=0.1)


def test_sites_are_chosen_by_kind_or_ticked(world: World) -> None:
    canteens = sites_with_codes(world, 2)
    bins = sites_with_codes(world, 1, kind="clothes_bin")
    me = browser(world, world.organiser)
    for choice, wanted in (
        ({"which": "kinds", "site_kinds": "clothes_bin"}, bins),
        ({"which": "ticked", "site_ids": str(canteens[1].id)}, [canteens[1]]),
    ):
        me.get("/console/posters")
        me.send("/console/posters", paper="A5", campaign="none", **choice)
        finished(me)
        assert sorted(read(me)[1]) == sorted(addresses(world, wanted))


def test_the_campaign_stands_on_the_posters_of_its_sites_alone(world: World) -> None:
    inside, outside = sites_with_codes(world, 2)
    world.campaign(inside)
    now = clock.now()
    coming = world.campaign_in(
        outside, title="下月光盘周", starts_at=now + timedelta(days=3), ends_at=now + timedelta(days=9)
    )
    coming_id = str(world.launch(coming).id)
    me = browser(world, world.organiser)
    said = {}
    for campaign in ("running", "none", coming_id):
        me.get("/console/posters")
        me.send("/console/posters", which="all", paper="A4", campaign=campaign)
        finished(me)
        words = read(me)[2]
        said[campaign] = [next(text for text in words if site.name in text) for site in (inside, outside)]
    assert ["测试活动" in text for text in said["running"]] == [True, False]
    assert not any("测试活动" in text or "下月光盘周" in text for text in said["none"])
    assert ["下月光盘周" in text for text in said[coming_id]] == [False, True]


def test_sites_with_a_problem_are_listed_and_nothing_is_printed(world: World) -> None:
    good, strange, bare = *sites_with_codes(world, 2), world.site("own_cup", name="没有码的食堂")
    _rename(world, strange, "快乐食堂\N{GRINNING FACE}")
    me = browser(world, world.organiser)
    me.get("/console/posters")
    me.send("/console/posters", which="all", paper="A4", campaign="running")
    page = finished(me)
    for said in (
        "3 个点位里有 2 个有问题",
        "没有使用中的码",
        "\N{GRINNING FACE}",
        f"/console/sites/{bare.id}",
    ):
        assert said in page
    assert "打开 PDF" not in page
    assert me.client.get(f"{me.path}.pdf").status_code == 404
    me.send("/rest")
    assert "1 张海报好了" in finished(me)
    assert read(me)[1] == addresses(world, [good])


def test_what_does_not_fit_the_paper_is_said_before_it_is_printed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites_with_codes(world, 1)
    monkeypatch.setattr("tanpuhui.labels._SQUARE", 20.0)
    monkeypatch.setattr("tanpuhui.labels._LINES", _narrow())
    me = browser(world, world.organiser)
    me.get("/console/posters")
    me.send("/console/posters", which="all", paper="50mm", campaign="none")
    assert "这种纸放不下" in finished(me)


def _narrow() -> Any:
    from tanpuhui.labels import _LINES

    return tuple((style, 1.0) for style, _height in _LINES)


def _rename(world: World, site: Site, name: str) -> None:
    """As a site might be called that was registered before names were checked."""
    with world.house.db.session() as session:
        session.get_one(Site, site.id).name = name


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"which": "ticked"}, "请至少选一个点位"),
        ({"which": "kinds", "site_kinds": "palace"}, "请至少选一个点位"),
        ({"paper": "A0"}, "请选择纸张"),
        ({"campaign": "christmas"}, "没有这个活动"),
        ({"campaign": "00000000-0000-0000-0000-000000000000"}, "没有这个活动"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(world: World, wrong: dict[str, str], said: str) -> None:
    sites_with_codes(world, 1)
    me = browser(world, world.organiser)
    me.get("/console/posters")
    page = me.send("/console/posters", **{"which": "all", "paper": "A4", "campaign": "none", **wrong})
    assert me.status == 422
    assert said in page


def test_nobody_prints_or_reads_what_is_outside_their_scope(world: World) -> None:
    (site,) = sites_with_codes(world, 1)
    with world.house.db.session() as session:
        school = Organisation(name="学校", division_code=COMMUNITY)
        session.add(school)
    me = browser(world, world.organiser)
    me.get("/console/posters")
    me.send("/console/posters", which="all", paper="A4", campaign="none")
    finished(me)
    for other in (
        world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY),
        world.colleague(Role.ORGANISER, organisation=school.id),
    ):
        with pytest.raises(InvalidField):
            poster_prints.order(world.house, other, [site.id], "A4")
        them = browser(world, other)
        for path in (me.path, f"{me.path}.pdf"):
            them.get(path)
            assert them.status == 404
        them.get("/console/posters")
        assert site.name not in them.page.text
    helper = browser(world, world.colleague(Role.HELPER))
    helper.get("/console/posters")
    assert helper.status == 403


# --- while it is made --------------------------------------------------------------------------------------


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Posters are laid out at once, and drawn only when the event is set."""
    gate = threading.Event()
    real = pdf.pages_pdf

    def patient(*args: Any, **more: Any) -> bytes:
        assert gate.wait(60)
        return real(*args, **more)

    monkeypatch.setattr("tanpuhui.pdf.pages_pdf", patient)
    monkeypatch.setattr("activities.poster_prints._TELL_EVERY", 0)
    yield gate
    gate.set()


def test_the_page_says_how_far_it_is_without_a_script(world: World, held: threading.Event) -> None:
    sites_with_codes(world, 4)
    me = browser(world, world.organiser)
    me.get("/console/posters")
    page = me.send("/console/posters", which="all", paper="A4", campaign="none")
    until = time.monotonic() + 30
    while "50 %" not in page:
        assert time.monotonic() < until
        page = me.get(me.path)
    assert "<progress" in page
    assert 'http-equiv="refresh" content="2"' in page
    assert "画进 PDF" in page
    assert me.client.get(f"{me.path}.pdf").status_code == 404
    held.set()
    assert "4 张海报好了" in finished(me)


def test_an_order_left_alone_is_taken_up_once(
    world: World, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process was stopped; whoever is asked next goes on, and only one of them."""
    sites_with_codes(world, 2)
    begun: list[UUID] = []
    monkeypatch.setattr("activities.poster_prints._begin", lambda _house, print_id: begun.append(print_id))
    me = browser(world, world.organiser)
    me.get("/console/posters")
    me.send("/console/posters", which="all", paper="A4", campaign="none")
    me.get(me.path)
    assert len(begun) == 1, "its maker has only just begun"
    with world.house.db.transaction() as connection:
        connection.execute(sa.update(TABLE).values(worked_at=clock.now() - LEFT_ALONE - timedelta(seconds=1)))
    with world.house.db.reading_session() as session:
        seen = session.get_one(PosterPrint, begun[0])
    at_once([lambda: poster_prints.tend(world.house, seen) for _ in range(4)])
    me.get(me.path)
    assert len(begun) == 2
    held.set()
    poster_prints.make(world.house, begun[0])
    first = me.client.get(f"{me.path}.pdf").get_data()
    poster_prints.make(world.house, begun[0])  # the first maker was only slow
    assert me.client.get(f"{me.path}.pdf").get_data() == first


def test_a_failure_is_said_and_offers_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sites_with_codes(world, 1)

    def broken(*_args: Any, **_more: Any) -> bytes:
        raise OSError("no paper")

    monkeypatch.setattr("tanpuhui.pdf.pages_pdf", broken)
    me = browser(world, world.organiser)
    me.get("/console/posters")
    me.send("/console/posters", which="all", paper="A4", campaign="none")
    assert "请再试一次" in finished(me)
    assert me.client.get(f"{me.path}.pdf").status_code == 404


def test_the_database_knows_no_half_file(world: World) -> None:
    row = {"asked_by": world.organiser.id, "site_ids": [], "paper": "A4", "campaign": "none", "steps": 2}
    for wrong in (
        {"file": b"%PDF", "done": 1, "finished_at": clock.now()},
        {"file": b"%PDF", "done": 2},
        {"done": 3},
        {"paper": "A0"},
    ):
        with pytest.raises(sa.exc.IntegrityError), world.house.db.session() as session:
            session.add(PosterPrint(**row | wrong))


def test_orders_are_thrown_away_after_a_day(world: World) -> None:
    sites_with_codes(world, 1)
    me = browser(world, world.organiser)
    me.get("/console/posters")
    me.send("/console/posters", which="all", paper="A4", campaign="none")
    finished(me)
    with world.house.db.transaction() as connection:
        connection.execute(sa.update(TABLE).values(asked_at=clock.now() - timedelta(hours=25)))
    old = me.path
    me.get("/console/posters")
    me.send("/console/posters", which="all", paper="A4", campaign="none")
    finished(me)
    me.get(old)
    assert me.status == 404
