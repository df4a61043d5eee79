"""The privacy centre: everything held is declared, can be taken along, is forgotten in time and on leaving."""

import csv
import io
import json
import re
import zipfile
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import structlog
import time_machine
from sqlmodel import SQLModel, select

from activities import check_ins, devices, gatherings, members, taking_part
from activities.bands import Band
from activities.campaign_reminders import CampaignReminder
from activities.otherwise import OtherwiseAnswer
from activities.photos import Photo
from activities.place_hints import PlaceHint
from activities.site_reports import SiteCondition, report
from rewards import draw_entries, sealing
from tanpuhui import classes, clock, consents, displays, families, feedback, login, people, privacy, staff
from tanpuhui.classes import MANAGERS
from tanpuhui.displays import Display
from tanpuhui.errors import InvalidField, NotAllowed, NotFound, TooSoon
from tanpuhui.events import event_class
from tanpuhui.holdings import Holding, older, own
from tanpuhui.identities import OutsideIdentity, fingerprint, link
from tanpuhui.jobs import run_due
from tanpuhui.people import CONSENT_VERSION, PRESENT, ClassAccount, Consent, Document, Resident, consent_text
from tanpuhui.sessions import Doorkeeper, Principal, new_session
from tanpuhui.sms import SmsSender
from tanpuhui.staff import Role
from tests.browser import Browser, browser
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import COMMUNITY, OTHER_COMMUNITY, STREET, World

NUMBER, NICKNAME, WORDS, AT_HOME = "13812345678", "绿小一乙", "住在二楼的老王说", "三楼种花的那家"
HONOURED_AS = "二楼的王师傅"


class Silence(SmsSender):
    """Sends nothing anywhere."""

    def send(self, _phone: str, _text: str) -> None:
        """Nothing."""


def join(world: World, **more: Any) -> Resident:
    return people.join(
        world.house,
        phone=f"+86{NUMBER}",
        division_code=COMMUNITY,
        consent_version=CONSENT_VERSION,
        **more,
    )


def live(world: World) -> tuple[Resident, dict[str, str]]:
    """A resident of whom there is a row of nearly every kind; and what of it leads to them, by name."""
    house = world.house
    house.extras[SmsSender] = Silence()
    login.request_code(house, phone=NUMBER, address="192.0.2.1")
    resident = join(world)
    people.rename(house, resident.id, NICKNAME)
    with house.db.transaction() as connection:
        displays.choose(connection, resident.id, Display.ELDER)
    outside = OutsideIdentity(house, "oidc", fingerprint(house.settings, "https://pass.example", "citizen-1"))
    link(house, resident.id, outside)
    site = world.site("clean_plate", "own_cup")
    campaign = world.campaign(site, bonus={"by": "points", "amount": 5, "cap": 8, "budget": 100})
    code = world.code_at(site)
    recorded = world.scan(resident, code, kind="clean_plate", key="key-of-theirs")
    for document in (Document.PLACE_HINTS, Document.QUESTIONS):
        consents.give(house, resident.id, document, PRESENT[document])
    with house.db.session() as session:
        action_id = UUID(recorded["action"]["id"])
        session.add(PlaceHint(action_id=action_id, band=Band.NEAR, noted_at=clock.now()))
        session.add(OtherwiseAnswer(action_id=action_id, answer="not", answered_at=clock.now()))
        session.add(CampaignReminder(campaign_id=campaign.id, resident_id=resident.id, asked_at=clock.now()))
    with pytest.raises(TooSoon):
        world.scan(resident, code, kind="clean_plate", key="another-key-of-theirs")
    devices.note(house, devices.new_number(), resident.id, 1)
    world.open_self_reports("walk")
    world.self_report(resident, "walk", 5000, photo=Photo(b"\xff\xd8 of theirs", 310106))
    members.own_card(house, resident.id)
    report(house, Principal("resident", resident.id, resident.id), site.id, SiteCondition.FULL)
    attend(world, resident)
    voucher = world.redeem(resident, world.offer(price="1"), key="voucher-of-theirs")["voucher"]
    world.hand_over(world.organiser, voucher)
    feedback.write_in(house, resident.id, key="letter-of-theirs", kind="complaint", text=WORDS)
    world.honour(resident, HONOURED_AS, listed=True)
    draw_entries.enter(house, resident.id, world.draw().id)
    families.make(house, resident.id, label=AT_HOME, adult=True, version=PRESENT[Document.FAMILY])
    cookie, token = new_session(house, kind="resident", subject_id=resident.id), world.token(resident)
    house.relay.drain()
    sealing.seal_all(house)
    with house.db.reading() as connection:
        hashes = connection.execute(
            sa.text(
                "SELECT token_hash FROM browser_session WHERE kind = 'resident' "
                "UNION SELECT token_hash FROM api_token WHERE kind = 'resident'"
            )
        ).scalars()
        leads = {f"token {index}": value for index, value in enumerate(hashes)}
    leads |= {
        "number": NUMBER,
        "nickname": NICKNAME,
        "words": WORDS,
        "honoured as": HONOURED_AS,
        "honoured for": "每天骑车上班，还教邻居使用会员码",
        "index": people.blind_index(house.settings, f"+86{NUMBER}"),
        "cookie": cookie,
        "token": token,
        "sealed": resident.phone_cipher.hex(),
        "key": "key-of-theirs",
        "identity": outside.key,
        "family": AT_HOME,
    }
    return resident, leads


