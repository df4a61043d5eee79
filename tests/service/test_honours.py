"""Honours: nominated within one's scope, consented to, decided once by somebody else, checked by anybody, revoked for good."""

import io
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pypdfium2
import pytest
import sqlalchemy as sa
import time_machine
import zxingcpp
from PIL import Image
from sqlmodel import SQLModel, col, select

from rewards import honour_decisions, honour_holders, nominations
from rewards.honours import (
    GUARDS,
    HolderKind,
    Honour,
    HonourConsent,
    HonourKind,
    HonourState,
    Told,
    one,
    read_number,
)
from rewards.nominations import INVITATION_GOOD_FOR
from tanpuhui import classes, clock, consents, people
from tanpuhui.audit import AuditEntry
from tanpuhui.errors import (
    AlreadyDecided,
    ChildsAccount,
    DeciderIsNominator,
    HonourRevoked,
    InvalidField,
    NoConsent,
    NotAllowed,
    NotFound,
)
from tanpuhui.inbox import Message
from tanpuhui.people import CONSENT_VERSION, PRESENT, Consent, Document, Resident
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, create_organisation
from tests.browser import browser
from tests.tables import contents
from tests.threads import at_once, codes
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

VERSION = PRESENT[Document.HONOURS]


def seen(world: World, honour_id: UUID) -> Told:
    with world.house.db.reading_session() as session:
        return one(session, Honour.id == honour_id)


def decide(
    world: World, honour_id: UUID, decision: str = "honoured", because: str = "", by: Any = None
) -> None:
    honour_decisions.decide(world.house, by or world.officer, honour_id, decision, because)


def wrong(error: Any) -> list[str]:
    return [entry["field"] for entry in error.value.params["errors"]]


def letters(world: World, resident: Resident) -> list[str]:
    with world.house.db.reading_session() as session:
        told = select(Message.kind).where(
            Message.resident_id == resident.id, col(Message.kind).like("honour.%")
        )
        return list(session.exec(told.order_by(col(Message.told_at))))


def drop(world: World, *names: str) -> None:
    """Take guards of the table of honours down, as if they had been forgotten."""
    with world.house.db.transaction() as connection:
        for guard in GUARDS:
            if guard.table == "honour" and guard.name in names:
                for statement in guard.drop(connection.dialect.name):
                    connection.execute(sa.text(statement))


def school(world: World) -> tuple[UUID, Principal]:
    admin = world.colleague(Role.ADMIN)
    tenant = create_organisation(world.house, admin, name="第一小学", division_code=COMMUNITY[:9])
    return tenant.id, world.colleague(Role.ORGANISER, organisation=tenant.id)


# --- the way of an honour ----------------------------------------------------------------------------------


def test_from_nomination_to_revocation(world: World) -> None:
    resident = world.resident()
    before = contents(world.house)
    honour_id, token = world.nominate()
    assert seen(world, honour_id).state is HonourState.INVITED
    assert world.accept(resident, token) == honour_id
    assert (seen(world, honour_id).state, seen(world, honour_id).name) == (HonourState.NOMINATED, "绿小一")
    decide(world, honour_id)
    decide(world, honour_id)  # tapped twice
    found = seen(world, honour_id)
    assert (found.state, found.honour.decided_by) == (HonourState.STANDING, world.officer.id)
    assert re.fullmatch(r"H\d{4}-[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}", world.number(honour_id))
    honour_decisions.revoke(world.house, world.second_officer, honour_id, "事由不实")
    honour_decisions.revoke(world.house, world.second_officer, honour_id, "事由不实")
    assert seen(world, honour_id).state is HonourState.REVOKED
    with pytest.raises(HonourRevoked):
        honour_decisions.revoke(world.house, world.officer, honour_id, "另一个原因")
    assert letters(world, resident) == ["honour.honoured", "honour.revoked"]
    after = contents(world.house)
    for untouched in (
        "account",
        "transfer",
        "event_log",
        "daily_figure",
    ):  # no points, no figures, no ranking
        assert after[untouched] == before[untouched]
    assert world.breaches() == []
    with world.house.db.reading_session() as session:
        deeds = session.exec(select(AuditEntry.deed).where(AuditEntry.subject == f"honour:{honour_id}")).all()
    assert sorted(deeds) == ["honour.honoured", "honour.nominated", "honour.revoked"]


