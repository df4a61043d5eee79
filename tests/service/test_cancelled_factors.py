"""A version published by mistake is cancelled before its first day, and it is as if it had never been."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import SQLModel, col, select

from activities.quantify import proposals, publication, whatif
from activities.quantify.factor_sheet import write_sheet
from activities.quantify.factors import (
    FactorValues,
    FactorVersion,
    VersionState,
    all_versions,
    valid_on,
    version_state,
)
from activities.quantify.proposal_import import import_sheet
from activities.quantify.proposals import values_in
from activities.quantify.register import entries
from tanpuhui import clock
from tanpuhui.audit import AuditEntry
from tanpuhui.errors import (
    CancellerIsPublisher,
    FactorBegun,
    FactorCancelled,
    InvalidField,
    NotAllowed,
    NotFound,
)
from tanpuhui.reference import load_reference
from tanpuhui.staff import Role
from tests.browser import browser
from tests.threads import at_once, codes
from tests.world import STREET, World

TODAY = date(2027, 6, 5)
TOMORROW = TODAY + timedelta(days=1)
LATER = TODAY + timedelta(days=10)
WHY = "单位看错了"
TABLE = SQLModel.metadata.tables["factor_version"]


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(datetime(2027, 6, 5, 2, 0, tzinfo=UTC), tick=False) as traveller:
        yield traveller


def published(world: World, begins: date = TOMORROW, **values: Any) -> FactorVersion:
    """A wrong factor of clean_plate; `world.officer` publishes it."""
    return world.publish_factor(
        "clean_plate", valid_from=begins, **{"co2e_low_ng": 14 * 10**9, "source": "错的", **values}
    )


def cancelled(world: World, version: FactorVersion) -> None:
    publication.cancel(world.house, world.second_officer, version.id, WHY)


def versions(world: World) -> list[FactorVersion]:
    with world.house.db.reading() as connection:
        return all_versions(connection, "clean_plate")


def validity(world: World) -> dict[str, tuple[date | None, date | None]]:
    """What stands: first and last day by version."""
    return {
        version.id: (version.valid_from, version.valid_to)
        for version in versions(world)
        if version.cancelled_on is None
    }


def force(world: World, version: FactorVersion, **values: Any) -> None:
    """Write into a version past the service."""
    with world.house.db.transaction() as connection:
        connection.execute(sa.update(TABLE).where(TABLE.c.id == version.id).values(values))


def force_cancelled(world: World, version: FactorVersion, **values: Any) -> None:
    said = {"cancelled_on": TODAY, "cancelled_by": world.second_officer.id, "cancelled_because": WHY}
    force(world, version, **{**said, **values})


# --- as if it had never been --------------------------------------------------------------------------------


def test_a_cancelled_version_never_counts_and_the_one_before_goes_on(world: World) -> None:
    code, who = world.code("clean_plate"), world.resident()
    version = published(world)
    assert validity(world)["clean_plate@1"] == (None, TODAY)
    cancelled(world, version)
    assert validity(world) == {"clean_plate@1": (None, None)}
    gone = versions(world)[1]
    assert (gone.cancelled_on, gone.cancelled_by) == (TODAY, world.second_officer.id)
    assert [version_state(gone, day) for day in (TODAY, LATER)] == [VersionState.CANCELLED] * 2
    with clock.pretending(datetime(2027, 6, 7, 4, 0, tzinfo=UTC)):
        reduction = world.scan(who, code)["action"]["reduction"]
    assert (reduction["factor_version"], reduction["co2e_mg"]) == ("clean_plate@1", 144_000)
    with world.house.db.reading() as connection:
        offered = whatif.choices(connection)
        assert "clean_plate@2" not in offered.versions
        assert offered.newest()["clean_plate"].id == "clean_plate@1"
        found = valid_on(connection, "clean_plate", LATER)
    assert found is not None
    assert found.id == "clean_plate@1"
    assert world.breaches() == []


def test_the_step_is_audited_and_stands_in_the_history(world: World) -> None:
    version = published(world)
    cancelled(world, version)
    assert version.proposal_id is not None
    with world.house.db.reading_session() as session:
        query = select(AuditEntry).where(col(AuditEntry.deed) == "factor.cancelled")
        entry = session.exec(query).one()
        proposal = proposals.get_proposal(session, version.proposal_id)
        steps = [one.deed for one in proposals.history_of(session, proposal, versions(world)[1])]
    assert (entry.actor_id, entry.subject, entry.reason) == (
        world.second_officer.id,
        f"factor:{version.id}",
        WHY,
    )
    assert entry.detail == {"goes_on": "clean_plate@1"}
    assert steps == ["factor.proposed", "factor.reviewed", "factor.published", "factor.cancelled"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_several_to_come_each_can_go_in_any_order(world: World, order: tuple[int, int]) -> None:
    coming = [published(world), published(world, LATER)]
    assert validity(world)["clean_plate@2"] == (TOMORROW, LATER - timedelta(days=1))
    cancelled(world, coming[order[0]])
    stands = coming[order[1]].id
    eve = (TOMORROW if order[1] == 0 else LATER) - timedelta(days=1)
    assert validity(world)["clean_plate@1"] == (None, eve)
    assert validity(world)[stands][1] is None
    cancelled(world, coming[order[1]])
    assert validity(world) == {"clean_plate@1": (None, None)}


def test_an_end_that_somebody_set_stays(world: World) -> None:
    """Only what the cancelled version itself had ended goes on."""
    publication.retire(world.house, world.officer, "clean_plate@1", TODAY, "不再适用")
    cancelled(world, published(world))
    assert validity(world) == {"clean_plate@1": (None, TODAY)}


def test_the_right_factor_takes_its_days_and_the_next_number(world: World) -> None:
    wrong = published(world)
    cancelled(world, wrong)
    right = published(world, co2e_low_ng=140 * 10**9)
    assert (right.id, right.closes) == ("clean_plate@3", "clean_plate@1")
    assert validity(world) == {"clean_plate@1": (None, TODAY), "clean_plate@3": (TOMORROW, None)}
    # What was cancelled may also be proposed again, word for word, if it was right after all.
    cancelled(world, right)
    again = FactorValues(**values_in(wrong))
    proposals.propose(world.house, world.officer, again, "原来是对的")


def test_files_neither_hold_it_nor_bring_it_back(world: World, tmp_path: Path) -> None:
    wrong = published(world)
    with world.house.db.reading_session() as session:
        kinds = {entry.kind.code: entry.kind for entry in entries(session)}
    sheet = write_sheet([(versions(world)[1], kinds["clean_plate"])])
    cancelled(world, wrong)
    told = world.client().get("/factors.csv").get_data(as_text=True)
    assert "clean_plate,光盘行动" in told
    assert "错的" not in told
    (tmp_path / "factors.csv").write_text(sheet.replace(",2\r\n", ",\r\n"), encoding="utf-8")
    assert {count.new for count in load_reference(world.house, tmp_path).loaded} == {0}
    assert validity(world) == {"clean_plate@1": (None, None)}
    # As a proposal it is said once more, and goes its way.
    assert import_sheet(world.house, world.officer, sheet.encode(), "又提一次").proposed == 1


def test_a_version_that_came_with_a_file_is_cancelled_by_any_officer(world: World, tmp_path: Path) -> None:
    with world.house.db.reading_session() as session:
        kinds = {entry.kind.code: entry.kind for entry in entries(session)}
    row = FactorVersion(
        **{**versions(world)[0].model_dump(), "version": 2, "valid_from": TOMORROW, "co2e_low_ng": 10**9}
    )
    text = write_sheet([(row, kinds["clean_plate"])])
    (tmp_path / "factors.csv").write_text(text, encoding="utf-8")
    load_reference(world.house, tmp_path)
    assert validity(world)["clean_plate@1"] == (None, TODAY)
    publication.cancel(world.house, world.officer, "clean_plate@2", WHY)
    assert validity(world) == {"clean_plate@1": (None, None)}
    load_reference(world.house, tmp_path)  # as at the next start: the file still says it
    assert validity(world) == {"clean_plate@1": (None, None)}


# --- what is refused ----------------------------------------------------------------------------------------


def test_who_published_it_does_not_cancel_it(world: World) -> None:
    version = published(world)
    with pytest.raises(CancellerIsPublisher):
        publication.cancel(world.house, world.officer, version.id, WHY)
    with pytest.raises(sa.exc.DBAPIError, match="by another officer"):
        force_cancelled(world, version, cancelled_by=world.officer.id)


def test_only_officers_of_the_whole_district_cancel_and_say_why(world: World) -> None:
    version = published(world)
    for who in (
        world.colleague(Role.ADMIN),
        world.colleague(Role.AUDITOR),
        world.colleague(Role.OFFICER, division=STREET),
    ):
        with pytest.raises(NotAllowed):
            publication.cancel(world.house, who, version.id, WHY)
    with pytest.raises(InvalidField):
        publication.cancel(world.house, world.second_officer, version.id, " ")
    with pytest.raises(NotFound):
        publication.cancel(world.house, world.second_officer, "clean_plate@9", WHY)
    assert versions(world)[1].cancelled_on is None


@pytest.mark.parametrize(
    "now",
    [
        datetime(2027, 6, 5, 15, 59, 30, tzinfo=UTC),  # half a minute before midnight in Shanghai
        datetime(2027, 6, 5, 16, 0, tzinfo=UTC),
        datetime(2027, 6, 20, tzinfo=UTC),
    ],
)
def test_what_has_begun_is_not_cancelled(world: World, time: time_machine.Traveller, now: datetime) -> None:
    version = published(world)
    assert world.second_officer
    time.move_to(now)
    with pytest.raises(FactorBegun):
        cancelled(world, version)
    assert validity(world)[version.id] == (TOMORROW, None)


def test_the_database_refuses_it_once_it_has_begun_or_a_record_uses_it(world: World) -> None:
    code, who = world.code("clean_plate"), world.resident()
    version = published(world)
    with pytest.raises(sa.exc.IntegrityError, match="cancelled"):
        force_cancelled(world, version, cancelled_on=TOMORROW)
    with pytest.raises(sa.exc.IntegrityError, match="cancelled"):
        force_cancelled(world, versions(world)[0])  # of all time
    with pytest.raises(sa.exc.IntegrityError, match="cancellation"):
        force_cancelled(world, version, cancelled_because=None)
    with clock.pretending(datetime(2027, 6, 7, 4, 0, tzinfo=UTC)):
        assert world.scan(who, code)["action"]["reduction"]["factor_version"] == version.id
    with pytest.raises(sa.exc.DBAPIError, match="before any record uses it"):
        force_cancelled(world, version)
    with pytest.raises(FactorBegun):
        cancelled(world, version)


def test_it_is_cancelled_once_and_for_good(world: World) -> None:
    version = published(world)
    cancelled(world, version)
    for step in (
        lambda: cancelled(world, version),
        lambda: publication.retire(world.house, world.second_officer, version.id, LATER, WHY),
    ):
        with pytest.raises(FactorCancelled):
            step()
    for change in ({"cancelled_on": None, "cancelled_by": None, "cancelled_because": None},
                   {"cancelled_because": "另一个原因"}, {"cancelled_by": world.officer.id}, {"closes": None}):  # fmt: skip
        with pytest.raises(sa.exc.DBAPIError, match="never edited"):
            force(world, version, **change)
    row = {**versions(world)[1].model_dump(), "id": "clean_plate@7", "version": 7, "proposal_id": None}
    with (
        pytest.raises(sa.exc.DBAPIError, match="before it is cancelled"),
        world.house.db.transaction() as connection,
    ):
        connection.execute(sa.insert(TABLE), row)


def test_a_version_goes_on_only_where_nothing_else_stands_and_never_ends_sooner(world: World) -> None:
    (old,) = versions(world)
    version = published(world)
    with pytest.raises(sa.exc.DBAPIError, match="never edited"):
        force(world, old, valid_to=None)  # nothing was cancelled
    cancelled(world, version)
    published(world)
    for end in (None, LATER):
        with pytest.raises(sa.exc.DBAPIError, match="overlaps"):
            force(world, old, valid_to=end)
    with pytest.raises(sa.exc.DBAPIError, match="never edited"):
        force(world, old, valid_to=date(2027, 1, 1))


def test_of_many_who_cancel_at_once_one_does(world: World) -> None:
    version = published(world)
    officers = [world.second_officer, *(world.colleague(Role.OFFICER) for _ in range(3))]
    told = at_once(
        [lambda who=who: publication.cancel(world.house, who, version.id, WHY) for who in officers]
    )
    assert sorted(codes(told)) == ["factor_cancelled"] * 3 + ["ok"]
    assert validity(world) == {"clean_plate@1": (None, None)}


def test_cancelling_and_publishing_at_once_never_overlap(world: World) -> None:
    """Whoever comes first: the old version goes on until the new one begins, and no further."""
    version = published(world)
    proposal = proposals.propose(
        world.house, world.officer, FactorValues(**{**values_in(version), "valid_from": LATER}), "另一项研究"
    )
    proposals.review(world.house, world.second_officer, proposal.id, "核对过")
    told = at_once(
        [
            lambda: cancelled(world, version),
            lambda: publication.publish(world.house, world.officer, proposal.id),
        ]
    )
    assert codes(told) == ["ok", "ok"]
    assert validity(world) == {
        "clean_plate@1": (None, LATER - timedelta(days=1)),
        "clean_plate@3": (LATER, None),
    }


def test_verify_finds_a_record_that_uses_what_was_cancelled(world: World) -> None:
    world.scan(world.resident(), world.code("clean_plate"))
    version = published(world)
    cancelled(world, version)
    assert world.breaches() == []
    with world.house.db.transaction() as connection:
        action = SQLModel.metadata.tables["action"]
        if world.house.db.is_sqlite:
            connection.exec_driver_sql("DROP TRIGGER action_no_update")
        else:
            connection.exec_driver_sql("DROP TRIGGER action_append_only ON action")
        connection.execute(sa.update(action).values(factor_version=version.id))
    assert any("cancelled" in breach for breach in world.breaches())


# --- on the pages -------------------------------------------------------------------------------------------


def test_the_desk_offers_it_to_another_officer_and_the_register_tells_it(world: World) -> None:
    version = published(world)
    page = "/bureau/factors/kinds/clean_plate"
    me, other = browser(world, world.officer), browser(world, world.second_officer)
    mine = me.get(page)
    assert "由您发布" in mine
    assert "/cancel" not in mine
    late = browser(world, world.colleague(Role.OFFICER))
    for who in (other, late):
        who.get(page)
    at = f"/bureau/factors/versions/{version.id}/cancel"
    assert "请写明原因" in other.send(at, reason="")
    assert other.status == 422
    told = other.send(at, reason=WHY)
    assert other.status == 200
    assert "已取消，从未生效" in told
    assert WHY in told
    assert "/cancel" not in told
    assert "这个版本已经取消" in late.send(at, reason=WHY)
    assert late.status == 409
    assert "取消" in other.get(f"/bureau/factors/proposals/{version.proposal_id}")
    public = world.client().get(f"/factors/{version.id}").get_data(as_text=True)
    assert WHY in public
    assert "从未生效" in public
    answer = world.call("GET", f"/factors/{version.id}").get_json()["factor"]
    assert (answer["state"], answer["cancelled_on"], answer["cancelled_because"]) == (
        "cancelled",
        "2027-06-05",
        WHY,
    )
    assert "cancelled_by" not in answer
    first = world.client().get("/factors/clean_plate@1").get_data(as_text=True)
    assert "现行" in first
