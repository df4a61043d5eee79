"""After somebody has left: every table, the log of their whole time here, and everything that can be taken out of the
house are searched for their number, nickname, tokens and fingerprints; what is taken out, for their id as well.

What is searched is found by itself: the tables by the database, the exports by the addresses of the app. A kind of data that the
person here has none of, and an address whose blanks cannot be filled in, fail the test: neither is left out in silence.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pypdfium2
import pytest
import sqlalchemy as sa
import structlog
import time_machine
from flask.testing import FlaskClient
from sqlmodel import SQLModel

from activities import codes, devices, members, review, spot_checks, teams
from activities.bands import Band
from activities.campaign_reminders import CampaignReminder
from activities.declaring import report
from activities.otherwise import OtherwiseAnswer
from activities.photos import Photo
from activities.place_hints import PlaceHint
from activities.site_reports import SiteCondition, report as say
from rewards import draw_entries, sealing
from tanpuhui import clock, consents, families, feedback, people, privacy
from tanpuhui.errors import TooSoon
from tanpuhui.identities import OutsideIdentity, fingerprint, link
from tanpuhui.people import CONSENT_VERSION, PRESENT, Document, Resident
from tanpuhui.sessions import Principal
from tanpuhui.sms import SmsSender
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tests.browser import Browser, browser
from tests.past import FOOD
from tests.service.test_adjustments import approve, propose
from tests.service.test_privacy import attend, everything
from tests.tables import contents
from tests.world import COMMUNITY, STREET, World

NUMBER, NICKNAME, WORDS, AT_HOME = "13812345678", "绿小一乙", "我住的楼下那只箱子满了", "三楼种花的那家"
HONOURED_AS = "楼下的王师傅"
PLANTED = datetime(2027, 3, 12, 2, 0, tzinfo=UTC)


class Phone(SmsSender):
    """Their phone."""

    def __init__(self) -> None:
        self.code = ""

    def send(self, _phone: str, text: str) -> None:
        """Keep the code of the message."""
        self.code = re.findall(r"\d{6}", text)[0]


@dataclass
class Life:
    """Somebody's time here: who it was, what leads to them, and the things of theirs that addresses name."""

    resident: Resident
    leads: dict[str, str] = field(default_factory=dict)
    things: dict[str, list[str]] = field(default_factory=dict)


def came_in(world: World) -> Browser:
    """By the pages, with every slip on the way that a log might repeat."""
    phone = world.house.extras[SmsSender]
    me = browser(world)
    me.get("/login")
    me.send("/login", phone=f"+852 {NUMBER}")
    me.send("/login", phone="138-1234-5678")
    me.send("/login/code", code="x")
    me.send("/login/code", code=phone.code)
    if me.path == "/join":
        me.get(f"/join?street={STREET}")
        me.send("/join", division_code=COMMUNITY, age="14")
        me.get(f"/join?street={STREET}")
        me.send("/join", division_code=COMMUNITY, consent_version=CONSENT_VERSION, age="14")
    me.get("/me/nickname")
    me.send("nickname", nickname=NUMBER)
    me.send("nickname", nickname=NICKNAME)
    assert me.path == "/me", me.page.text
    return me


