"""The audit trail is chained: whatever is done to it, the verifier names the first bad entry, and kept heads show a cut-off end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import col, select

from tanpuhui import audit, audit_chain, clock, verify_audit
from tanpuhui.audit import AuditEntry
from tanpuhui.rooms import House
from tanpuhui.verify_audit import NOTHING, link_of
from tests.threads import at_once

START = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)


def note(house: House, number: int) -> None:
    """A deed of the operator."""
    with house.db.session() as session:
        audit.note(
            session,
            actor_kind="operator",
            actor_id=None,
            deed="site.created",
            subject=f"site:{number}",
            reason="因为 “需要” ☃",
            kinds=["walk", {"b": 1, "a": None}],
        )


def seal(house: House) -> None:
    """What the worker does every minute."""
    house.db.run(lambda connection: audit_chain.seal(house, connection, clock.now()))


def broken(house: House) -> list[str]:
    """What `tanpuhui verify` says of the trail."""
    with house.db.reading() as connection:
        return list(audit_chain.broken(connection))


@pytest.fixture
def sealed(house: House) -> House:
    """Five days with two entries each, sealed as they went: a head after each two."""
    for day in range(5):
        with time_machine.travel(START + timedelta(days=day), tick=True):
            note(house, 2 * day + 1)
            note(house, 2 * day + 2)
            seal(house)
    return house


def tamper(house: House, work: Callable[[sa.Connection], None]) -> None:
    """What somebody does who owns the database: the triggers are no obstacle."""
    with house.db.transaction() as connection:
        for table in ("audit_entry", "audit_link", "audit_head"):
            if house.db.is_sqlite:
                for verb in ("update", "delete"):
                    connection.execute(sa.text(f"DROP TRIGGER IF EXISTS {table}_no_{verb}"))
            else:
                connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        work(connection)


def entry_at(connection: sa.Connection, position: int) -> UUID:
    """The entry at a position."""
    found = select(audit_chain.AuditLink.entry_id).where(audit_chain.AuditLink.position == position)
    return connection.execute(found).scalar_one()


ENTRY, LINK, HEAD = (
    sa.inspect(table).local_table for table in (AuditEntry, audit_chain.AuditLink, audit_chain.AuditHead)
)


def edit(connection: sa.Connection, position: int = 5, **values: object) -> None:
    """Change an entry."""
    connection.execute(
        sa.update(ENTRY)
        .where(ENTRY.c.id == entry_at(connection, position))
        .values(values or {"reason": "别的"})
    )


def delete(connection: sa.Connection) -> None:
    """Take an entry away, its link stays."""
    connection.execute(sa.delete(ENTRY).where(ENTRY.c.id == entry_at(connection, 5)))


def delete_whole(connection: sa.Connection) -> None:
    """Take an entry and its link away."""
    delete(connection)
    connection.execute(sa.delete(LINK).where(LINK.c.position == 5))


def insert(connection: sa.Connection) -> None:
    """Put in an entry of long ago."""
    values = {
        "id": UUID(int=7),
        "at": START,
        "actor_kind": "operator",
        "deed": "site.closed",
        "subject": "site:9",
    }
    connection.execute(sa.insert(ENTRY).values({**values, "reason": "", "detail": {}}))


def insert_linked(connection: sa.Connection) -> None:
    """Put in an entry between two, and move everything behind it on by one, without computing the hashes again."""
    insert(connection)
    for position in range(10, 4, -1):
        connection.execute(sa.update(LINK).where(LINK.c.position == position).values(position=position + 1))
    values = {"position": 5, "entry_id": UUID(int=7), "hash": "f" * 64, "sealed_at": START}
    connection.execute(sa.insert(LINK).values(values))


def reorder(connection: sa.Connection) -> None:
    """Let two entries change places."""
    fifth, sixth = entry_at(connection, 5), entry_at(connection, 6)
    for position, entry in ((5, UUID(int=1)), (6, fifth), (5, sixth)):
        connection.execute(sa.update(LINK).where(LINK.c.position == position).values(entry_id=entry))


def cut_off(connection: sa.Connection) -> None:
    """Take away the end of the trail, entries and links."""
    for position in range(5, 11):
        connection.execute(sa.delete(ENTRY).where(ENTRY.c.id == entry_at(connection, position)))
    connection.execute(sa.delete(LINK).where(LINK.c.position >= 5))


def rewrite(connection: sa.Connection) -> None:
    """Change an entry, and compute every hash again: a trail that fits itself."""
    edit(connection)
    previous = NOTHING
    for position in range(1, 11):
        row = connection.execute(
            select(AuditEntry).where(col(AuditEntry.id) == entry_at(connection, position))
        )
        entry = AuditEntry(**row.mappings().one())
        previous = link_of(previous, position, audit_chain.said(entry))
        connection.execute(sa.update(LINK).where(LINK.c.position == position).values(hash=previous))


TAMPERING = [
    (edit, "position 5: site.created of site:5"),
    (delete, "position 5: its entry is gone"),
    (delete_whole, "position 5: missing"),
    (insert, "site.closed of site:9"),
    (insert_linked, "position 5: site.closed of site:9"),
    (reorder, "position 5: site.created of site:6"),
    (cut_off, "position 5: cut off; the head of 2026-06-02"),
    (rewrite, "position 6: the trail up to here is not the one whose head was kept of 2026-06-02"),
]


def test_every_kind_of_tampering_is_found_at_its_first_entry(sealed: House) -> None:
    assert broken(sealed) == []
    with sealed.db.reading_session() as session:
        heads = audit_chain.heads(session)
    assert [(head["day"], head["position"]) for head in heads] == [
        (f"2026-0{'5-31' if day == 0 else f'6-0{day}'}", 2 * day + 2) for day in range(5)
    ]
    for work, said in TAMPERING:
        with pytest.raises(Undo):  # what was tampered with is as before
            tamper(sealed, lambda connection, work=work, said=said: _look(connection, work, said))
    assert broken(sealed) == []


class Undo(Exception):
    """Ends a transaction that was to be looked at."""


def _look(connection: sa.Connection, work: Callable[[sa.Connection], None], said: str) -> None:
    work(connection)
    found = list(audit_chain.broken(connection))
    assert found, work.__name__
    assert found[0].startswith(said), (work.__name__, found)
    raise Undo


def test_kept_heads_and_the_script_alone_find_what_the_database_has_forgotten(
    sealed: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever cuts off the end with its heads leaves a database that fits itself: it takes a copy kept elsewhere."""
    kept, copy = tmp_path / "heads.txt", tmp_path / "trail.jsonl"

    def check() -> tuple[int, str]:
        copy.write_text("".join(audit_chain.trail_lines(sealed)), encoding="utf-8")
        status = verify_audit.main([str(copy), str(kept)])
        return status, capsys.readouterr().out

    with sealed.db.reading_session() as session:
        kept.write_text(audit_chain.heads_text(session), encoding="utf-8")
    assert check() == (0, "As it was sealed, with 5 heads\n")

    def cut(connection: sa.Connection) -> None:
        cut_off(connection)
        connection.execute(sa.delete(HEAD).where(HEAD.c.position >= 5))

    tamper(sealed, cut)
    assert broken(sealed) == []
    status, said = check()
    assert (status, "position 5: cut off; the head of 2026-06-02" in said) == (1, True)
    copy.write_text("{}", encoding="utf-8")
    assert verify_audit.main([str(copy), str(kept)]) == 1
    assert verify_audit.main([str(kept)]) == 2
    assert verify_audit.main([str(tmp_path / "no"), str(kept)]) == 2