def attend(world: World, resident: Resident) -> None:
    """They sign up for a gathering that begins soon, and come."""
    soon = clock.now() + timedelta(minutes=30)
    said = gatherings.GatheringIn(
        title="旧衣修补日",
        kind=gatherings.GatheringKind.REPAIR_DAY,
        place="活动室",
        division_code=COMMUNITY,
        starts_at=soon,
        ends_at=soon + timedelta(hours=2),
        sign_up_until=soon,
        places=5,
    )
    gathering = gatherings.create_gathering(world.house, world.organiser, said)
    taking_part.sign_up(world.house, resident.id, gathering.id)
    check_ins.check_in(world.house, resident.id, gathering.id)


def everything(world: World) -> str:
    """Every column of every table as text; bytes as they are and as hexadecimal."""
    parts = []
    for rows in contents(world.house).values():
        for row in rows.values():
            for value in row:
                if isinstance(value, bytes):
                    parts += [value.hex(), value.decode(errors="replace")]
                elif isinstance(value, dict | list):
                    parts.append(json.dumps(value, ensure_ascii=False))
                else:
                    parts.append(str(value))
    return "\n".join(parts)


# --- one list ----------------------------------------------------------------------------------------------

#: Columns by which a row is some resident's.
_THEIRS = {"resident_id", "owner_id", "source", "destination", "phone_index", "path"}


def tables_of_residents() -> set[str]:
    """Tables with a resident's data: by such a column, or by a key that leads to such a table."""
    tables = SQLModel.metadata.tables
    found = {"browser_session", "api_token"}
    for name, table in tables.items():
        columns = {column.name for column in table.c}
        if columns & (_THEIRS - {"source", "path"}):
            found.add(name)
        if "path" in columns and name == "account":
            found.add(name)
    children = {
        name for name, table in tables.items() for key in table.foreign_keys if key.column.table.name in found
    }
    return found | children


def test_every_table_with_residents_data_is_declared_once(world: World) -> None:
    declared = [name for holding in world.house.holdings for name in holding.tables]
    assert tables_of_residents() - set(declared) == set()
    assert set(declared) <= set(SQLModel.metadata.tables)
    assert len(declared) == len(set(declared))
    keys = [holding.key for holding in world.house.holdings]
    assert len(keys) == len(set(keys))


def test_a_period_without_its_deletion_cannot_be_declared() -> None:
    declared: dict[str, Any] = {
        "key": "k",
        "what": "w",
        "why": "y",
        "tables": ("message",),
        "query": own("message"),
    }
    purge = older("message", "told_at")
    assert Holding(**declared, lasts="%(days)s", kept=timedelta(1), purge=purge).kept
    for wrong in (
        {"lasts": "%(days)s"},
        {"lasts": "%(days)s", "kept": timedelta(1)},
        {"lasts": "", "kept": timedelta(1), "purge": purge},
        {"lasts": "", "purge": purge},
    ):
        with pytest.raises(ValueError, match="do not agree"):
            Holding(**declared, **wrong)