def live(world: World, time: Any) -> Life:
    """Somebody who does everything that there is to do here, over a year."""
    house = world.house
    house.extras[SmsSender] = Phone()
    me = came_in(world)
    with house.db.reading_session() as session:
        resident = people.find_by_phone(session, house.settings, f"+86{NUMBER}")
    assert resident is not None
    grove = world.site("tree_planting", kind="planting_plot")
    planted = world.plant(resident, world.code_at(grove, staffed=True))
    time.move_to(PLANTED.replace(year=2028))
    world.scan(resident, world.code_at(grove, staffed=True), quantity=3)
    me = came_in(world)
    site = world.site("clean_plate", "own_cup")
    code = world.code_at(site)
    me.get(f"/s/{code}?kind=clean_plate")
    me.send("/s/")
    me.get("/view/elder")
    voided = world.scan(resident, code, kind="own_cup", key="key-of-theirs")["action"]["id"]
    review.void_action(house, world.organiser, UUID(voided), "扫错了")
    token = world.token(resident)
    time.shift(timedelta(days=1))
    today = clock.today()
    declaration = report(house, world.officer, FOOD, today - timedelta(days=1), today - timedelta(days=1))
    me = came_in(world)
    buildings = {"kind": "building", "names": ["甲楼", "乙楼"]}
    bonus = {"by": "points", "amount": 5, "cap": 8, "budget": 3}
    campaign = world.campaign(site, bonus=bonus, teams=buildings)
    teams.join(house, resident.id, campaign.id, "甲楼")
    teams.list_me(house, resident.id, campaign.id, version=PRESENT[Document.BOARDS])
    campaign = world.campaign(site, bonus={"by": "points", "amount": 5, "cap": 8, "budget": 3})
    recorded = world.scan(resident, code, kind="clean_plate", key="key-of-theirs-2")
    for document in (Document.PLACE_HINTS, Document.QUESTIONS):
        consents.give(house, resident.id, document, PRESENT[document])
    with house.db.session() as session:
        action_id = UUID(recorded["action"]["id"])
        session.add(PlaceHint(action_id=action_id, band=Band.NEAR, noted_at=clock.now()))
        session.add(OtherwiseAnswer(action_id=action_id, answer="not", answered_at=clock.now()))
        session.add(CampaignReminder(campaign_id=campaign.id, resident_id=resident.id, asked_at=clock.now()))
    with pytest.raises(TooSoon):
        world.scan(resident, code, kind="clean_plate", key="key-of-theirs-3")
    slips = codes.issue_code(house, world.organiser, site.id, kind=codes.CodeKind.SLIPS, copies=1)
    world.scan(resident, codes.slip_token(house.settings, slips.id, 1), kind="own_cup")
    devices.note(house, devices.new_number(), resident.id, 1)
    world.open_self_reports("walk")
    world.self_report(resident, "walk", 5000, photo=Photo(b"\xff\xd8 of theirs", 310106))
    members.own_card(house, resident.id)
    attend(world, resident)
    say(house, Principal("resident", resident.id, resident.id), site.id, SiteCondition.FULL)
    outside = OutsideIdentity(house, "oidc", fingerprint(house.settings, "https://pass.example", "citizen-1"))
    link(house, resident.id, outside)
    world.redeem(resident, world.offer(price="1"), key="voucher-of-theirs")
    feedback.write_in(house, resident.id, key="letter-of-theirs", kind="complaint", text=WORDS)
    approve(world, propose(world, resident))
    world.honour(resident, HONOURED_AS, listed=True)
    draw_entries.enter(house, resident.id, world.draw().id)
    families.make(house, resident.id, label=AT_HOME, adult=True, version=PRESENT[Document.FAMILY])
    with house.db.transaction() as connection:
        spot_checks.draw(house, connection, spot_checks.Scope(site.id), today.replace(day=1), clock.now())
    house.relay.drain()
    sealing.seal_all(house)
    life = Life(resident)
    cookie = me.client.get_cookie(COOKIES["resident"])
    assert cookie
    with house.db.reading() as connection:
        hashes = connection.execute(
            sa.text(
                "SELECT token_hash FROM browser_session WHERE kind = 'resident' "
                "UNION SELECT token_hash FROM api_token WHERE kind = 'resident'"
            )
        ).scalars()
        life.leads = {f"fingerprint {index}": value for index, value in enumerate(hashes)}
    with house.db.reading_session() as session:
        sealed = session.get_one(Resident, resident.id).phone_cipher.hex()
    life.leads |= {
        "number": NUMBER,
        "number as typed": "138-1234-5678",
        "nickname": NICKNAME,
        "family": AT_HOME,
        "index": people.blind_index(house.settings, f"+86{NUMBER}"),
        "cookie": cookie.value,
        "token": token,
        "sealed": sealed,
        "key": "key-of-theirs",
        "words": WORDS,
        "honoured as": HONOURED_AS,
        "honoured for": "每天骑车上班，还教邻居使用会员码",
        "identity": outside.key,
    }
    life.things = {
        "planting_id": [planted["id"]],
        "declaration_id": [str(declaration.id)],
        "action_id": [str(row["id"]) for row in privacy.rows_of(house, resident.id)["actions"]],
    }
    return life