def test_an_entry_that_comes_past_a_closed_day_is_named(sealed: House) -> None:
    """It is linked, for it is young enough; what it says of its day is not believed."""
    with time_machine.travel(START + timedelta(days=4, hours=1)):
        entry = AuditEntry(
            at=START + timedelta(days=3, hours=1), actor_kind="operator", deed="a.b", subject="c:1"
        )
        with sealed.db.session() as session:
            session.add(entry)
        seal(sealed)
    assert broken(sealed) == []  # a day late is what a slow clock or a long transaction may be
    with time_machine.travel(START + timedelta(days=5)):
        seal(sealed)
        with sealed.db.session() as session:
            session.add(
                AuditEntry(
                    at=START + timedelta(days=3, hours=3), actor_kind="operator", deed="a.b", subject="c:2"
                )
            )
        seal(sealed)
    (found,) = broken(sealed)
    assert found.startswith("position 12:")
    assert "after 2026-06-05 was closed" in found


def test_many_who_seal_at_once_give_every_entry_one_place(house: House) -> None:
    def note_and_seal(number: int) -> None:
        note(house, number)
        house.db.run(lambda connection: audit_chain.seal(house, connection, clock.now()), attempts=20)

    at_once([lambda number=number: note_and_seal(number) for number in range(6)])  # type: ignore[misc]
    seal(house)
    with house.db.reading_session() as session:
        subjects = [entry["subject"] for entry in audit_chain.trail(session)]
    assert sorted(subjects) == [f"site:{number}" for number in range(6)]
    assert broken(house) == []


@pytest.mark.parametrize("table", audit_chain.APPEND_ONLY)
def test_links_and_heads_are_never_changed(sealed: House, table: str) -> None:
    for statement in (f"UPDATE {table} SET position = position", f"DELETE FROM {table}"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), sealed.db.transaction() as connection:
            connection.execute(sa.text(statement))