def test_the_pages_show_each_kind_with_its_number_and_its_period(world: World) -> None:
    resident, _ = live(world)
    me, anyone = browser(world, resident), browser(world)
    mine, public = me.get("/me/privacy"), anyone.get("/privacy")
    for holding in world.house.holdings:
        for page in (mine, public):
            assert holding.what in page
            assert holding.why in page
            assert privacy.lasts(holding, "zh") in page
    assert {held.holding.key: held.rows for held in privacy.overview(world.house, resident.id)} == {
        "account": 1, "display": 1, "consents": 6, "family": 1, "honours": 1, "honour_names": 1,
        "place_hints": 1, "otherwise": 1, "reminders": 1, "identities": 1, "login_codes": 1, "sessions": 2, "tokens": 1, "answers": 4,
        "messages": 2, "feedback": 1, "participation": 1, "events": 7, "actions": 2, "sign_ups": 1, "check_ins": 1, "photos": 1, "declared": 0, "spot_checks": 0, "plantings": 0,
        "tree_checks": 0, "site_reports": 1, "code_uses": 0, "attempts": 1, "devices": 1, "member_cards": 1, "balance": 2,
        "transfers": 4, "seals": 4, "adjustments": 0, "bonuses": 1, "vouchers": 1, "tickets": 1, "teams": 0, "boards": 0,
    }  # fmt: skip
    assert "条" not in anyone.get("/privacy?document=boards")
    for wrong in ("?document=x", "?version=2020-01", "?document=boards&version=../x"):
        anyone.get(f"/privacy{wrong}")
        assert anyone.status == 404
    anyone.get("/me/privacy")
    assert anyone.path == "/login"


# --- the copy ----------------------------------------------------------------------------------------------


def download(me: Browser) -> zipfile.ZipFile:
    me.get("/me/privacy")
    path, hidden = me._form("download")
    answer = me.client.post(path, data=hidden, headers=me._headers())
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert answer.headers["Cache-Control"] == "no-store"
    return zipfile.ZipFile(io.BytesIO(answer.get_data()))


def test_the_copy_holds_everything_readable_and_no_secret(world: World) -> None:
    resident, leads = live(world)
    other = world.resident()
    people.rename(world.house, resident.id, "=1+2")
    copy = download(browser(world, resident))
    assert copy.testzip() is None
    keys = [holding.key for holding in world.house.holdings]
    assert sorted(copy.namelist()) == sorted(
        ["README.txt", *(f"{key}.{kind}" for key in keys for kind in ("json", "csv"))]
    )
    held = {key: json.loads(copy.read(f"{key}.json")) for key in keys}
    assert held["account"][0]["phone"] == f"+86{NUMBER}"
    assert held["actions"][0]["kind"] == "clean_plate"
    assert held["transfers"][0]["amount"] == 10
    for key in keys:
        sheet = copy.read(f"{key}.csv")
        assert sheet.startswith(b"\xef\xbb\xbf")
        assert len(list(csv.DictReader(io.StringIO(sheet.decode("utf-8-sig"))))) == len(held[key])
    assert "'=1+2" in copy.read("account.csv").decode("utf-8-sig")  # no spreadsheet runs it
    readme = copy.read("README.txt").decode()
    assert privacy.lasts(world.house.holdings[0], "zh") in readme
    whole = "".join(copy.read(name).decode() for name in copy.namelist())
    for secret in ("sealed", "index", "token 0", "token 1", "cookie", "token", "identity"):
        assert leads[secret] not in whole
    assert str(other.id) not in whole
    assert browser(world, other).get("/me/privacy")


def test_the_copy_comes_in_pieces(world: World) -> None:
    resident, _ = live(world)
    pieces = [piece for piece in privacy.download(world.house, resident.id) if piece]
    assert len(pieces) > len(world.house.holdings)
    assert zipfile.ZipFile(io.BytesIO(b"".join(pieces))).testzip() is None


# --- leaving -----------------------------------------------------------------------------------------------


def exports(world: World) -> list[str]:
    """Whatever staff can take out of the house: every address that answers GET without naming one thing."""
    boss = world.colleague(Role.OFFICER, Role.ADMIN, Role.AUDITOR, Role.ORGANISER)
    desk, tokens = browser(world, boss), [world.token(boss, role) for role in (Role.OFFICER, Role.AUDITOR)]
    found = []
    for rule in world.app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.arguments:
            found.append(desk.client.get(rule.rule).get_data(as_text=True))
            if rule.rule.startswith("/api/"):
                found += [
                    world.call("GET", rule.rule.removeprefix("/api/v1"), token).get_data(as_text=True)
                    for token in tokens
                ]
    return found