def test_a_declined_nomination_is_told_with_its_reason(world: World) -> None:
    resident = world.resident()
    honour_id = world.accept(resident, world.nominate()[1])
    for nothing in ("", " "):
        with pytest.raises(InvalidField) as error:
            decide(world, honour_id, "declined", nothing)
        assert wrong(error) == ["reason"]
    decide(world, honour_id, "declined", "证据不够")
    assert contents(world.house)["honour_consent"] == {}  # the name is needed no more
    for again in (("honoured", ""), ("declined", "别的原因")):
        with pytest.raises(AlreadyDecided):
            decide(world, honour_id, *again)
    with pytest.raises(NotFound):
        honour_decisions.revoke(world.house, world.officer, honour_id, "没有可撤销的")
    with world.house.db.reading_session() as session:
        letter = session.exec(select(Message.id).where(Message.kind == "honour.declined")).one()
    me = browser(world, resident)
    assert "没有通过评定" in me.get("/me/inbox")
    assert "证据不够" in me.get(f"/me/inbox/{letter}")
    assert "证据不够" in me.get("/me/honours")
    assert letters(world, resident) == ["honour.declined"]


# --- who decides -------------------------------------------------------------------------------------------


def test_nobody_decides_on_their_own_nomination(world: World) -> None:
    both = world.colleague(Role.OFFICER, Role.ORGANISER)
    honour_id = world.accept(world.resident(), world.nominate(both)[1])
    with pytest.raises(DeciderIsNominator):
        decide(world, honour_id, by=both)
    for role in (Role.ORGANISER, Role.ADMIN, Role.AUDITOR, Role.MERCHANT, Role.HELPER):
        with pytest.raises(NotAllowed):
            decide(world, honour_id, by=world.colleague(role))
    with pytest.raises(NotAllowed):
        decide(world, honour_id, by=world.colleague(Role.OFFICER, division=OTHER_COMMUNITY))
    decide(world, honour_id)


def overwrite(world: World, honour_id: UUID, by: Principal, decision: str, number: str | None = None) -> None:
    """What a careless service would do: no look at what stands."""
    with world.house.db.transaction() as connection:
        connection.execute(
            sa.update(Honour)
            .where(col(Honour.id) == honour_id)
            .values(
                decision=decision,
                decided_by=by.id,
                decided_at=clock.now(),
                decided_because="原因",
                number=number,
            )
        )


def test_the_database_knows_who_may_not_decide_and_that_it_is_decided_once(world: World) -> None:
    honour_id = world.accept(world.resident(), world.nominate()[1])
    with pytest.raises(sa.exc.DBAPIError):
        overwrite(world, honour_id, world.organiser, "declined")  # who nominated
    with pytest.raises(sa.exc.DBAPIError):
        overwrite(world, honour_id, world.officer, "honoured")  # without a number
    overwrite(world, honour_id, world.officer, "declined")
    with pytest.raises(sa.exc.DBAPIError):
        overwrite(world, honour_id, world.second_officer, "declined")
    drop(world, "once")
    overwrite(world, honour_id, world.second_officer, "honoured", "H2026-0000-0000-0000")  # the control
    assert seen(world, honour_id).honour.decided_by == world.second_officer.id


def test_of_many_who_decide_at_once_one_does(world: World) -> None:
    honour_id = world.accept(world.resident(), world.nominate()[1])
    officers = [world.colleague(Role.OFFICER) for _ in range(6)]

    def say(number: int) -> None:
        decide(
            world,
            honour_id,
            *(("honoured",) if number % 2 else ("declined", f"原因 {number}")),
            by=officers[number],
        )

    said = codes(at_once([lambda number=number: say(number) for number in range(6)]))
    assert sorted(said) == ["already_decided"] * 5 + ["ok"]
    assert seen(world, honour_id).honour.decided_by == officers[said.index("ok")].id
    with world.house.db.reading() as connection:
        told = connection.scalar(sa.text("SELECT count(*) FROM message WHERE kind LIKE 'honour.%'"))
    assert told == 1


def test_without_the_condition_and_its_guard_the_last_of_many_would_win(world: World) -> None:
    """The negative control of the test above."""
    honour_id = world.accept(world.resident(), world.nominate()[1])
    officers = [world.colleague(Role.OFFICER) for _ in range(4)]
    drop(world, "once")
    said = at_once(
        [lambda officer=officer: overwrite(world, honour_id, officer, "declined") for officer in officers]
    )
    assert said == [None] * 4