@pytest.fixture
def time() -> Iterator[Any]:
    """The planting day; the life goes on from there."""
    with time_machine.travel(PLANTED, tick=False) as traveller:
        yield traveller


# --- what is taken out -------------------------------------------------------------------------------------


#: An id that nothing has.
NOBODY = "00000000-0000-7000-8000-000000000000"


def texts(content: bytes) -> str:
    """All that can be read in a file: a page, a sheet, a PDF, and each file in a zip (XLSX is one)."""
    if content.startswith(b"PK"):
        archive = zipfile.ZipFile(io.BytesIO(content))
        return "\n".join(texts(archive.read(name)) + name for name in archive.namelist())
    if content.startswith(b"%PDF"):
        pages = pypdfium2.PdfDocument(content)
        return "\n".join(page.get_textpage().get_text_bounded() for page in pages) + content.decode("latin-1")
    return content.decode("utf-8", "replace")


def addresses(world: World, life: Life) -> list[str]:
    """Every address that answers GET, its blanks filled in with the things of the person, and with others'."""
    with world.house.db.reading() as connection:

        def column(name: str, table: str) -> list[str]:
            rows = connection.execute(sa.select(SQLModel.metadata.tables[table].c[name])).scalars()
            return [str(row) for row in rows][:40]

        blanks: Mapping[str, list[str]] = {
            **life.things,
            "site_id": column("id", "site"),
            "code_id": column("id", "code"),
            "version_id": column("id", "factor_version")[:3],
            "code": ["clean_plate", "carton_reuse"],
            "adjustment_id": column("id", "adjustment"),
            "campaign_id": column("id", "campaign")[:2],
            "check_id": column("id", "spot_check"),
            "gathering_id": column("id", "gathering"),
            "offer_id": column("id", "offer"),
            "pool_id": column("id", "reward_pool"),
            "redemption_id": column("id", "redemption"),
            "feedback_id": column("id", "feedback"),
            "honour": column("number", "honour"),
            "honour_id": column("id", "honour"),
            "kind_id": column("id", "honour_kind"),
            "message_id": column("id", "message"),
            "provider": ["oidc"],
            "key": ["low_carbon_day"],
            "draw_id": column("id", "draw"),
            "first": ["1"],
            "number": column("number", "member_card"),
            "order_id": column("id", "void_order") or [NOBODY],
            "print_id": column("id", "poster_print") or [NOBODY],
            "proposal_id": [NOBODY],
            "token": ["A" * 24],
            "wanted": ["zh", "standard"],
            "form": ["pdf", "png"],
            "filename": ["app.css"],
            "target_id": column("id", "target") or [NOBODY],
            "task_id": column("id", "target_task") or [NOBODY],
            "pack_id": column("id", "evidence_pack") or [NOBODY],
            "hand_over_id": column("id", "hand_over") or [NOBODY],
            "donation": column("number", "donation_certificate") or ["D2026AAAAAAAAAAAA"],
            "digest": ["0" * 64],
            "size": ["small"],
            "name": ["2026-06"],
        }
    found = []
    for rule in world.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()):
            continue
        for filled in product(*(blanks[name] for name in sorted(rule.arguments))):
            values = dict(zip(sorted(rule.arguments), filled, strict=True))
            address = rule.rule
            for name, value in values.items():
                address = re.sub(rf"<(?:[^<>]*:)?{name}>", quote(value), address)
            found.append(address)
    return found


