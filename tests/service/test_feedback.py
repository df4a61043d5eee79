"""Complaints, suggestions and questions: a number, a day, a tracked answer; nobody else reads them."""

import json
import re
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import col, select

from tanpuhui import clock, feedback, ids, inbox, people, workdays
from tanpuhui.audit import AuditEntry
from tanpuhui.bureau import answers
from tanpuhui.errors import (
    FeedbackClosed,
    FeedbackMovedOn,
    InvalidField,
    KeyReused,
    NotAllowed,
    NotFound,
    TooManyOpen,
    TooMuchSaid,
)
from tanpuhui.feedback import LONGEST, MOST_OPEN, MOST_SAID, WORDS_GONE, About, Feedback, FeedbackState
from tanpuhui.jobs import run_due
from tanpuhui.people import Resident
from tanpuhui.sessions import Principal, end_all
from tanpuhui.staff import Role
from tests.browser import browser
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import OTHER_COMMUNITY, STREET, World

ODD = "\u202e反过来\u202c <b>粗</b> 👩‍🌾 عبق الزهور\r\n第二行"


def write(
    world: World, resident: Resident, text: str = "码扫不出来", kind: str = "complaint", **more: Any
) -> UUID:
    """Write in; the id of what was taken in."""
    key = more.pop("key", ids.new_id().hex)
    answer = feedback.write_in(world.house, resident.id, key=key, kind=kind, text=text, **more)
    return UUID(json.loads(answer.body)["feedback"]["id"])


def look(world: World, feedback_id: UUID) -> tuple[Feedback, list[feedback.FeedbackEntry]]:
    with world.house.db.reading_session() as session:
        return session.get_one(Feedback, feedback_id), list(feedback.entries(session, feedback_id))


def reply(world: World, who: Principal, feedback_id: UUID, text: str = "已经换了新海报") -> None:
    """Answer after having read everything."""
    seen = look(world, feedback_id)[1][-1].id
    answers.answer(world.house, who, feedback_id, text=text, seen=seen)


def on(day: date) -> Any:
    """Noon of a day, everywhere."""
    return time_machine.travel(datetime.combine(day, time(12), clock.SHANGHAI), tick=False)


# --- days ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opened", "kind", "due"),
    [
        ("2026-11-25", "complaint", "2026-12-02"),  # a Wednesday
        ("2026-11-25", "suggestion", "2026-12-09"),
        ("2026-11-28", "question", "2026-12-04"),  # a Saturday
        (
            "2026-09-28",
            "complaint",
            "2026-10-10",
        ),  # the holidays of October, and the Saturday worked for them
        ("2026-12-30", "complaint", "2027-01-06"),  # into a year that is not announced: Monday to Friday
    ],
)
def test_due_days_are_working_days(opened: str, kind: str, due: str) -> None:
    noon = datetime.combine(date.fromisoformat(opened), time(12), clock.SHANGHAI)
    assert feedback.due_on(feedback.FeedbackKind(kind), noon).isoformat() == due


def test_a_year_without_announced_holidays_is_told(world: World) -> None:
    assert workdays.is_announced(2026)
    assert not workdays.is_announced(2035)
    resident = world.resident()
    with on(date(2026, 11, 25)):
        announced = write(world, resident)
    with on(date(2035, 11, 21)):
        not_announced = write(world, resident)
        me = browser(world, resident)
        assert "还没公布" in me.get(f"/me/feedback/{not_announced}")
        assert "还没公布" not in me.get(f"/me/feedback/{announced}")


# --- writing in --------------------------------------------------------------------------------------------------


def test_each_gets_a_number_and_a_day(world: World) -> None:
    resident = world.resident()
    with on(date(2026, 11, 25)):
        made = [
            look(world, write(world, resident, kind=kind))[0]
            for kind in ("complaint", "suggestion", "question")
        ]
    with on(date(2026, 11, 26)):
        made.append(look(world, write(world, resident))[0])
    numbers = ["TS-20261125-0001", "JY-20261125-0002", "ZX-20261125-0003", "TS-20261126-0001"]
    assert [one.number for one in made] == numbers
    assert {one.division_code for one in made} == {resident.division_code}
    assert world.breaches() == []


def test_numbers_given_at_the_same_moment_differ(world: World) -> None:
    residents = world.residents(12)
    results = at_once([lambda who=who: write(world, who) for who in residents])
    assert codes(results) == ["ok"] * 12
    with world.house.db.reading_session() as session:
        numbers = sorted(session.exec(select(Feedback.number)).all())
    assert [number[-4:] for number in numbers] == [f"{n:04d}" for n in range(1, 13)]