def test_a_title_is_the_districts_own_and_keeps_its_words(world: World) -> None:
    with pytest.raises(NotAllowed):
        nominations.create_kind(world.house, world.organiser, "低碳之星", "带动邻居一起减排的居民")
    kind = world.honour_kind
    for title, purpose, field in (
        ("低碳之星", "另一种写法", "title"),
        ("星", "带动邻居减排", "title"),
        ("绿色邻里", "好", "purpose"),
    ):
        with pytest.raises(InvalidField) as error:
            nominations.create_kind(world.house, world.officer, title, purpose)
        assert wrong(error) == [field]
    said = at_once(
        [lambda: nominations.create_kind(world.house, world.officer, "绿色邻里", "带动整楼的楼组")] * 4
    )
    assert sorted(codes(said)) == ["invalid_fields"] * 3 + ["ok"]
    with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE honour_kind SET title = '别的'"))
    nominations.retire_kind(world.house, world.officer, kind)
    with pytest.raises(InvalidField) as error:
        world.nominate()
    assert wrong(error) == ["kind"]
    with world.house.db.reading_session() as session:
        assert [kind.title for kind in nominations.kinds(session)] == ["绿色邻里", "低碳之星"]


# --- nominating --------------------------------------------------------------------------------------------


def test_one_nominates_within_ones_scope_with_evidence(world: World) -> None:
    tenant, organiser = school(world)
    for changes, fields in (
        ({"evidence": []}, ["what-0"]),
        ({"evidence": [("", ""), ("  ", "")]}, ["what-0"]),
        ({"evidence": [("登记台帮忙", "")]}, ["source-0"]),
        ({"evidence": [("登记台帮忙", "值班表"), ("", "值班表")]}, ["what-1"]),
        ({"reason": "好人"}, ["reason"]),
        ({"reason": "好" * 161}, ["reason"]),
        ({"scope": f"organisation:{tenant}"}, ["scope"]),
        ({"scope": ""}, ["scope"]),
        ({"kind_id": tenant}, ["kind"]),
        ({"holder": None}, ["holder"]),
        ({"holder": HolderKind.TEAM, "name": "好社区"}, ["agreed"]),
        ({"holder": HolderKind.TEAM, "name": "好", "agreed": True}, ["name"]),
        ({"holder": HolderKind.CLASS, "agreed": True}, ["class_id"]),
    ):
        with pytest.raises(InvalidField) as error:
            world.nominate(**changes)
        assert wrong(error) == fields, changes
    for role in (Role.HELPER, Role.AUDITOR, Role.MERCHANT):
        with pytest.raises(NotAllowed):
            world.nominate(world.colleague(role))
    assert contents(world.house)["honour"] == {}
    honour_id, _ = world.nominate(organiser, scope=f"organisation:{tenant}")
    assert seen(world, honour_id).nominated_for == "第一小学"
    elsewhere = world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY)
    with world.house.db.reading_session() as session:
        assert [found.honour.id for found in nominations.nominated(session, organiser)] == [honour_id]
        assert nominations.nominated(session, elsewhere) == []
        with pytest.raises(NotAllowed):
            nominations.in_scope(session, elsewhere, honour_id)
    with pytest.raises(NotAllowed):
        nominations.invite(world.house, elsewhere, honour_id)
    assert browser(world, elsewhere).get(f"/console/honours/{honour_id}")
    desk = browser(world, elsewhere)
    desk.get(f"/console/honours/{honour_id}")
    assert desk.status == 403


def test_a_team_is_named_in_words_and_can_be_hidden(world: World) -> None:
    honour_id, token = world.nominate(holder=HolderKind.TEAM, name="彭浦新村社区", agreed=True, listed=True)
    assert token == ""
    decide(world, honour_id)
    page = browser(world).get(f"/honours/{world.number(honour_id)}")
    assert "彭浦新村社区" in page
    assert "彭浦新村社区" in browser(world).get("/honours")
    with pytest.raises(NotAllowed):
        nominations.hide(world.house, world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY), honour_id)
    organisers = [world.organiser, world.colleague(Role.ORGANISER)]
    hiding = [lambda who=who: nominations.hide(world.house, who, honour_id) for who in organisers]
    assert codes(at_once(hiding)) == ["ok", "ok"]
    anyone = browser(world)
    assert "彭浦新村社区" not in anyone.get(f"/honours/{world.number(honour_id)}")
    assert "不公开姓名" in anyone.page.text
    assert "彭浦新村社区" not in anyone.get("/honours")
    assert world.breaches() == []