def test_after_leaving_nothing_leads_to_the_person(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables, log and exports are searched for the number, the nickname, and every token and fingerprint of
    theirs. What stays is their random number, under which totals still add up."""
    structlog.get_logger().info("the log is looked at")
    resident, leads = live(world)
    held_before = everything(world)
    for name in (
        "nickname",
        "words",
        "honoured as",
        "honoured for",
        "index",
        "sealed",
        "token 0",
        "token 1",
        "key",
        "identity",
    ):
        assert leads[name] in held_before, name  # the search finds what is there
    me = browser(world, resident)
    me.get("/me/privacy")
    me.get("/me/leave")
    figures = contents(world.house)["daily_figure"], contents(world.house)["account"]
    me.send("/me/leave")
    assert me.path == "/left"

    held = everything(world).replace("-", "")
    for name, needle in leads.items():
        assert needle.replace("-", "") not in held, name
    assert resident.id.hex in held
    assert (contents(world.house)["daily_figure"], contents(world.house)["account"]) == figures
    assert world.breaches() == []
    assert world.figure_differences() == []
    out = "\n".join(exports(world))
    log = capsys.readouterr()
    assert "the log is looked at" in log.out + log.err
    for name, needle in leads.items():
        assert needle not in out, name
        assert needle not in log.out + log.err, name
    left = {held.holding.key: held.rows for held in privacy.overview(world.house, resident.id) if held.rows}
    assert left.keys() == {
        "account", "consents", "participation", "events", "actions", "balance", "transfers", "seals", "bonuses", "vouchers",
    }  # fmt: skip


def test_leaving_touches_nobody_else(world: World) -> None:
    resident, _ = live(world)
    other = world.resident()
    people.rename(world.house, other.id, "别人")
    cookie = new_session(world.house, kind="resident", subject_id=other.id)
    world.scan(other, world.code("clean_plate"))
    before = privacy.rows_of(world.house, other.id)
    people.leave(world.house, resident.id)
    assert privacy.rows_of(world.house, other.id) == before
    assert Doorkeeper(world.house).identify_browser(cookie)


# --- periods -----------------------------------------------------------------------------------------------


def test_each_period_is_kept_to_the_day(world: World) -> None:
    """A day before its period ends a row is there, a day after it is gone; what has no period stays."""
    house = world.house
    (job,) = [job for room in house.rooms for job in room.jobs if job.name == "housekeeping"]
    start = clock.now()
    with time_machine.travel(start, tick=False) as time:
        resident, _ = live(world)
        consents.withdraw(house, resident.id, Document.POINTS)
        families.end(house, resident.id)
        with house.db.reading_session() as session:
            (one,) = feedback.own(session, resident.id)
        feedback.close(house, resident.id, one.id)
        with house.db.transaction() as connection:
            connection.execute(sa.text("UPDATE api_token SET revoked_at = issued_at WHERE kind = 'resident'"))
            connection.execute(sa.text("UPDATE browser_session SET expires_at = opened_at"))
        first = {held.holding.key: held.rows for held in privacy.overview(house, resident.id)}
        periods: dict[timedelta, list[str]] = {}
        for holding in house.holdings:
            if holding.kept:
                periods.setdefault(holding.kept, []).append(holding.key)
        assert sum(map(len, periods.values())) == 14
        for kept in sorted(periods):
            for days, gone in ((-1, False), (1, True)):
                time.move_to(start + kept + timedelta(days=days))
                assert run_due(house, job, clock.now())
                rows = {held.holding.key: held.rows for held in privacy.overview(house, resident.id)}
                for key in periods[kept]:
                    over = 2 if key == "consents" else first[key]  # the others stand
                    assert rows[key] == first[key] - (over if gone else 0), (key, days)
        last = {held.holding.key: held.rows for held in privacy.overview(house, resident.id)}
        for holding in house.holdings:
            assert holding.kept or last[holding.key] == first[holding.key]
        assert world.breaches() == []


# --- consents ----------------------------------------------------------------------------------------------


def test_switches_are_off_until_a_yes_to_the_present_text(world: World) -> None:
    resident, house = world.resident(), world.house
    with house.db.reading_session() as session:
        assert dict(consents.switches(session, resident.id)) == {
            Document.POINTS: True,
            Document.BOARDS: False,
            Document.PLACE_HINTS: False,
            Document.QUESTIONS: False,
            Document.HONOURS: False,
        }
    for document in (Document.BOARDS, Document.PLACE_HINTS, Document.QUESTIONS, Document.HONOURS):
        before = contents(house)
        with pytest.raises(InvalidField):
            consents.give(house, resident.id, document, "2020-01")
        assert written(before, contents(house)) == {}
        consents.give(house, resident.id, document, PRESENT[document])
        consents.give(house, resident.id, document, PRESENT[document])
        with house.db.reading() as connection:
            assert consents.stands(connection, resident.id, document)
        consents.withdraw(house, resident.id, document)
        consents.withdraw(house, resident.id, document)
        with house.db.reading() as connection:
            assert not consents.stands(connection, resident.id, document)
        assert written(before, contents(house))["consent"] == {"inserted": 1}
    for document in (Document.PRIVACY, Document.GUARDIAN):
        with pytest.raises(NotFound):
            consents.withdraw(house, resident.id, document)
    people.leave(house, resident.id)
    for call in (
        lambda: consents.give(house, resident.id, Document.BOARDS, PRESENT[Document.BOARDS]),
        lambda: consents.withdraw(house, resident.id, Document.BOARDS),
        lambda: people.rename(house, resident.id, "x"),
    ):
        with pytest.raises(NotFound):
            call()


def test_two_at_once_give_one_consent(world: World) -> None:
    resident = world.resident()
    version = PRESENT[Document.BOARDS]
    give = lambda: consents.give(world.house, resident.id, Document.BOARDS, version)  # noqa: E731
    assert codes(at_once([give] * 6)) == ["ok"] * 6
    with world.house.db.reading_session() as session:
        given = [
            consent for consent in consents.history(session, resident.id) if consent.document == "boards"
        ]
    assert len(given) == 1


def test_an_earlier_text_is_asked_again(world: World) -> None:
    resident = world.resident()
    with world.house.db.session() as session:
        session.exec(sa.update(Consent).where(Consent.document == "privacy").values(version="2026-11"))
    me = browser(world, resident)
    assert "有了新版本" in me.get("/me/privacy")
    path, hidden = me._form("consents")
    assert hidden["document"] == "privacy"
    me.client.post(path, data=hidden)
    page = re.sub(r"</?span[^>]*>", "", me.get("/me/privacy"))
    assert "有了新版本" not in page
    assert page.count("个人信息说明（2026-11 版）") == 1
    assert f"个人信息说明（{CONSENT_VERSION} 版）" in page
    assert world.breaches() == []


def test_every_text_is_there_in_both_languages() -> None:
    for document, version in PRESENT.items():
        assert consent_text("zh", version, document).startswith("# ")
        assert consent_text("en", version, document).startswith("# ")
        assert version in consent_text("zh", version, document)
    assert consent_text("zh", "2026-11") != consent_text("zh")  # the earlier text can still be read


def test_switches_are_turned_on_the_page(world: World) -> None:
    resident = world.resident()
    me = browser(world, resident)
    me.get("/me/privacy")
    _, hidden = me._form("consents")  # the first switch: points, on
    assert (hidden["document"], hidden["wanted"]) == ("points", "off")
    me.send("consents")
    assert me.path == "/me/privacy"
    with world.house.db.reading_session() as session:
        assert not session.get_one(Resident, resident.id).with_points
    me.send("consents", document="boards", wanted="on", version="2020-01")
    assert me.status == 422
    assert "请重新阅读" in me.page.text
    me.get("/me/privacy")
    me.send("consents", document="nothing")
    assert me.status == 404


def test_without_points_records_are_kept_and_nothing_is_credited(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate", "own_cup")
    consents.withdraw(world.house, resident.id, Document.POINTS)
    answer = world.scan(resident, code, kind="clean_plate")
    assert answer["points"] == {"posted": 0, "balance": 0}
    assert answer["action"]["reduction"]["co2e_mg"] > 0
    consents.give(world.house, resident.id, Document.POINTS, PRESENT[Document.POINTS])
    assert world.scan(resident, code, kind="own_cup")["points"]["posted"] > 0
    assert len(contents(world.house)["transfer"]) == 1
    assert world.breaches() == []
    assert world.figure_differences() == []
    with world.house.db.transaction() as connection:  # a credit against their will would be found
        connection.execute(
            sa.text(
                "INSERT INTO transfer (reference, source, destination, amount, balance_after, recorded_at) "
                "SELECT :reference, source, destination, amount, balance_after, recorded_at FROM transfer"
            ),
            {"reference": f"action:{answer['action']['id']}"},
        )
    assert any("switched points off" in line for line in world.breaches())


def test_an_event_of_before_the_switch_is_read_as_with_points(world: World) -> None:
    world.scan(world.resident(), world.code("clean_plate"))
    with world.house.db.reading() as connection:
        payload = connection.execute(
            sa.text("SELECT payload FROM event_log WHERE type = 'action.recorded'")
        ).scalar_one()
    old = json.dumps({name: value for name, value in json.loads(payload).items() if name != "with_points"})
    assert event_class("action.recorded").from_payload(old) == event_class("action.recorded").from_payload(
        payload
    )


# --- children ----------------------------------------------------------------------------------------------


def test_a_child_does_not_join_and_a_guardian_does(world: World) -> None:
    before = contents(world.house)
    for wrong, field in (
        ({"of_age": False}, "age"),
        ({"of_age": False, "guardian_version": ""}, "guardian_version"),
    ):
        with pytest.raises(InvalidField) as error:
            join(world, **wrong)
        assert [bad["field"] for bad in error.value.params["errors"]] == [field]
    assert written(before, contents(world.house)) == {}
    resident = join(world, of_age=False, guardian_version=PRESENT[Document.GUARDIAN])
    with world.house.db.reading_session() as session:
        given = {consent.document for consent in consents.history(session, resident.id)}
    assert given == {"privacy", "points", "guardian"}


def test_joining_asks_the_age_and_sends_a_child_to_the_guardian(world: World) -> None:
    sent: list[str] = []

    class Keeper(SmsSender):
        def send(self, _phone: str, text: str) -> None:
            sent.append(text)

    world.house.extras[SmsSender] = Keeper()
    me = browser(world)
    me.get("/login")
    me.send("/login", phone=NUMBER)
    found = re.search(r"\d{6}", sent[-1])
    assert found
    me.send("/login/code", code=found[0])
    me.get(f"/join?street={STREET}")
    agreed = {"division_code": COMMUNITY, "consent_version": CONSENT_VERSION}
    assert "请先回答是否已满 14 周岁" in me.send("/join", **agreed)
    assert f'value="{COMMUNITY}" selected' in me.page.text  # what was chosen is kept
    assert "监护人同意书" in me.send("/join", **agreed, age="under-14")
    assert "请监护人阅读并同意" in me.send("/join", **agreed)
    assert contents(world.house)["resident"] == {}
    me.send("/join", **agreed, guardian_version=PRESENT[Document.GUARDIAN])
    assert me.path == "/"
    assert "监护人同意书" in me.get("/me/privacy")


def school(world: World) -> tuple[UUID, Principal]:
    """A school, and an organiser of that school only."""
    admin = world.colleague(Role.ADMIN)
    organisation = staff.create_organisation(world.house, admin, name="第一小学", division_code=STREET)
    return organisation.id, world.colleague(Role.ORGANISER, organisation=organisation.id)


def test_a_class_takes_part_without_any_childs_data(world: World) -> None:
    organisation_id, organiser = school(world)
    desk, phone = browser(world, organiser), browser(world)
    desk.get("/console/classes")
    page = desk.send(
        "classes", organisation=str(organisation_id), label=" 三（2）班 ", division_code=COMMUNITY
    )
    link = re.search(r"<code>[^<]*(/class/[\w-]+)</code>", page)
    assert link
    assert "三（2）班" in phone.get(link[1])
    assert "三（2）班" in phone.get(link[1])  # looking at it does not use it up
    phone.send("/class/")
    assert phone.path == "/"
    assert "三（2）班" in phone.get("/me")
    assert browser(world).get(link[1]).count("已用过或已过期") == 1
    with world.house.db.reading_session() as session:
        account = session.exec(select(ClassAccount)).one()
        resident = session.get_one(Resident, account.resident_id)
    assert (resident.phone_cipher, account.link_hash) == (b"", None)
    assert resident.phone_index == f"class:{resident.id.hex}"
    assert world.scan(resident, world.code("clean_plate"))["points"]["posted"] == 10
    assert "三（2）班" in json.dumps(
        privacy.rows_of(world.house, resident.id), default=str, ensure_ascii=False
    )
    assert world.breaches() == []

    renewed = classes.renew(world.house, organiser, resident.id)
    assert classes.label_of(world.house, renewed) == "三（2）班"
    desk.get("/console/classes")
    desk.send("/close")
    assert classes.label_of(world.house, renewed) is None
    phone.get("/me")
    assert phone.path == "/login"
    assert contents(world.house)["class_account"] == {}
    assert world.breaches() == []
    assert world.figure_differences() == []
    again = classes.create(
        world.house, organiser, organisation_id=organisation_id, label="三（2）班", division_code=COMMUNITY
    )
    assert classes.label_of(world.house, again)


def class_account(world: World) -> UUID:
    with world.house.db.reading_session() as session:
        return session.exec(select(people.ClassAccount.resident_id)).one()


def test_a_class_link_opens_once_and_for_a_while(world: World) -> None:
    organisation_id, organiser = school(world)
    make = {"organisation_id": organisation_id, "division_code": COMMUNITY}
    with time_machine.travel(clock.now(), tick=False) as time:
        token = classes.create(world.house, organiser, label="一班", **make)
        results = codes(at_once([lambda: classes.open_with(world.house, token)] * 6))
        assert sorted(results) == ["not_found"] * 5 + ["ok"]
        new, before = (world.client() for _ in range(2))
        for phone in (before, new):  # a phone is lost, and a new one opened with a new link
            listed = class_account(world)
            link = f"/class/{classes.renew(world.house, organiser, listed)}"
            page = phone.get(link).text
            found = re.search(r'name="csrf_token" value="([^"]+)"', page)
            assert found
            phone.post(link, data={"csrf_token": found[1]})
        assert (before.get("/me").status_code, new.get("/me").status_code) == (302, 200)
        late = classes.create(world.house, organiser, label="二班", **make)
        time.shift(classes.LINK_GOOD_FOR)
        with pytest.raises(NotFound):
            classes.open_with(world.house, late)
        assert classes.label_of(world.house, late) is None


def test_a_class_is_made_by_those_responsible_and_for_their_place(world: World) -> None:
    organisation_id, organiser = school(world)
    other = staff.create_organisation(
        world.house, world.colleague(Role.ADMIN), name="第二小学", division_code=OTHER_COMMUNITY[:9]
    )
    make = {"label": "一班", "division_code": COMMUNITY}
    classes.create(world.house, organiser, organisation_id=organisation_id, **make)
    before = contents(world.house)
    with pytest.raises(NotAllowed):
        classes.create(world.house, organiser, organisation_id=other.id, **make)
    with pytest.raises(NotAllowed):
        classes.create(world.house, world.colleague(Role.OFFICER), organisation_id=organisation_id, **make)
    for wrong, field in (
        ({"label": "一班"}, "label"),
        ({"label": "  "}, "label"),
        ({"label": "班" * 41}, "label"),
        ({"label": "二班", "division_code": OTHER_COMMUNITY}, "division_code"),
        ({"label": "二班", "division_code": STREET}, "division_code"),
    ):
        with pytest.raises(InvalidField) as error:
            classes.create(world.house, organiser, organisation_id=organisation_id, **{**make, **wrong})
        assert [bad["field"] for bad in error.value.params["errors"]] == [field]
    changed = written(before, contents(world.house))
    assert changed.keys() <= {"staff", "role_grant", "audit_entry"}
    assert Role.HELPER not in MANAGERS
    with world.house.db.reading_session() as session:
        assert [one.name for one in classes.organisations_of(session, organiser)] == ["第一小学"]


# --- the nickname ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["<script>alert(1)</script>"[:12], "👩‍🌾绿", "'; DROP--", "عبق الزهور"])
def test_an_odd_nickname_is_kept_and_shown_as_text(world: World, typed: str) -> None:
    me = browser(world, world.resident())
    me.get("/me/nickname")
    page = me.send("nickname", nickname=typed)
    assert me.path == "/me"
    assert "<script>al" not in page
    assert re.search(r"<bdi>[^<]+</bdi>", page)
    me.get("/me/nickname")
    me.send("nickname", nickname="")
    assert "<bdi>" not in me.get("/me")


def test_a_refused_nickname_stays_in_its_field(world: World) -> None:
    me = browser(world, world.resident())
    me.get("/me/nickname")
    page = me.send("nickname", nickname="绿" * 500)
    assert me.status == 422
    assert "昵称最多 12 个字" in page
    assert "绿" * 500 in page
