"""Evidence packs: what they say, that they stay, and who may make one."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID
from zipfile import ZipFile

import pypdfium2
import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import select

from activities import evidence_packs, review
from activities.evidence_packs import EvidencePack
from activities.evidence_papers import pack_zip
from tanpuhui import clock
from tanpuhui.audit import AuditEntry
from tanpuhui.bureau.withheld import decide
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.browser import browser
from tests.threads import at_once
from tests.world import COMMUNITY, OTHER_COMMUNITY, STREET, World

NOW = datetime(2027, 6, 10, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def lived(world: World, organisation: UUID | None = None) -> list[UUID]:
    """Seven people at a canteen and five with a cup there, the street's own; five of another street with a cup."""
    site = world.site("clean_plate", "own_cup", organisation_id=organisation, name="里弄食堂")
    code, made = world.code_at(site), []
    for one in world.residents(7):
        made.append(UUID(world.scan(one, code, kind="clean_plate")["action"]["id"]))
    for one in [*world.residents(5), *(world.resident(OTHER_COMMUNITY) for _ in range(5))]:
        world.scan(one, code, kind="own_cup")
    world.house.relay.drain()
    with world.house.db.transaction() as connection:
        decide(world.house, connection, clock.now())
    return made


def make(
    world: World, scope: str, who: Principal | None = None, year: str = "2027", **more: Any
) -> EvidencePack:
    pack_id = evidence_packs.make(world.house, who or world.officer, scope, year, draw=pack_zip, **more)
    return read(world, pack_id)


def read(world: World, pack_id: UUID) -> EvidencePack:
    with world.house.db.reading_session() as session:
        return session.get_one(EvidencePack, pack_id)


def text_of(pdf: bytes) -> str:
    return "".join(page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(pdf))


def test_a_pack_stays_as_it_was_and_another_one_replaces_it(world: World, time: Any) -> None:
    (first, *_) = lived(world)
    boss = browser(world, world.officer)
    boss.get("/bureau/evidence")
    page = boss.send("/bureau/evidence", scope=COMMUNITY, year="2027")
    assert "里弄食堂" in page
    assert "不是认证，也不是核证的减排量" in page
    pack_id = UUID(boss.path.rsplit("/", 1)[1])
    pack = read(world, pack_id)
    files = {name: boss.client.get(f"{boss.path}/{name}").data for name in ("evidence.zip", "evidence.csv")}
    with ZipFile(io.BytesIO(files["evidence.zip"])) as inside:
        manifest = dict(
            reversed(line.split("  ")) for line in inside.read("MANIFEST.sha256").decode().splitlines()
        )
        assert manifest == {
            name: sha256(inside.read(name)).hexdigest()
            for name in inside.namelist()
            if name != "MANIFEST.sha256"
        }
        assert "Evidence" in text_of(inside.read("evidence.en.pdf"))
        assert "估算减排量" in text_of(inside.read("evidence.zh.pdf"))
    assert files["evidence.csv"].count(b"\n") > 20
    (whole,) = pack.snapshot["tables"]["year"]
    assert (whole["verified"]["actions"], whole["participants"]) == (
        12,
        12,
    )  # the five live in another street
    assert {row["withheld"] for row in pack.snapshot["tables"]["kind"]} == {"fine"}
    with world.house.db.reading_session() as session:
        noted = session.exec(select(AuditEntry).where(AuditEntry.deed == "evidence.made")).one()
        assert (noted.subject, noted.detail["number"]) == (f"evidence:{pack_id}", 1)

    review.void_action(world.house, world.officer, first, "测试")
    time.shift(timedelta(days=40))
    world.house.relay.drain()
    with world.house.db.transaction() as connection:
        decide(world.house, connection, clock.now())
    again = browser(world, world.officer).client.get(f"{boss.path}/evidence.zip").data
    assert again == files["evidence.zip"] == pack_zip(pack.snapshot)
    later = make(world, COMMUNITY)
    assert later.snapshot["tables"]["year"][0]["verified"]["actions"] == 11
    assert later.snapshot["replaces"]["id"] == str(pack_id)
    listed = browser(world, world.officer).get("/bureau/evidence")
    assert listed.count("已有更新的一份") == 1
    with pytest.raises(sa.exc.DBAPIError, match="never changed"), world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE evidence_pack SET year = 2026"))


def test_an_organisation_tells_what_was_done_at_its_sites_and_nothing_of_a_few(world: World) -> None:
    school = world.organisation("江宁路小学")
    made = lived(world, school)
    organiser = world.colleague(Role.ORGANISER, organisation=school)
    pack = make(world, str(school), organiser)
    kinds = {row["key"]: row for row in pack.snapshot["tables"]["kind"]}
    assert (kinds["clean_plate"]["participants"], kinds["own_cup"]["participants"]) == (7, 10)
    assert [venue["name"] for venue in pack.snapshot["venues"]] == ["里弄食堂"]
    assert {row["key"].partition(":")[0] for row in pack.snapshot["factors"]}
    for one in made[:4]:
        review.void_action(world.house, world.officer, one, "测试")
    world.house.relay.drain()
    few = {row["key"]: row for row in make(world, str(school), organiser).snapshot["tables"]["kind"]}
    assert few["clean_plate"]["withheld"] == "few"
    assert few["clean_plate"]["verified"]["co2e_mg"] is None
    assert few["own_cup"]["withheld"] == "few"  # or the other would follow from the whole


def test_who_may_make_what_and_bad_input_in_words(world: World) -> None:
    school, other = world.organisation("江宁路小学"), world.organisation("别的小学")
    organiser = browser(world, world.colleague(Role.ORGANISER, organisation=school))
    organiser.get("/bureau/evidence")
    for fields, words in (
        ({"scope": "310106999999", "year": "2027"}, "没有这个社区、街镇或单位"),
        ({"scope": str(school), "year": "2028"}, "这一年还没有开始"),
        ({"scope": str(school), "year": "last"}, "请填写四位数的年份"),
    ):
        assert words in organiser.send("/bureau/evidence", **fields)
        assert organiser.status == 422
        organiser.get("/bureau/evidence")
    for scope in (str(other), STREET, COMMUNITY):
        organiser.send("/bureau/evidence", scope=scope, year="2027")
        assert organiser.status == 403
        organiser.get("/bureau/evidence")
    packs = [make(world, COMMUNITY)]
    trace = f"/bureau/trace?period=2027&amp;area={COMMUNITY}&amp;measure=participants"
    assert trace in browser(world, world.officer).get(f"/bureau/evidence/{packs[0].id}")
    local = browser(
        world, world.colleague(Role.ORGANISER, division=STREET)
    )  # who reads no statistics of the district
    page = local.get(f"/bureau/evidence/{packs[0].id}")
    assert (local.status, "/bureau/trace" in page) == (200, False)
    assert organiser.client.get(f"/bureau/evidence/{packs[0].id}").status_code == 403
    assert organiser.client.get(f"/bureau/evidence/{UUID(int=7)}").status_code == 404
    # At once, each gets a number of its own; sent twice, it is made once.
    chosen = UUID(int=8)
    at_once([lambda: make(world, COMMUNITY)] * 2 + [lambda: make(world, COMMUNITY, chosen=chosen)] * 2)
    with world.house.db.reading_session() as session:
        numbers = session.exec(select(EvidencePack.number).order_by(EvidencePack.number)).all()
    assert numbers == [1, 2, 3, 4]
    assert json.dumps(packs[0].snapshot)