def test_a_class_is_honoured_by_its_label_and_no_childs_account_accepts(world: World) -> None:
    tenant, organiser = school(world)
    classes.create(world.house, organiser, organisation_id=tenant, label="三（2）班", division_code=COMMUNITY)
    with world.house.db.reading_session() as session:
        account = session.exec(select(people.ClassAccount.resident_id)).one()
    of_class = {"holder": HolderKind.CLASS, "class_id": account, "scope": "", "agreed": True}
    with pytest.raises(InvalidField):
        world.nominate(world.colleague(Role.OFFICER), **of_class)  # not theirs
    honour_id, _ = world.nominate(organiser, **of_class)
    decide(world, honour_id)
    assert seen(world, honour_id).name == "第一小学 三（2）班"
    with world.house.db.reading_session() as session:
        teacher = session.get_one(Resident, account)
    assert letters(world, teacher) == ["honour.honoured"]
    guardian = people.join(
        world.house,
        phone="+8613700000001",
        division_code=COMMUNITY,
        consent_version=CONSENT_VERSION,
        of_age=False,
        guardian_version=PRESENT[Document.GUARDIAN],
    )
    _, token = world.nominate()
    for child in (teacher, guardian):
        with pytest.raises(ChildsAccount):
            world.accept(child, token)
    me = browser(world, guardian)
    me.get(f"/honours/accept/{token}")
    assert "孩子的名字不公开" in me.send("accept", name="小明")
    classes.close(world.house, organiser, account)
    assert seen(world, honour_id).name is None
    assert world.breaches() == []


# --- accepting and taking back -----------------------------------------------------------------------------


def test_nobody_is_held_before_they_accept_and_no_nominator_sees_residents(world: World) -> None:
    resident = world.resident()
    honour_id, token = world.nominate()
    assert resident.id.hex not in str(contents(world.house)["honour"]).replace("-", "")
    assert token not in str(contents(world.house))
    me = browser(world, resident)
    page = me.get(f"/honours/accept/{token}")
    for public in ("低碳之星", "每天骑车上班，还教邻居使用会员码", "同意以后公开的，就是这些", "2026-11"):
        assert public in page
    assert seen(world, honour_id).state is HonourState.INVITED  # looking accepts nothing
    me.send("accept", name="  绿小一 ")
    assert me.path == "/me/honours"
    assert seen(world, honour_id).name == "绿小一"
    page = browser(world, world.organiser).get(f"/console/honours/{honour_id}")
    assert str(resident.id) not in page


def test_an_invitation_is_good_once_and_for_a_while(world: World) -> None:
    people_here = world.residents(5)
    honour_id, token = world.nominate()
    said = codes(at_once([lambda one=one: world.accept(one, token) for one in people_here]))
    assert sorted(said) == ["not_found"] * 4 + ["ok"]
    holder = people_here[said.index("ok")]
    assert seen(world, honour_id).honour.resident_id == holder.id
    assert world.accept(holder, token) == honour_id  # tapped twice
    with world.house.db.reading() as connection:  # of those who came too late not even the consent stays
        yes = connection.scalars(
            sa.select(col(Consent.resident_id)).where(col(Consent.document) == "honours")
        ).all()
    assert yes == [holder.id]
    with time_machine.travel(clock.now(), tick=False) as time:
        later, old = world.nominate()
        new = nominations.invite(world.house, world.organiser, later)
        time.shift(INVITATION_GOOD_FOR)
        for ended in (old, new):
            with pytest.raises(NotFound):
                world.accept(people_here[0], ended)
        other = browser(world, people_here[0])
        assert "已用过或已过期" in other.get(f"/honours/accept/{new}")
        assert other.status == 404
        world.accept(people_here[0], nominations.invite(world.house, world.organiser, later))
    with pytest.raises(NotFound):
        nominations.invite(world.house, world.organiser, later)


def test_without_the_condition_two_would_hold_one_honour(world: World) -> None:
    """The negative control: the database lets nobody take an honour that another holds."""
    first, second = world.residents(2)
    honour_id = world.accept(first, world.nominate()[1])

    def take() -> None:
        with world.house.db.transaction() as connection:
            connection.execute(sa.update(Honour).values(resident_id=second.id))

    with pytest.raises(sa.exc.DBAPIError):
        take()
    drop(world, "fixed")
    take()
    assert seen(world, honour_id).honour.resident_id == second.id


