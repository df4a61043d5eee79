"""What was typed is kept when the session or the form's token has run out; passwords and other sites' forms are not."""

import re

import pytest
from flask.testing import FlaskClient

from tanpuhui.sessions import end_all, new_session
from tanpuhui.web.auth import COOKIES
from tanpuhui.web.resume import MOST
from tests.world import COMMUNITY, PASSWORD, World

#: What a browser says of a form that a page of ours sends.
OURS = {"Sec-Fetch-Site": "same-origin"}

sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def token_on(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def staff_client(world: World) -> FlaskClient:
    client = world.client()
    client.set_cookie(COOKIES["staff"], new_session(world.house, kind="staff", subject_id=world.organiser.id))
    return client


TYPED = {
    "name": "临汾社区食堂",
    "kind": "canteen",
    "division_code": COMMUNITY,
    "kinds": "clean_plate",
    "hours": "11:00",
}


def name_of_organiser(world: World) -> str:
    from sqlmodel import select

    from tanpuhui.staff import Staff

    with world.house.db.reading_session() as session:
        return session.exec(select(Staff.name).where(Staff.id == world.organiser.id)).one()


@sqlite
def test_a_form_sent_after_the_session_ended_is_offered_again_and_then_done(world: World) -> None:
    client = staff_client(world)
    csrf = token_on(client.get("/console/sites/new").text)
    end_all(world.house, "staff", world.organiser.id)
    sent = client.post("/console/sites/new", data={**TYPED, "csrf_token": csrf}, headers=OURS)
    assert sent.location == "/staff/login?next=/resume"
    entered = client.post(
        sent.location,
        data={
            "name": name_of_organiser(world),
            "password": PASSWORD,
            "csrf_token": token_on(client.get(sent.location).text),
        },
    )
    assert entered.location == "/resume"
    offered = client.get("/resume").text
    assert "您填写的内容还在" in offered
    assert client.get("/resume").text.count("临汾社区食堂") == offered.count(
        "临汾社区食堂"
    )  # a reload loses nothing
    assert "临汾社区食堂" in offered
    assert 'action="/console/sites/new"' in offered
    done = client.post("/console/sites/new", data={**TYPED, "csrf_token": token_on(offered)})
    assert re.fullmatch(r"/console/sites/[0-9a-f-]{36}", done.location)
    assert client.get("/resume").location == "/"  # it has arrived


@sqlite
def test_a_form_whose_token_ran_out_is_offered_on_the_spot(world: World) -> None:
    client = staff_client(world)
    answer = client.post("/console/sites/new", data={**TYPED, "csrf_token": "old"}, headers=OURS)
    assert answer.status_code == 400
    assert "您填写的内容还在" in answer.text
    done = client.post("/console/sites/new", data={**TYPED, "csrf_token": token_on(answer.text)})
    assert done.status_code == 303


@sqlite
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_what_another_site_sent_is_never_offered(world: World, headers: dict[str, str]) -> None:
    """Also by a browser too old to say where a form comes from: then its origin must be ours."""
    client = staff_client(world)
    answer = client.post("/console/sites/new", data=TYPED, headers=headers)
    assert answer.status_code == 400
    assert "您填写的内容还在" not in answer.text
    assert "form_expired" in answer.text


@sqlite
def test_passwords_codes_and_numbers_are_never_kept(world: World) -> None:
    for path, data in (
        ("/staff/login", {"name": "somebody", "password": "a password of mine"}),
        ("/login/code", {"code": "123456"}),
        ("/login", {"phone": "13912345678"}),
    ):
        answer = world.client().post(path, data=data, headers=OURS)
        assert answer.status_code == 400
        assert "您填写的内容还在" not in answer.text
        assert not any(text in answer.text for text in data.values())


@sqlite
def test_what_a_cookie_cannot_hold_is_shown_to_be_copied(world: World) -> None:
    client = staff_client(world)
    csrf = token_on(client.get("/console/sites/new").text)
    end_all(world.house, "staff", world.organiser.id)
    long = "长" * MOST
    data = {**TYPED, "hours": long, "csrf_token": csrf}
    sent = client.post("/console/sites/new", data=data, headers=OURS)
    assert sent.status_code == 401
    assert re.search(rf"<textarea[^>]* readonly[^>]*>[^<]*{long}[^<]*</textarea>", sent.text)
    assert 'href="/staff/login?next=/console/sites/new"' in sent.text
    assert client.get("/resume").location == "/"  # nothing waits in the dark


@sqlite
def test_what_another_site_sent_is_not_kept_on_a_page_either(world: World) -> None:
    client = staff_client(world)
    csrf = token_on(client.get("/console/sites/new").text)
    end_all(world.house, "staff", world.organiser.id)
    data = {**TYPED, "hours": "长" * MOST, "csrf_token": csrf}
    sent = client.post("/console/sites/new", data=data, headers={"Sec-Fetch-Site": "cross-site"})
    assert sent.location == "/staff/login?next=/console/sites/new"


@sqlite
def test_an_old_browser_that_names_our_origin_is_offered_its_form(world: World) -> None:
    client = staff_client(world)
    answer = client.post("/console/sites/new", data=TYPED, headers={"Origin": "http://localhost"})
    assert "您填写的内容还在" in answer.text


@sqlite
def test_what_one_person_typed_is_not_offered_to_the_next_at_the_same_browser(world: World) -> None:
    client = staff_client(world)
    csrf = token_on(client.get("/console/sites/new").text)
    end_all(world.house, "staff", world.organiser.id)
    client.post("/console/sites/new", data={**TYPED, "csrf_token": csrf}, headers=OURS)
    other = world.officer
    client.set_cookie(COOKIES["staff"], new_session(world.house, kind="staff", subject_id=other.id))
    assert client.get("/resume").location == "/"
    client.set_cookie(COOKIES["staff"], new_session(world.house, kind="staff", subject_id=world.organiser.id))
    assert client.get("/resume").location == "/"  # dropped, not kept in the dark


@sqlite
def test_what_nobody_typed_is_sent_again_but_not_shown(world: World) -> None:
    client = staff_client(world)
    fields = {**TYPED, "organisation_id": "0190c0de-0000-7000-8000-000000000000"}
    answer = client.post("/console/sites/new", data=fields, headers=OURS)
    assert f'value="{fields["organisation_id"]}"' in answer.text
    assert f"<li>{fields['organisation_id']}" not in answer.text
