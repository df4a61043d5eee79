"""People tap twice, go back, paste, open two tabs and swap phones: nothing breaks, and nothing is made twice."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from tanpuhui import people
from tanpuhui.classes import ClassAccount
from tanpuhui.errors import InvalidField
from tanpuhui.ids import id_of, new_id
from tanpuhui.people import Resident
from tanpuhui.sessions import Principal, new_session
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tests.browser import Browser, browser
from tests.tables import contents, written
from tests.threads import at_once
from tests.world import COMMUNITY, DISTRICT, World

sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
OURS = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


def rows(world: World, table: str) -> int:
    with world.house.db.reading() as connection:
        return int(connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0)


def log_in(world: World, client: FlaskClient, who: Resident | Principal) -> None:
    kind: Any = "resident" if isinstance(who, Resident) else "staff"
    client.set_cookie(COOKIES[kind], new_session(world.house, kind=kind, subject_id=who.id))


# --- numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        "13912345678",
        "139 1234 5678",
        "139-1234-5678",
        "139.1234.5678",
        "139–1234—5678",
        "+86 139 1234 5678",
        "(+86)139-1234-5678",
        "（+86）１３９－１２３４－５６７８",
        "0086 13912345678",
        "\u202d139 1234 5678\u202c",
        "\ufeff139\u200b1234\u00a05678",
        "１３９１２３４５６７８",
        "　139\t1234\n5678 ",
    ],
)
def test_a_number_is_taken_however_it_was_pasted(typed: str) -> None:
    assert people.normalise_phone(typed) == "+8613912345678"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("+1 202 555 0100", "中国大陆"),
        ("+852 9123 4567", "中国大陆"),
        ("00852-91234567", "中国大陆"),
        ("+44 20 7946 0958", "中国大陆"),
        ("+86 021 6247 0000", "11 位"),
        ("1391234567", "11 位"),
        ("139123456789", "11 位"),
        ("12912345678", "11 位"),
        ("١٣٩١٢٣٤٥٦٧٨", "11 位"),
        ("139 1234 567八", "11 位"),
        ("'; DROP TABLE resident--", "11 位"),
        ("9" * 100_000, "11 位"),
        ("", "11 位"),
    ],
)
def test_another_number_is_told_what_works(typed: str, said: str) -> None:
    with pytest.raises(InvalidField) as error:
        people.normalise_phone(typed)
    (problem,) = error.value.params["errors"]
    assert problem["field"] == "phone"
    assert said in problem["reason"]


# --- nicknames ---------------------------------------------------------------------------------------------

NICKNAMES = [
    "👩‍👩‍👧‍👦" * 12,
    "👩‍👩‍👧‍👦" * 2000,
    "字" * 10_000,
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    "   \t\u3000 ",
    "\u202eevil\u202c",
    "\u200b\u200c\u200d\ufeff",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}",
    "%(kind)s %s",
    "\U000e0041\U000e0042",
    "שלום עולם",
    "\ud83d",
    "🇨🇳🇨",
]


@pytest.mark.parametrize("typed", NICKNAMES, ids=range(len(NICKNAMES)))
def test_a_nickname_is_taken_or_told_why_not(world: World, typed: str) -> None:
    me = browser(world, world.resident())
    me.get("/me/nickname")
    page = me.send("nickname", nickname=typed.encode("utf-8", "replace").decode())
    assert me.status in {200, 413, 422}
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert ">49<" not in page
    if me.status == 422:
        assert 'class="error"' in page
    assert me.get("/me")
    assert me.status == 200


# --- two taps ----------------------------------------------------------------------------------------------


def form_on(page: str) -> dict[str, str]:
    """The hidden fields of the form in the middle of the page."""
    form = re.search(r"<main.*?(<form[^>]*method=\"post\".*?</form>)", page, re.S)
    assert form
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form[1]))


def taps(client: FlaskClient, path: str, typed: dict[str, Any], *, page: str | None = None) -> list[Any]:
    """What two taps on the button of a form are answered."""
    hidden = form_on(client.get(page or path).text)
    return [client.post(path, data={**hidden, **typed}, headers=OURS) for _ in range(2)]


SITE = {"name": "临汾社区食堂", "kind": "canteen", "division_code": COMMUNITY, "kinds": "clean_plate"}


def test_two_taps_make_one_site_with_one_code(world: World) -> None:
    client = world.client()
    log_in(world, client, world.organiser)
    first, second = taps(client, "/console/sites/new", SITE)
    assert (first.status_code, first.location) == (303, second.location)
    assert (rows(world, "site"), rows(world, "code")) == (1, 1)
    third = taps(client, "/console/sites/new", SITE)[0]  # the form opened again means another
    assert third.location != first.location
    assert rows(world, "site") == 2


def test_many_taps_at_the_same_moment_make_one_site(world: World) -> None:
    clients = [world.client() for _ in range(6)]
    log_in(world, clients[0], world.organiser)
    hidden = form_on(clients[0].get("/console/sites/new").text)
    cookies = [clients[0].get_cookie(name) for name in (COOKIES["staff"], "tph_form")]
    for client in clients[1:]:
        for cookie in cookies:
            assert cookie
            client.set_cookie(cookie.key, cookie.value)

    def tap(client: FlaskClient) -> tuple[int, str | None]:
        told = client.post("/console/sites/new", data={**hidden, **SITE}, headers=OURS)
        return told.status_code, told.location

    answers = at_once([lambda client=client: tap(client) for client in clients])
    assert len(set(answers)) == 1
    assert answers[0][0] == 303
    assert (rows(world, "site"), rows(world, "code")) == (1, 1)


def test_other_words_in_a_form_that_was_sent_make_something_else(world: World) -> None:
    """Who goes back, writes another name and sends again means another site."""
    client = world.client()
    log_in(world, client, world.organiser)
    hidden = form_on(client.get("/console/sites/new").text)
    for name in ("食堂一", "食堂二"):
        client.post("/console/sites/new", data={**hidden, **SITE, "name": name}, headers=OURS)
    assert rows(world, "site") == 2


def test_two_taps_make_one_campaign_and_end_it_once(world: World) -> None:
    client, site = world.client(), world.site("clean_plate")
    log_in(world, client, world.organiser)
    typed = {
        "title": "低碳日",
        "division_code": DISTRICT,
        "when.by": "dates",
        "when.dates.starts_at": "2999-06-05T09:00",
        "when.dates.ends_at": "2999-06-05T18:00",
        "which": "ticked",
        "site_ids": str(site.id),
        "announce_days": "7",
    }
    first, second = taps(client, "/console/campaigns/new/blank", typed)
    assert (first.status_code, second.status_code) == (303, 303)
    assert rows(world, "campaign") == 1
    with world.house.db.reading() as connection:
        (campaign,) = connection.scalars(sa.text("SELECT id FROM campaign")).all()
    path = f"/console/campaigns/{_dashed(str(campaign))}/cancel"
    taps(client, path, {"reason": "天气不好"}, page=path.removesuffix("/cancel"))
    with world.house.db.reading() as connection:
        noted = connection.scalar(
            sa.text("SELECT count(*) FROM audit_entry WHERE deed = 'campaign.cancelled'")
        )
    assert noted == 1


def _dashed(text: str) -> str:
    plain = text.replace("-", "")
    return f"{plain[:8]}-{plain[8:12]}-{plain[12:16]}-{plain[16:20]}-{plain[20:]}"


def test_two_taps_make_one_proposal(world: World) -> None:
    client = world.client()
    log_in(world, client, world.officer)
    path = "/bureau/factors/kinds/clean_plate/new"
    page = client.get(path).text
    typed = dict(re.findall(r'<input id="[^"]+" name="([^"]+)" type="[^"]*" value="([^"]*)"', page))
    typed |= dict(re.findall(r'<textarea id="[^"]+" name="([^"]+)"[^>]*>\n(.*?)</textarea>', page, re.S))
    for name, options in re.findall(r'<select id="[^"]+" name="([^"]+)".*?>(.*?)</select>', page, re.S):
        typed[name] = re.findall(r'value="([^"]*)" selected', options)[0]
    typed |= dict(re.findall(r'type="radio" name="([^"]+)" value="([^"]*)" checked', page))
    first, second = taps(client, path, {**typed, "reason": "有了更好的来源"})
    assert (first.status_code, first.location) == (303, second.location), first.text
    assert rows(world, "factor_proposal") == 1


def test_two_taps_make_one_class_and_one_organisation(world: World) -> None:
    client = world.client()
    boss = world.colleague(Role.ADMIN, Role.ORGANISER)
    log_in(world, client, boss)
    typed = {"name": "第一小学", "division_code": COMMUNITY[:9]}
    taps(client, "/console/staff/organisations", typed, page="/console/staff")
    assert rows(world, "organisation") == 1
    with world.house.db.reading() as connection:
        organisation = _dashed(str(connection.scalar(sa.text("SELECT id FROM organisation"))))
    school = {"organisation": organisation, "label": "一（1）班", "division_code": COMMUNITY}
    taps(client, "/console/classes", school)
    assert rows(world, ClassAccount.__tablename__) == 1


def test_an_id_is_the_same_for_the_same_form_and_words_only() -> None:
    form = new_id()
    assert id_of(form, "a") == id_of(form, "a")
    assert len({form, id_of(form, "a"), id_of(form, "b"), id_of(new_id(), "a")}) == 4
    assert id_of(form, "a").version == 7
    assert id_of(form, "a").time == form.time


# --- scans: back, two tabs, two people ---------------------------------------------------------------------


def test_going_back_after_confirming_and_sending_again_shows_the_same_result(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    me = browser(world, resident)
    me.get(f"/s/{code}")
    path, hidden = me._form("/s/")
    answers = [me.client.post(path, data=hidden, headers=OURS) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.location for answer in answers}) == 1
    assert rows(world, "action") == rows(world, "transfer") == 1
    assert world.breaches() == []


def test_two_tabs_with_two_codes_credit_each_once(world: World) -> None:
    resident = world.resident()
    plate, cup = world.code("clean_plate"), world.code("own_cup")
    client = world.client()
    log_in(world, client, resident)
    tabs = []
    for code in (plate, cup):
        tab = Browser(client)
        tab.get(f"/s/{code}")
        tabs.append(tab._form("/s/"))
    for path, hidden in (*tabs, *reversed(tabs)):
        assert client.post(path, data=hidden, headers=OURS).status_code == 303
    assert rows(world, "action") == 2
    assert world.breaches() == []


def test_two_tabs_of_one_code_credit_as_the_limits_say(world: World) -> None:
    """A second tab is a second scan, with a key of its own: the interval refuses it in a sentence."""
    client, code = world.client(), world.code("clean_plate")
    log_in(world, client, world.resident())
    forms = []
    for _ in range(2):
        tab = Browser(client)
        tab.get(f"/s/{code}")
        forms.append(tab._form("/s/"))
    first, second = (client.post(path, data=hidden, headers=OURS) for path, hidden in forms)
    assert first.status_code == 303
    assert second.status_code == 409
    assert "距离上一次" in second.text
    assert rows(world, "action") == 1


def test_a_page_opened_by_one_person_is_not_confirmed_for_the_next(world: World) -> None:
    """Two tabs of one phone; another resident logged in between: nobody is credited for somebody else."""
    one, other = world.resident(), world.resident()
    client, code = world.client(), world.code("clean_plate")
    log_in(world, client, one)
    tab = Browser(client)
    tab.get(f"/s/{code}")
    path, hidden = tab._form("/s/")
    log_in(world, client, other)
    told = client.post(path, data=hidden, headers=OURS)
    assert told.status_code == 409
    assert "另一个账号" in told.text
    assert rows(world, "action") == rows(world, "transfer") == 0
    log_in(world, client, one)
    assert client.post(path, data=hidden, headers=OURS).status_code == 303
    assert rows(world, "action") == 1


def test_what_is_sent_after_log_out_waits_for_the_log_in_and_changes_nothing(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    me = browser(world, resident)
    pages = ["/me/nickname", "/me/privacy", "/me/leave", f"/s/{code}"]
    forms = []
    for page in pages:
        me.get(page)
        forms.append(me._form(None))
    me.get("/me")
    me.send("logout")
    before = contents(world.house)
    for path, hidden in forms:
        told = me.client.post(path, data=hidden, headers=OURS)
        assert told.status_code in {302, 303}
        assert told.location.startswith(("/login", "/s/")), told.location
    assert written(before, contents(world.house)) == {}