def test_nobody_is_honoured_without_consent(world: World) -> None:
    resident = world.resident()
    honour_id, token = world.nominate()
    with pytest.raises(NoConsent):
        decide(world, honour_id)
    world.accept(resident, token)
    honour_holders.hide(world.house, resident.id, honour_id)
    with pytest.raises(NoConsent):
        decide(world, honour_id)
    with pytest.raises(sa.exc.DBAPIError):
        overwrite(world, honour_id, world.officer, "honoured", "H2026-0000-0000-0000")
    honour_holders.show(world.house, resident.id, honour_id, name="再来一次", listed=False, version=VERSION)
    decide(world, honour_id)
    drop(world, "consented")
    unasked, _ = world.nominate()
    overwrite(world, unasked, world.officer, "honoured", "H2026-0000-0000-0001")  # the control


def test_consent_and_decision_at_once_name_nobody_against_their_will(world: World) -> None:
    """Whoever comes first: after both, the honour names nobody, and was given only if the yes still stood then."""
    for _ in range(8):
        resident = world.resident()
        honour_id = world.accept(resident, world.nominate()[1])
        said = codes(
            at_once(
                [
                    lambda honour_id=honour_id: decide(world, honour_id),
                    lambda who=resident.id, honour_id=honour_id: honour_holders.hide(
                        world.house, who, honour_id
                    ),
                ]
            )
        )
        assert said[0] in {"ok", "no_consent"}
        assert said[1] == "ok"
        assert seen(world, honour_id).name is None
    assert world.breaches() == []


@pytest.mark.parametrize("how", ["hide", "switch", "leave"])
def test_a_consent_taken_back_is_gone_at_once_everywhere(world: World, how: str) -> None:
    resident = world.resident()
    honour_id = world.honour(resident, "绿小一", listed=True)
    number = world.number(honour_id)
    anyone = browser(world)
    addresses = [f"/honours/{number}", "/honours", f"/api/v1/honours/{number}"]
    assert all("绿小一" in anyone.get(address) for address in addresses)
    papers = [f"/honours/{number}/certificate.pdf", f"/honours/{number}/poster.png"]
    assert [anyone.client.get(paper).status_code for paper in papers] == [200, 200]
    if how == "hide":
        honour_holders.hide(world.house, resident.id, honour_id)
    elif how == "switch":
        consents.withdraw(world.house, resident.id, Document.HONOURS)
    else:
        people.leave(world.house, resident.id)
    for address in addresses:
        page = anyone.get(address)
        assert "绿小一" not in page
        assert "骑车上班" not in page
    assert "授予过这项荣誉" in anyone.get(addresses[0])
    assert [anyone.client.get(paper).status_code for paper in papers] == [404, 404]
    assert "绿小一" not in str(contents(world.house))
    if how == "leave":
        left = contents(world.house)
        assert "骑车上班" not in str(left)
        assert left["honour_evidence"] == {}
        assert seen(world, honour_id).honour.resident_id is None
    else:
        honour_holders.show(world.house, resident.id, honour_id, name="新名字", listed=False, version=VERSION)
        assert "新名字" in anyone.get(addresses[0])
        assert "新名字" not in anyone.get("/honours")
    assert world.breaches() == []