def taken_out(world: World, life: Life) -> str:
    """Whatever anybody can take out of the house: visitors, another resident (and their own copy), staff, machines."""
    boss = world.colleague(Role.OFFICER, Role.ADMIN, Role.AUDITOR, Role.ORGANISER)
    other = world.resident()
    clients = [browser(world, who) for who in (None, other, boss)]
    tokens = [world.token(other), *(world.token(boss, role) for role in (Role.OFFICER, Role.AUDITOR))]
    parts = []
    for address in addresses(world, life):
        for client in clients:
            parts.append(read(client.client, address))
        if address.startswith("/api/"):
            for token in tokens:
                parts.append(read(world.client(), address, {"Authorization": f"Bearer {token}"}))
    clients[1].get("/me/privacy")
    path, hidden = clients[1]._form("download")
    parts.append(texts(clients[1].client.post(path, data=hidden).get_data()))
    return "\n".join(parts)


def read(client: FlaskClient, address: str, headers: Mapping[str, str] | None = None) -> str:
    told = client.get(address, headers=headers)
    assert told.status_code != 500, address
    return texts(told.get_data())


# --- the tests ---------------------------------------------------------------------------------------------


def test_every_table_of_the_database_is_searched(world: World) -> None:
    with world.house.db.engine.connect() as connection:
        there = set(sa.inspect(connection).get_table_names())
    assert there - {"alembic_version"} == set(contents(world.house))


def test_after_a_whole_life_here_nothing_leads_back(
    world: World, time: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.get_logger().info("the log is looked at")
    life = live(world, time)
    held = privacy.overview(world.house, life.resident.id)
    assert [
        one.holding.key for one in held if not one.rows
    ] == []  # a kind of data that was not lived is not tested
    before = everything(world)
    for name in ("nickname", "index", "sealed", "fingerprint 0", "key", "words", "identity", "honoured as"):
        assert life.leads[name] in before, name  # the search finds what is there
    assert NICKNAME in browser(world, life.resident).get("/me")
    people.leave(world.house, life.resident.id)
    world.house.relay.drain()

    after = everything(world).replace("-", "")
    out = taken_out(world, life)
    said = capsys.readouterr()
    log = said.out + said.err
    assert "the log is looked at" in log
    for name, lead in life.leads.items():
        assert lead.replace("-", "") not in after, name
        assert lead not in out, name
        assert lead not in log, name
    for written in (str(life.resident.id), life.resident.id.hex):
        assert written not in out
    assert world.breaches() == []
    assert world.figure_differences() == []


def test_the_id_that_stays_leads_to_no_person(world: World, time: Any) -> None:
    """It names rows that say what was done, where and when, and a resident of whom nothing else is known."""
    life = live(world, time)
    people.leave(world.house, life.resident.id)
    with world.house.db.reading_session() as session:
        left = session.get_one(Resident, life.resident.id).model_dump()
    assert left.keys() - {"id", "division_code", "joined_at", "status", "with_points", "account_kind"} == {
        "phone_index", "phone_cipher", "nickname", "shares",
    }  # fmt: skip
    assert left["phone_index"] == f"closed:{life.resident.id.hex}"
    assert not left["phone_cipher"]
    assert left["nickname"] is None
    assert not left["shares"]
    tables = {
        table
        for table, rows in contents(world.house).items()
        if any(life.resident.id.hex in json.dumps(row, default=str).replace("-", "") for row in rows.values())
    }
    declared = {name for holding in world.house.holdings for name in holding.tables}
    assert tables - declared == {"daily_participant", "campaign_participant"} - declared
    gone = {
        "login_code",
        "browser_session",
        "api_token",
        "display_choice",
        "stored_answer",
        "identity",
        "message",
        "scan_attempt",
        "device_use",
        "member_card",
        "sign_up",
        "check_in",
        "campaign_entry",
        "board_listing",
        "campaign_reminder",
        "family_account",
        "family_guardian",
    }
    assert not tables & gone


def test_the_search_reads_pages_sheets_zips_and_pdfs(world: World) -> None:
    resident = world.resident()
    grove = world.site("tree_planting", kind="planting_plot", name="找得到的小树林")
    planting = world.plant(resident, world.code_at(grove, staffed=True))["id"]
    me = browser(world, resident)
    assert "找得到的小树林" in read(me.client, f"/me/plantings/{planting}/certificate.pdf")
    me.get("/me/privacy")
    path, hidden = me._form("download")
    assert resident.division_code in texts(me.client.post(path, data=hidden).get_data())