def test_sent_twice_it_is_one(world: World) -> None:
    resident = world.resident()
    results = at_once([lambda: write(world, resident, key="the-same")] * 6)
    assert len({str(result) for result in results}) == 1
    assert len(contents(world.house)["feedback"]) == len(contents(world.house)["feedback_entry"]) == 1
    with pytest.raises(KeyReused):
        write(world, resident, "别的话", key="the-same")


def test_nothing_wrong_is_taken_in(world: World) -> None:
    resident = world.resident()
    before = contents(world.house)
    for wrong, field in (
        ({"text": " \n\t "}, "text"),
        ({"text": "长" * (LONGEST + 1)}, "text"),
        ({"kind": "praise"}, "kind"),
        ({"kind": ""}, "kind"),
    ):
        with pytest.raises(InvalidField) as error:
            write(world, resident, **wrong)
        assert [bad["field"] for bad in error.value.params["errors"]] == [field]
    for about in (About("site", uuid4()), About("action", uuid4()), About("planet", uuid4())):
        with pytest.raises(NotFound):
            write(world, resident, about=about)
    assert written(before, contents(world.house)) == {}
    write(world, resident, "长\r\n" * (LONGEST // 2))  # a line end counts once
    people.leave(world.house, resident.id)
    with pytest.raises(NotFound):
        write(world, resident)


def test_it_is_about_a_site_or_ones_own_record_and_nobody_elses(world: World) -> None:
    resident, other = world.residents(2)
    site = world.site("clean_plate", name="反馈食堂")
    action = UUID(world.scan(resident, world.code_at(site))["action"]["id"])
    me = browser(world, resident)
    me.get(f"/feedback?action={action}&kind=question")
    assert "反馈食堂" in me.page.text
    assert 'value="question" checked' in me.page.text
    page = me.send("/feedback", kind="question", text="为什么这么少")
    assert me.path.startswith("/me/feedback/")
    assert f"/me/actions/{action}" in page
    me.get(f"/feedback?site={site.id}")
    assert "反馈食堂" in me.send("/feedback", kind="complaint", text="海报破了")
    with pytest.raises(NotFound):
        write(world, other, about=About("action", action))
    stranger = browser(world, other)
    for wrong in (f"action={action}", "action=x", f"site={action}"):
        stranger.get(f"/feedback?{wrong}")
        assert stranger.status == 404


def test_at_most_five_wait_for_an_answer(world: World) -> None:
    resident = world.resident()
    results = at_once([lambda: write(world, resident)] * (MOST_OPEN + 4))
    assert sorted(codes(results)) == ["ok"] * MOST_OPEN + ["too_many_open"] * 4
    assert world.breaches() == []
    me = browser(world, resident)
    me.get("/feedback")
    page = me.send("/feedback", kind="suggestion", text="我还想说这个")
    assert me.status == 409
    assert "5 件在等答复" in page
    assert "我还想说这个" in page
    assert 'href="/me/feedback"' in page
    me.get("/feedback")
    first = next(result for result in results if isinstance(result, UUID))
    feedback.close(world.house, resident.id, first)
    me.send("/feedback", kind="suggestion", text="我还想说这个")
    assert me.path.startswith("/me/feedback/")


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_without_the_turn_more_than_five_get_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control, on the engine whose writers do not take turns anyway."""
    resident = world.resident()
    monkeypatch.setattr(
        feedback,
        "take_turn",
        lambda connection, wanted: {one.id: one for one in _unlocked(connection, wanted)},
    )
    results = at_once([lambda: write(world, resident)] * 16)
    assert codes(results).count("ok") > MOST_OPEN
    assert any("wait for an answer" in line for line in world.breaches())


def _unlocked(connection: Any, wanted: list[UUID]) -> list[Any]:
    found = sa.select(Resident.id, Resident.division_code, Resident.status).where(
        col(Resident.id).in_(wanted)
    )
    return list(connection.execute(found))


def test_what_is_odd_is_shown_as_text(world: World) -> None:
    resident, officer = world.resident(), world.officer
    me, desk = browser(world, resident), browser(world, officer)
    me.get("/feedback")
    me.send("/feedback", kind="complaint", text=ODD)
    assert me.path.startswith("/me/feedback/")
    shown = re.search(r"<bdi>(.*?)</bdi>", me.page.text, re.S)
    assert shown
    assert "&lt;b&gt;粗&lt;/b&gt;" in shown[1]
    assert "👩‍🌾 عبق الزهور\n第二行" in shown[1]
    feedback_id = UUID(me.path.rsplit("/", 1)[1])
    assert shown[0] in desk.get(f"/bureau/feedback/{feedback_id}")
    me.get("/feedback")
    page = me.send("/feedback", kind="complaint", text="<i>" + "长" * LONGEST)
    assert me.status == 422
    assert "最多 2000 字" in page
    assert "&lt;i&gt;长长" in page  # kept, as text
    me.send("/feedback", kind="<script>", text="x")
    assert "<script>&" not in me.page.text


def test_a_form_sent_again_with_other_words_is_asked_about(world: World) -> None:
    resident = world.resident()
    me = browser(world, resident)
    me.get("/feedback")
    path, hidden = me._form("/feedback")
    me.send("/feedback", kind="complaint", text="第一次")
    answer = me.client.post(path, data={**hidden, "kind": "complaint", "text": "改过的"})
    assert answer.status_code == 409
    assert "刚才那一份已经收到了" in answer.text
    assert "改过的" in answer.text
    assert f'value="{hidden["key"]}"' not in answer.text
    assert len(contents(world.house)["feedback"]) == 1


def test_whoever_is_not_logged_in_logs_in_first_and_loses_no_word(world: World) -> None:
    site = world.site("clean_plate")
    anyone = browser(world)
    anyone.get(f"/feedback?site={site.id}")
    assert anyone.path == "/login"
    with anyone.client.session_transaction() as session:
        assert session["next"] == f"/feedback?site={site.id}"
    resident = world.resident()
    for text in ("几句话", "长" * LONGEST):
        me = browser(world, resident)
        me.get(f"/feedback?site={site.id}")
        path, hidden = me._form("/feedback")
        end_all(world.house, "resident", resident.id)
        data = {**hidden, "kind": "complaint", "text": text}
        answer = me.client.post(path, data=data, headers={"Sec-Fetch-Site": "same-origin"})
        if len(text) < LONGEST:
            assert answer.location == "/login?next=/resume"
        else:
            assert answer.status_code == 401
            assert re.search(rf"<textarea[^>]* readonly[^>]*>[^<]*{text}[^<]*</textarea>", answer.text)
            assert 'href="/login?next=/feedback"' in answer.text
    assert contents(world.house)["feedback"] == {}


# --- the answer ------------------------------------------------------------------------------------------------


def test_the_bureau_answers_and_the_author_is_told_and_closes(world: World) -> None:
    resident = world.resident()
    feedback_id = write(world, resident)
    desk, me = browser(world, world.officer), browser(world, resident)
    page = desk.get("/bureau/feedback")
    number = look(world, feedback_id)[0].number
    assert number in page
    desk.get(f"/bureau/feedback/{feedback_id}")
    desk.send("/bureau/feedback/", text="  ")
    assert desk.status == 422
    desk.send("/bureau/feedback/", text="已经换了新海报")
    assert desk.path == f"/bureau/feedback/{feedback_id}"
    assert number not in desk.get("/bureau/feedback")
    assert number in desk.get("/bureau/feedback?state=answered")

    told = me.get("/me/inbox")
    assert "您的投诉有答复了" in told
    link = re.search(r'href="(/me/inbox/[^"?]+)"', told)
    assert link
    assert f"/me/feedback/{feedback_id}" in me.get(link[1])
    page = me.get(f"/me/feedback/{feedback_id}")
    assert "已经换了新海报" in page
    me.send("/close")
    assert look(world, feedback_id)[0].state is FeedbackState.CLOSED
    me.client.post(f"/me/feedback/{feedback_id}/close")
    assert number in desk.get("/bureau/feedback?state=closed")
    with world.house.db.reading_session() as session:
        noted = session.exec(select(AuditEntry).where(AuditEntry.deed == "feedback.answered")).all()
    assert [(entry.actor_id, entry.subject) for entry in noted] == [
        (world.officer.id, f"feedback:{feedback_id}")
    ]
    assert "已经换了新海报" not in str(noted[0].detail)
    assert world.breaches() == []


def test_not_solved_opens_it_again_with_a_new_day(world: World) -> None:
    resident = world.resident()
    with on(date(2026, 11, 25)):
        feedback_id = write(world, resident)
        feedback.say(world.house, resident.id, feedback_id, "补充一句")  # open: nothing else changes
        assert look(world, feedback_id)[0].due_on == date(2026, 12, 2)
    with on(date(2026, 12, 2)):
        reply(world, world.officer, feedback_id)
        me = browser(world, resident)
        me.get(f"/me/feedback/{feedback_id}")
        me.send("/say", text="还是扫不出来")
        me.client.post(f"/me/feedback/{feedback_id}/say", data={"text": "还是扫不出来"})
    one, said = look(world, feedback_id)
    assert (one.state, one.answered_at, one.due_on) == (FeedbackState.OPEN, None, date(2026, 12, 9))
    assert [entry.text for entry in said] == ["码扫不出来", "补充一句", "已经换了新海报", "还是扫不出来"]
    reply(world, world.officer, feedback_id, "这次修好了")
    told = [message for message in _messages(world, resident) if message.kind == "feedback.answered"]
    assert len(told) == 2  # each answer is told
    assert world.breaches() == []


def _messages(world: World, resident: Resident) -> list[inbox.Message]:
    with world.house.db.reading_session() as session:
        return list(inbox.messages(world.house, session, resident.id)[0])


def test_opening_again_does_not_pass_the_five(world: World) -> None:
    resident = world.resident()
    feedback_id = write(world, resident)
    reply(world, world.officer, feedback_id)
    for _ in range(MOST_OPEN):
        write(world, resident)
    before = contents(world.house)
    with pytest.raises(TooManyOpen):
        feedback.say(world.house, resident.id, feedback_id, "没解决")
    assert written(before, contents(world.house)) == {}
    me = browser(world, resident)
    me.get(f"/me/feedback/{feedback_id}")
    assert "没解决的话" in me.send("/say", text="没解决的话")
    assert me.status == 409


def test_what_is_closed_takes_no_more(world: World) -> None:
    resident = world.resident()
    feedback_id = write(world, resident)
    feedback.close(world.house, resident.id, feedback_id)
    with pytest.raises(FeedbackClosed):
        feedback.say(world.house, resident.id, feedback_id, "还有")
    with pytest.raises(FeedbackClosed):
        reply(world, world.officer, feedback_id)
    other = write(world, resident)
    for number in range(MOST_SAID - 1):
        feedback.say(world.house, resident.id, other, f"第 {number} 次")
    with pytest.raises(TooMuchSaid):
        feedback.say(world.house, resident.id, other, "太多了")


def test_of_two_officers_at_once_the_second_is_told_and_keeps_the_words(world: World) -> None:
    resident = world.resident()
    feedback_id = write(world, resident)
    seen = look(world, feedback_id)[1][-1].id
    officers = [world.officer, world.second_officer]
    calls = [
        lambda who=who, n=n: answers.answer(world.house, who, feedback_id, text=f"答复 {n}", seen=seen)
        for n, who in enumerate(officers)
    ]
    assert sorted(codes(at_once(calls))) == ["feedback_moved_on", "ok"]
    assert sum(entry.staff_id is not None for entry in look(world, feedback_id)[1]) == 1

    desk = browser(world, officers[0])
    desk.get(f"/bureau/feedback/{feedback_id}")
    feedback.say(world.house, resident.id, feedback_id, "等一下，又坏了")
    page = desk.send("/bureau/feedback/", text="写了很久的答复")
    assert desk.status == 409
    assert "等一下，又坏了" in page
    assert "写了很久的答复" in page
    desk.send("/bureau/feedback/", text="写了很久的答复")  # now that it was read
    assert desk.status == 200
    before = contents(world.house)
    reply(world, officers[0], feedback_id, "写了很久的答复")  # a double click
    assert written(before, contents(world.house)) == {}
    with pytest.raises(FeedbackMovedOn):
        answers.answer(world.house, officers[1], feedback_id, text="又一个", seen=seen)


def test_silence_closes_after_thirty_days(world: World) -> None:
    resident, house = world.resident(), world.house
    (job,) = [job for room in house.rooms for job in room.jobs if job.name == "feedback"]
    start = clock.now()
    with time_machine.travel(start, tick=False) as at:
        answered, waiting = write(world, resident), write(world, resident)
        reply(world, world.officer, answered)
        for days, state in ((29, FeedbackState.ANSWERED), (31, FeedbackState.CLOSED)):
            at.move_to(start + timedelta(days=days))
            assert run_due(house, job, clock.now())
            assert look(world, answered)[0].state is state
        assert look(world, waiting)[0].state is FeedbackState.OPEN
    assert world.breaches() == []


# --- who may see -------------------------------------------------------------------------------------------------


def test_nobody_elses_is_found(world: World) -> None:
    resident, other = world.residents(2)
    feedback_id = write(world, resident)
    me = browser(world, other)
    me.get(f"/me/feedback/{feedback_id}")
    assert me.status == 404
    me.get("/feedback")
    _, hidden = me._form("/feedback")
    before = contents(world.house)
    for what in ("say", "close"):
        answer = me.client.post(f"/me/feedback/{feedback_id}/{what}", data={**hidden, "text": "x"})
        assert answer.status_code == 404
    assert written(before, contents(world.house)) == {}
    assert look(world, feedback_id)[0].number not in me.get("/me/feedback")


def test_staff_see_their_divisions_and_never_the_person(world: World) -> None:
    here, there = world.resident(), world.resident(OTHER_COMMUNITY)
    people.rename(world.house, here.id, "不该看到")
    mine, theirs = write(world, here), write(world, there)
    officer = world.colleague(Role.OFFICER, division=STREET)
    desk = browser(world, officer)
    page = desk.get("/bureau/feedback")
    assert str(mine) in page
    assert str(theirs) not in page
    page += desk.get(f"/bureau/feedback/{mine}")
    for secret in ("不该看到", str(here.id), here.id.hex, "139000"):
        assert secret not in page
    desk.get(f"/bureau/feedback/{theirs}")
    assert desk.status == 403
    with pytest.raises(NotAllowed):
        reply(world, officer, theirs)
    desk.get(f"/bureau/feedback/{uuid4()}")
    assert desk.status == 404
    for role in (Role.ORGANISER, Role.AUDITOR, Role.HELPER):
        outsider = browser(world, world.colleague(role))
        outsider.get("/bureau/feedback")
        assert outsider.status == 403
    desk.get("/bureau/feedback?state=lost")
    assert desk.status == 404
    anyone = browser(world)
    anyone.get("/bureau/feedback")
    assert anyone.path == "/staff/login"


def test_the_most_urgent_stands_first_and_what_is_late_is_said(world: World) -> None:
    resident = world.resident()
    with on(date(2026, 11, 2)):
        slow = write(world, resident, kind="suggestion")
        quick = write(world, resident, kind="question")
    with on(date(2026, 11, 11)):
        desk, me = browser(world, world.officer), browser(world, resident)
        page = desk.get("/bureau/feedback")
        assert page.index(str(quick)) < page.index(str(slow))
        assert page.count("已超期 2 天") == 1
        assert "还有 5 天" in page
        assert "来信（1 件超期）" in page
        assert "对不起，让您久等了" in me.get(f"/me/feedback/{quick}")
        assert "已超期" not in me.get(f"/me/feedback/{slow}")
        assert "1 overdue" in browser(world, world.officer, "en").get("/bureau/feedback")


# --- leaving -----------------------------------------------------------------------------------------------------


def test_on_leaving_the_words_go_and_the_number_stays(world: World) -> None:
    resident = world.resident()
    site = world.site("clean_plate")
    answered, waiting = (
        write(world, resident, "我住二楼", about=About("site", site.id)),
        write(world, resident),
    )
    reply(world, world.officer, answered)
    number = look(world, answered)[0].number
    people.leave(world.house, resident.id)
    for feedback_id in (answered, waiting):
        one, said = look(world, feedback_id)
        assert (one.state, one.resident_id, one.topic, one.topic_id) == (
            FeedbackState.CLOSED,
            None,
            None,
            None,
        )
        assert [entry.text for entry in said if entry.staff_id is None] == [WORDS_GONE]
    assert look(world, answered)[1][-1].text == "已经换了新海报"
    assert number in browser(world, world.officer).get("/bureau/feedback?state=closed")
    with pytest.raises(FeedbackClosed):
        reply(world, world.officer, waiting)
    assert world.breaches() == []


def test_an_answer_and_a_leaving_at_once_leave_no_message_behind(world: World) -> None:
    for resident in world.residents(4):
        feedback_id = write(world, resident)
        seen = look(world, feedback_id)[1][-1].id
        at_once(
            [
                lambda f=feedback_id, s=seen: answers.answer(
                    world.house, world.officer, f, text="好", seen=s
                ),
                lambda r=resident: people.leave(world.house, r.id),
            ]
        )
    assert world.breaches() == []


def test_what_breaks_a_rule_is_found(world: World) -> None:
    feedback_id = write(world, world.resident())
    with world.house.db.transaction() as connection:
        connection.execute(sa.update(Feedback).values(state="answered", answered_at=clock.now()))
        connection.execute(sa.delete(feedback.FeedbackEntry))
    found = world.breaches()
    number = look(world, feedback_id)[0].number
    assert any(f"{number} counts as answered and has no answer" in line for line in found)
    assert any(f"{number} says nothing" in line for line in found)
    for impossible in ({"state": "closed"}, {"answered_at": None}, {"resident_id": None}, {"topic": "site"}):
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(sa.update(Feedback).values(impossible))


# --- the API ---------------------------------------------------------------------------------------------------


def test_the_api_takes_in_and_shows(world: World) -> None:
    resident, site = world.resident(), world.site("clean_plate")
    token = world.token(resident)
    body = {"kind": "question", "text": "几点开门？", "about": {"topic": "site", "id": str(site.id)}}
    call = lambda body, key="one": world.call(  # noqa: E731
        "POST", "/feedback", token, json=body, headers={"Idempotency-Key": key} if key else {}
    )
    made = call(body)
    assert made.status_code == 201
    one = made.get_json()["feedback"]
    assert (one["kind"], one["state"], one["about"]) == ("question", "open", body["about"])
    again = call(body)
    assert (again.get_json(), again.headers["Idempotent-Replayed"]) == (made.get_json(), "true")
    for wrong, key, status, code in (
        ({**body, "text": "别的"}, "one", 409, "idempotency_key_reused"),
        (body, None, 400, "idempotency_key_missing"),
        ({**body, "text": " "}, "two", 422, "invalid_fields"),
        ({**body, "text": "长" * 2001}, "two", 422, "invalid_fields"),
        ({**body, "kind": "praise"}, "two", 422, "invalid_fields"),
        ({**body, "about": {"topic": "action", "id": str(site.id)}}, "two", 404, "not_found"),
    ):
        answer = call(wrong, key)
        assert (answer.status_code, answer.get_json()["code"]) == (status, code)
        assert answer.content_type.startswith("application/problem+json")
    reply(world, world.officer, UUID(one["id"]), "八点")
    (thread,) = world.call("GET", "/me/feedback", token).get_json()["feedback"]
    assert thread["state"] == "answered"
    assert [(said["by_staff"], said["text"]) for said in thread["entries"]] == [
        (False, "几点开门？"),
        (True, "八点"),
    ]
    other = world.token(world.resident())
    assert world.call("GET", "/me/feedback", other).get_json() == {"feedback": []}
    staff = world.token(world.officer, Role.OFFICER)
    assert world.call("GET", "/me/feedback", staff).status_code == 403
    for _ in range(MOST_OPEN):
        call({**body, "text": f"第 {ids.new_id()}"}, ids.new_id().hex)
    assert call({**body, "text": "第六"}, "six").get_json()["code"] == "too_many_open"


# --- help, and the ways there -----------------------------------------------------------------------------------


def test_help_answers_in_both_languages_and_leads_on(world: World) -> None:
    me = browser(world, None)
    page = me.get("/help")
    for name in ("扫码", "积分", "减排量", "隐私", "没被记录怎么办"):
        assert f">{name}</h2>" in page
    assert "<script>" not in page
    assert page.count("<details>") >= 12
    for link in ("/feedback", "/me/statement", "/view/elder?next=/help"):
        assert f'href="{link}"' in page
    assert "tel:" not in page
    assert not re.search(
        r"[\u4e00-\u9fff]{2}",
        re.sub(r"<nav.*?</nav>|<a [^>]*lang=.*?</a>", "", _main(browser(world, None, "en").get("/help"))),
    )
    for path in ("/", "/no-such-page"):
        assert 'href="/help"' in me.get(path)


def _main(page: str) -> str:
    return page[page.index("<main") : page.index("</main>")]


def test_a_refused_scan_leads_to_feedback_about_its_site(world: World) -> None:
    resident, site = world.resident(), world.site("clean_plate")
    code = world.code_at(site)
    world.scan(resident, code)
    me = browser(world, resident)
    me.get(f"/s/{code}")
    page = me.send("/s/")
    assert me.status == 409
    assert f'href="/feedback?kind=complaint&amp;site={site.id}"' in page
    assert 'href="/feedback?kind=complaint"' in me.get("/s/AAAAAAAAAAAAAAAAAAAAAAAA")