def test_a_consent_is_to_the_words_of_today(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    resident = world.resident()
    _, token = world.nominate()
    with pytest.raises(InvalidField) as error:
        honour_holders.accept(world.house, resident.id, token, name="绿小一", listed=False, version="2020-01")
    assert wrong(error) == ["version"]
    honour_id = world.accept(resident, token)
    with world.house.db.reading_session() as session:
        (given,) = [one for one in consents.history(session, resident.id) if one.document == "honours"]
    assert (given.version, len(given.text_sha256)) == (VERSION, 64)
    monkeypatch.setitem(PRESENT, Document.HONOURS, "2027-01")
    assert seen(world, honour_id).name is None


def test_a_name_is_read_as_a_nickname_and_printable(world: World) -> None:
    resident = world.resident()
    honour_id, token = world.nominate()
    for name in ("", "   ", "绿" * 13, "13812345678", "。。"):
        with pytest.raises(InvalidField) as error:
            world.accept(resident, token, name)
        assert wrong(error) == ["name"]
    me = browser(world, resident)
    me.get(f"/honours/accept/{token}")
    page = me.send("accept", name="🌱小林", listed="yes")
    assert me.status == 422
    assert "印不出" in page
    assert "🌱小林" in page
    assert "checked" in page
    assert seen(world, honour_id).honour.resident_id is None


def test_a_name_is_changed_at_once(world: World) -> None:
    resident = world.resident()
    honour_id = world.honour(resident, "绿小一", listed=True)
    me = browser(world, resident)
    me.get("/me/honours")
    me.send("/show", name="小林")
    assert (seen(world, honour_id).name, "绿小一" in str(contents(world.house))) == ("小林", False)
    assert "小林" not in browser(world).get("/honours")
    page = me.send("/show", name="")
    assert me.status == 422
    assert "请填写公开显示的名字" in page
    said = codes(
        at_once(
            [
                lambda name=name: honour_holders.show(
                    world.house, resident.id, honour_id, name=name, listed=True, version=VERSION
                )
                for name in "甲乙丙丁"
            ]
        )
    )
    assert said == ["ok"] * 4
    assert seen(world, honour_id).name in set("甲乙丙丁")


def test_ones_own_alone(world: World) -> None:
    mine, other = world.residents(2)
    honour_id = world.honour(mine)
    for change in (
        lambda: honour_holders.hide(world.house, other.id, honour_id),
        lambda: honour_holders.show(
            world.house, other.id, honour_id, name="我的", listed=True, version=VERSION
        ),
        lambda: nominations.hide(world.house, world.organiser, honour_id),
    ):
        with pytest.raises(NotFound):
            change()
    assert seen(world, honour_id).name == "绿小一"
    assert "低碳之星" not in browser(world, other).get("/me/honours")
    assert "低碳之星" in browser(world, mine).get("/me")


# --- papers ------------------------------------------------------------------------------------------------


def test_certificate_and_poster_say_who_and_lead_to_the_page(world: World) -> None:
    number = world.number(world.honour(world.resident()))
    anyone = world.client()
    certificate, poster = (
        anyone.get(f"/honours/{number}/{paper}") for paper in ("certificate.pdf", "poster.png")
    )
    assert (certificate.mimetype, poster.mimetype) == ("application/pdf", "image/png")
    english = {"Accept-Language": "en"}
    for paper, before in (("certificate.pdf", certificate), ("poster.png", poster)):
        assert anyone.get(f"/honours/{number}/{paper}", headers=english).data == before.data  # to the byte
    (sheet,) = pypdfium2.PdfDocument(certificate.data)
    width, height = sheet.get_size()
    assert (round(width), round(height)) == (842, 595)
    text = re.sub(r"\s", "", sheet.get_textpage().get_text_range())
    for said in ("荣誉证书", "绿小一", "低碳之星", "每天骑车上班", number, "静安区"):
        assert said in text
    address = f"{world.house.settings.public_url}/honours/{number}"
    picture = Image.open(io.BytesIO(poster.data))
    assert picture.size == (1080, 1440)
    for image in (picture, sheet.render(scale=2).to_pil()):
        assert [code.text for code in zxingcpp.read_barcodes(image)] == [address]


def test_the_longest_words_fit_on_paper(world: World) -> None:
    tenant = create_organisation(
        world.house, world.colleague(Role.ADMIN), name="很长的学校名称" * 11, division_code=COMMUNITY[:9]
    )
    organiser = world.colleague(Role.ORGANISER, organisation=tenant.id)
    classes.create(
        world.house, organiser, organisation_id=tenant.id, label="班" * 40, division_code=COMMUNITY
    )
    with world.house.db.reading_session() as session:
        account = session.exec(select(people.ClassAccount.resident_id)).one()
    honour_id, _ = world.nominate(
        organiser, holder=HolderKind.CLASS, class_id=account, agreed=True, reason="好" * 160
    )
    decide(world, honour_id)
    for paper in ("certificate.pdf", "poster.png"):
        assert world.client().get(f"/honours/{world.number(honour_id)}/{paper}").status_code == 200


# --- checking ----------------------------------------------------------------------------------------------


def test_anybody_checks_by_the_number_however_it_is_typed(world: World) -> None:
    number = world.number(world.honour(world.resident()))
    anyone = browser(world)
    for typed in (number, number.lower(), number.replace("-", ""), f" {number.replace('-', ' ')} "):
        page = anyone.get(f"/honours?number={typed}")
        assert anyone.path == f"/honours/{number}"
        assert "真实有效" in page
    for typed in ("H2026-0000-0000-0000", "x", "H2026", "T2026-1111-2222-3333"):
        assert "没有找到这项荣誉" in anyone.get(f"/honours/{typed}")
        assert anyone.status == 404
    assert anyone.get("/honours").count(number) == 0  # not listed: nobody asked for it
    assert read_number("h2026-oil0-0000-0000") == "H2026-0110-0000-0000"


def test_a_revoked_one_says_so_with_its_day_and_reason(world: World) -> None:
    resident = world.resident()
    honour_id = world.honour(resident, listed=True)
    number = world.number(honour_id)
    for who in (world.organiser, world.colleague(Role.ADMIN)):
        with pytest.raises(NotAllowed):
            honour_decisions.revoke(world.house, who, honour_id, "事由不实")
    with pytest.raises(InvalidField):
        honour_decisions.revoke(world.house, world.officer, honour_id, " ")
    honour_decisions.revoke(world.house, world.officer, honour_id, "事由不实")
    anyone = browser(world)
    page = anyone.get(f"/honours/{number}")
    assert "已经撤销" in page
    assert "真实有效" not in page
    assert "事由不实" in page
    assert number not in anyone.get("/honours")
    for paper in ("certificate.pdf", "poster.png"):
        assert anyone.client.get(f"/honours/{number}/{paper}").status_code == 404
    with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
        connection.execute(
            sa.text("UPDATE honour SET revoked_at = NULL, revoked_by = NULL, revoked_because = NULL")
        )
    told = world.call("GET", f"/honours/{number}").get_json()
    assert (told["state"], told["revoked_because"], told["name"]) == ("revoked", "事由不实", "绿小一")


def test_of_many_who_revoke_at_once_one_does(world: World) -> None:
    honour_id = world.honour(world.resident())
    officers = [world.colleague(Role.OFFICER) for _ in range(4)]
    said = codes(
        at_once(
            [
                lambda officer=officer: honour_decisions.revoke(world.house, officer, honour_id, "事由不实")
                for officer in officers
            ]
        )
    )
    assert sorted(said) == ["honour_revoked"] * 3 + ["ok"]


def test_the_api_tells_what_the_page_tells(world: World) -> None:
    number = world.number(world.honour(world.resident()))
    told = world.call("GET", f"/honours/{number.lower()}")
    assert told.status_code == 200
    body = told.get_json()
    assert (body["number"], body["state"], body["name"], body["title"]) == (
        number,
        "standing",
        "绿小一",
        "低碳之星",
    )
    assert body["honoured_at"].endswith("Z")
    assert world.call("GET", "/honours/H2026-0000-0000-0000").get_json()["code"] == "not_found"


# --- pages -------------------------------------------------------------------------------------------------


def test_the_pages_lead_from_nomination_to_revocation(world: World) -> None:
    officer, organiser = browser(world, world.officer), browser(world, world.organiser)
    assert "还没有设荣誉" in organiser.get("/console/honours")
    officer.get("/bureau/honours")
    page = officer.send("/kinds", title="低碳之星", purpose="好")
    assert officer.status == 422
    assert "低碳之星" in page  # what was typed is kept
    officer.send("/kinds", title="低碳之星", purpose="带动邻居一起减排的居民")
    with world.house.db.reading_session() as session:
        kind = session.exec(select(HonourKind.id)).one()
    organiser.get("/console/honours/new")
    fields = {
        "kind": str(kind),
        "holder": "person",
        "scope": "division:310106",
        "reason": "每天骑车上班，还教邻居使用会员码",
        "what-0": "登记台帮忙六次",
        "source-0": f"{world.house.settings.public_url}/sites",
    }
    page = organiser.send("/console/honours/new", **{**fields, "what-0": ""})
    assert organiser.status == 422
    assert "至少写一条证据" in page or "写明证据" in page
    assert fields["reason"] in page
    page = organiser.send("/console/honours/new", **fields)
    assert '<a href="/sites">' in page
    found = re.search(r"/honours/accept/([\w-]+)", page)
    assert found
    again = organiser.client.get("/console/honours").get_data(as_text=True)
    assert again.count("/console/honours/") - again.count("/console/honours/new") == 1
    resident = world.resident()
    me = browser(world, resident)
    me.get(f"/honours/accept/{found[1]}")
    me.send("accept", name="绿小一", listed="yes")
    assert "等待评定" in me.page.text
    honour_id = seen_id(world)
    assert "绿小一" in officer.get("/bureau/honours")
    officer.get(f"/bureau/honours/{honour_id}")
    officer.send("/decide")
    assert "有效" in officer.page.text
    assert "获得了一项荣誉" in me.get("/me/inbox")
    assert "绿小一" in browser(world).get("/honours")
    page = officer.send("/revoke", reason="")
    assert officer.status == 422
    officer.send("/revoke", reason="事由不实")
    assert "不能恢复" in officer.page.text
    assert "事由不实" in me.get("/me/honours")
    me.send("/hide")
    assert seen(world, honour_id).name is None


def seen_id(world: World) -> UUID:
    with world.house.db.reading_session() as session:
        return session.exec(select(Honour.id)).one()


def test_a_form_sent_twice_makes_one_nomination_and_the_last_invitation_counts(world: World) -> None:
    kind = world.honour_kind
    desk = browser(world, world.organiser)
    desk.get("/console/honours/new")
    path, hidden = desk._form("/console/honours/new")
    fields = {
        "kind": str(kind),
        "holder": "person",
        "scope": "division:310106",
        "reason": "每天骑车上班，还教邻居使用会员码",
        "what-0": "登记台帮忙六次",
        "source-0": "值班表",
    }
    tokens = []
    for _ in range(2):
        page = desk.client.post(path, data={**hidden, **fields}).get_data(as_text=True)
        found = re.search(r"/honours/accept/([\w-]+)", page)
        assert found
        tokens.append(found[1])
    assert len(contents(world.house)["honour"]) == 1
    resident = world.resident()
    with pytest.raises(NotFound):
        world.accept(resident, tokens[0])
    world.accept(resident, tokens[1])
    again = desk.client.post(path, data={**hidden, **fields})  # the page of the answer, loaded anew
    assert again.status_code == 303
    assert len(contents(world.house)["honour"]) == 1


def test_an_officer_is_told_why_they_cannot_decide(world: World) -> None:
    both = world.colleague(Role.OFFICER, Role.ORGANISER)
    honour_id = world.accept(world.resident(), world.nominate(both)[1])
    desk = browser(world, both)
    assert "请另一位工作人员评定" in desk.get(f"/bureau/honours/{honour_id}")
    reader = browser(world, world.colleague(Role.AUDITOR))
    assert "由生态环境局工作人员评定" in reader.get(f"/bureau/honours/{honour_id}")


# --- what must hold ----------------------------------------------------------------------------------------


def test_verify_finds_a_name_without_consent_and_a_nomination_without_evidence(world: World) -> None:
    resident = world.resident()
    honour_id = world.honour(resident)
    assert world.breaches() == []
    with world.house.db.transaction() as connection:
        connection.execute(
            sa.update(Consent).where(col(Consent.document) == "honours").values(withdrawn_at=clock.now())
        )
    assert [line.partition(":")[0] for line in world.breaches()] == [
        "nobody is named for an honour without consent"
    ]
    honour_holders.hide(world.house, resident.id, honour_id)
    with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
        connection.execute(sa.delete(SQLModel.metadata.tables["honour_evidence"]))
    with world.house.db.transaction() as connection:
        for guard in GUARDS:
            if (guard.table, guard.name) == ("honour_evidence", "kept"):
                for statement in guard.drop(connection.dialect.name):
                    connection.execute(sa.text(statement))
        connection.execute(sa.delete(SQLModel.metadata.tables["honour_evidence"]))
    assert [line.partition(":")[0] for line in world.breaches()] == ["every nomination has evidence"]


def test_the_database_keeps_what_was_nominated(world: World) -> None:
    world.honour(world.resident())
    for change in (
        "UPDATE honour SET reason = '别的事由'",
        "UPDATE honour SET nominated_at = decided_at, nominated_by = decided_by",
        "DELETE FROM honour",
        "UPDATE honour_evidence SET text = '别的证据'",
        "UPDATE honour_consent SET name = '别人'",
        "DELETE FROM honour_kind",
    ):
        with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
            connection.execute(sa.text(change))
    with world.house.db.reading_session() as session:
        decided = session.exec(select(Honour)).one().model_dump()
    twin = {**decided, "id": world.honour_kind, "number": "H2026-1111-1111-1111"}
    with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
        connection.execute(sa.insert(Honour).values(twin))
    with world.house.db.reading_session() as session:
        assert session.exec(select(HonourConsent.name)).all() == ["绿小一"]


def test_an_old_nomination_waits_as_long_as_it_takes(world: World) -> None:
    with time_machine.travel(clock.now(), tick=False) as time:
        honour_id = world.accept(world.resident(), world.nominate()[1])
        time.shift(INVITATION_GOOD_FOR + timedelta(days=1))
        decide(world, honour_id)
    assert seen(world, honour_id).state is HonourState.STANDING
