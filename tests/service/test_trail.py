"""The pages of the audit trail: who may look, what is found, what is taken away, and that looking is noted too."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from tanpuhui import audit, audit_chain, clock
from tanpuhui.audit import AuditEntry
from tanpuhui.bureau import trail
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.browser import browser
from tests.world import World


def deeds(world: World, **of: Any) -> list[str]:
    """The deeds in the trail, the first one first."""
    with world.house.db.reading_session() as session:
        found = session.execute(sa.select(AuditEntry).order_by(AuditEntry.at, AuditEntry.id)).scalars()  # type: ignore[arg-type]
        return [one.deed for one in found if all(getattr(one, name) == value for name, value in of.items())]


def do(world: World, who: Principal, subject: str, reason: str, deed: str = "site.closed") -> None:
    """A deed of somebody."""
    with world.house.db.session() as session:
        audit.note_by(session, who, deed=deed, subject=subject, reason=reason)


def test_auditors_search_what_everybody_did(world: World) -> None:
    officer, helper, auditor = world.officer, world.colleague(Role.HELPER), world.colleague(Role.AUDITOR)
    one, other = f"site:{UUID(int=1)}", f"site:{UUID(int=2)}"
    do(world, officer, one, "100% 漏水")
    do(world, helper, other, "搬家", "photo.seen")
    eye = browser(world, auditor)
    page = eye.get("/bureau/audit")
    assert eye.status == 200
    assert all(
        words in page
        for words in ("关闭了点位", "查看了居民的照片", "100% 漏水", "搬家", "稍后封存", "加入成为工作人员")
    )
    with world.house.db.reading_session() as session:
        names = {
            kind: trail.search(session, trail.Asked(_month()), own=who.id)[0][0].actor
            for kind, who in (("officer", officer), ("helper", helper))
        }
    for query, there, gone in (
        ("deed=site.closed", "漏水", "搬家"),
        (f"subject={one}", "漏水", "搬家"),
        ("subject=site", "漏水", "加入成为工作人员</th>"),
        ("text=0%25", "漏水", "搬家"),
        ("text=_", "没有这样的记录", "漏水"),
        (f"actor={names['helper']}", "搬家", "漏水"),
        ("from=2020-01-01&to=2020-01-31", "没有这样的记录", "漏水"),
    ):
        page = eye.get(f"/bureau/audit?{query}")
        assert (eye.status, there in page, gone in page) == (200, True, False), query
    world.house.db.run(lambda connection: audit_chain.seal(world.house, connection, clock.now()))
    assert "稍后封存" not in eye.get("/bureau/audit")
    for wrong in ("from=2020-13-01", "from=2026-02-02&to=2026-01-01", "before=x", "before=2026-01-01~x"):
        assert (eye.get(f"/bureau/audit?{wrong}") != "", eye.status) == (True, 422), wrong
    english = browser(world, auditor, "en").get("/bureau/audit?deed=site.closed")
    assert "Closed the site" in english


def _month() -> Any:
    from tanpuhui.bureau.participation import period_or_month

    return period_or_month(None, None)


def test_pages_follow_each_other_without_gap_or_repetition(world: World) -> None:
    moment = clock.now()
    with world.house.db.session() as session:
        session.add_all(  # many at one moment: the id decides
            AuditEntry(
                at=moment - timedelta(hours=number // 40),
                actor_kind="operator",
                deed="site.open",
                subject=f"site:{number}",
            )
            for number in range(120)
        )
    asked, seen, before = trail.Asked(_month(), deed="site.open"), [], None
    with world.house.db.reading_session() as session:
        while True:
            lines, more = trail.search(session, asked, before=before)
            seen += [line.entry.subject for line in lines]
            if not more:
                break
            before = trail.key_of(trail.key_text(lines[-1].entry))
    assert (len(seen), len(set(seen))) == (120, 120)
    eye = browser(world, world.colleague(Role.AUDITOR))
    page = eye.get("/bureau/audit?deed=site.open")
    following = page[page.rindex("before=") :].split('"')[0].replace("&amp;", "&")
    assert "site:0" not in eye.get(f"/bureau/audit?deed=site.open&{following}")
    assert eye.status == 200


def test_a_copy_is_taken_with_a_reason_and_is_itself_in_the_trail(world: World) -> None:
    auditor = world.colleague(Role.AUDITOR)
    do(world, world.officer, "site:1", "=1+1")
    world.house.db.run(lambda connection: audit_chain.seal(world.house, connection, clock.now()))
    eye = browser(world, auditor)
    eye.get("/bureau/audit?deed=site.closed")
    refused = eye.send("/bureau/audit", reason=" ")
    assert (eye.status, "请写明原因" in refused) == (422, True)
    assert deeds(world, subject="audit") == []
    eye.get("/bureau/audit?deed=site.closed")
    sheet = eye.send("/bureau/audit", reason="年度检查")
    assert eye.page.mimetype == "text/csv"
    assert ("'=1+1" in sheet, "site.closed" in sheet, "staff.joined" in sheet) == (True, True, False)
    eye.get("/bureau/audit")
    chain = eye.send("/bureau/audit", reason="年度核验", chain="1")
    assert chain.startswith('{"format": "tanpuhui-audit-1"}\n')
    assert deeds(world, subject="audit") == ["audit.exported", "audit.chain_exported"]
    public = world.client()
    assert public.get("/audit/heads.txt").get_data(as_text=True).startswith("# day position hash\n")
    assert "def breaches" in public.get("/audit/verify_audit.py").get_data(as_text=True)


def test_everybody_sees_their_own_and_nobody_else_elses(world: World) -> None:
    do(world, world.officer, "site:1", "别人的事")
    shop = world.organisation("甲店")
    for role in Role:
        who = world.colleague(role)
        do(world, who, "site:2", "自己的事")
        person = browser(world, who)
        page = person.get("/desk/audit?actor=staff")
        assert (person.status, "自己的事" in page, "别人的事" in page) == (200, True, False), role
        person.get("/bureau/audit")
        assert person.status == (200 if role in trail.READERS else 403), role
    narrow = browser(world, world.colleague(Role.ADMIN, organisation=shop))
    narrow.get("/bureau/audit")
    assert narrow.status == 403
    assert "/staff/login" in world.client().get("/desk/audit").location
    resident = browser(world, world.resident())
    assert "别人的事" not in resident.get("/bureau/audit")


def test_looking_at_what_is_personal_is_noted_once_a_look(world: World) -> None:
    honour_id, _ = world.nominate()
    officer = browser(world, world.officer)
    for _ in range(2):
        officer.get(f"/bureau/honours/{honour_id}")
        assert officer.status == 200
    assert deeds(world, subject=f"honour:{honour_id}", actor_id=world.officer.id) == ["honour.seen"] * 2
    officer.get("/bureau/honours")
    officer.get(f"/bureau/feedback/{UUID(int=1)}")  # what is not there was not seen
    assert officer.status == 404
    assert deeds(world, actor_id=world.officer.id).count("feedback.seen") == 0
    stranger = browser(world, world.colleague(Role.HELPER))
    stranger.get(f"/bureau/honours/{honour_id}")
    assert (stranger.status, len(deeds(world, deed="honour.seen"))) == (403, 2)
