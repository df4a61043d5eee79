"""How a factor becomes a version: proposed, reviewed by a second officer, published, retired. Nothing past changes."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, col, select

from activities import review as record_review
from activities.actions import Action
from activities.quantify import proposals, publication
from activities.quantify.calculation import quantify
from activities.quantify.factors import (
    FactorValues,
    FactorVersion,
    VersionState,
    all_versions,
    version_state,
)
from activities.quantify.filing import amend_methodology
from activities.quantify.guards import VERSION_GUARDS
from activities.quantify.methodologies import Methodology
from activities.quantify.proposals import FactorProposal, ProposalState, fingerprint, values_in
from tanpuhui import clock
from tanpuhui.audit import AuditEntry
from tanpuhui.errors import (
    FactorClosed,
    FactorOverlap,
    InvalidField,
    NotAllowed,
    NotFound,
    ProposalChanged,
    ProposalMoved,
    Refused,
    ReviewerIsProposer,
)
from tanpuhui.ids import new_id
from tanpuhui.reference import current_version
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.threads import at_once, codes
from tests.world import STREET, World

TODAY = date(2027, 6, 5)
TOMORROW = TODAY + timedelta(days=1)
WHY = "新的生命周期研究"


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(datetime(2027, 6, 5, 2, 0, tzinfo=UTC), tick=False) as traveller:
        yield traveller


@pytest.fixture
def second(world: World) -> Principal:
    """Another officer of the bureau."""
    return world.colleague(Role.OFFICER)


def versions(world: World, kind: str = "clean_plate") -> list[FactorVersion]:
    with world.house.db.reading() as connection:
        return all_versions(connection, kind)


def better(world: World, kind: str = "clean_plate", **changed: Any) -> FactorValues:
    """The first version of a kind with other values, from tomorrow on."""
    present = values_in(versions(world, kind)[0])
    newer: dict[str, Any] = {"valid_from": TOMORROW, "valid_to": None, "source": "更好的来源"}
    if kind == "clean_plate":
        newer["co2e_low_ng"] = 150 * 10**9
    return FactorValues(**{**present, **newer, **changed})


def proposed(world: World, kind: str = "clean_plate", **changed: Any) -> FactorProposal:
    return proposals.propose(world.house, world.officer, better(world, kind, **changed), WHY)


def reviewed(world: World, second: Principal, kind: str = "clean_plate", **changed: Any) -> FactorProposal:
    proposal = proposed(world, kind, **changed)
    proposals.review(world.house, second, proposal.id, "核对过原文")
    return proposal


def stored(world: World, proposal: FactorProposal) -> FactorProposal:
    with world.house.db.reading_session() as session:
        return proposals.get_proposal(session, proposal.id)


def force(world: World, proposal: FactorProposal, **values: Any) -> None:
    """Write into a proposal past the service."""
    table = SQLModel.metadata.tables["factor_proposal"]
    with world.house.db.transaction() as connection:
        connection.execute(sa.update(table).where(table.c.id == proposal.id).values(values))


def count(world: World) -> int:
    with world.house.db.reading_session() as session:
        return len(proposals.list_proposals(session))


def audited(world: World, subject: str) -> list[tuple[str, UUID | None, str, dict[str, Any]]]:
    with world.house.db.reading_session() as session:
        query = select(AuditEntry).where(AuditEntry.subject == subject).order_by(col(AuditEntry.id))
        return [(entry.deed, entry.actor_id, entry.reason, entry.detail) for entry in session.exec(query)]


def reference_version(world: World) -> int:
    with world.house.db.reading() as connection:
        return current_version(connection)


def wrong(error: pytest.ExceptionInfo[InvalidField]) -> list[str]:
    return [entry["field"] for entry in error.value.params["errors"]]


# --- the whole life -----------------------------------------------------------------------------------------


def test_a_factor_is_proposed_reviewed_and_published_and_every_step_is_audited(
    world: World, second: Principal
) -> None:
    before = reference_version(world)
    proposal = proposed(world)
    assert stored(world, proposal).state is ProposalState.PROPOSED
    proposals.review(world.house, second, proposal.id, "核对过原文第 3 页")
    assert reference_version(world) == before  # the scans need to know of nothing yet
    version = publication.publish(world.house, world.officer, proposal.id)
    assert reference_version(world) == before + 1
    old, new = versions(world)
    assert (old.id, old.valid_from, old.valid_to) == ("clean_plate@1", None, TODAY)
    assert (new.id, new.version, new.proposal_id) == (version.id, 2, proposal.id)
    assert values_in(new) == values_in(better(world))
    after = stored(world, proposal)
    assert (after.state, after.reviewed_by, after.published_by, after.remark) == (
        ProposalState.PUBLISHED,
        second.id,
        world.officer.id,
        "核对过原文第 3 页",
    )
    assert audited(world, f"proposal:{proposal.id}") == [
        ("factor.proposed", world.officer.id, WHY, {"kind": "clean_plate"}),
        ("factor.reviewed", second.id, "核对过原文第 3 页", {}),
        (
            "factor.published",
            world.officer.id,
            WHY,
            {"version": "clean_plate@2", "closed": "clean_plate@1"},
        ),
    ]


def test_scans_use_the_new_version_from_its_first_day_and_earlier_records_keep_theirs(
    world: World, second: Principal, time: time_machine.Traveller
) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    first = world.scan(resident, code)["action"]
    with world.house.db.reading_session() as session:
        kept = session.get_one(Action, UUID(first["id"])).model_dump()
    proposal = reviewed(world, second)
    publication.publish(world.house, second, proposal.id)
    still = world.scan(world.resident(), code)["action"]["reduction"]
    assert (still["factor_version"], still["co2e_mg"]) == ("clean_plate@1", 144_000)
    time.shift(timedelta(days=1))
    later = world.scan(resident, code)["action"]["reduction"]
    assert (later["factor_version"], later["co2e_mg"]) == ("clean_plate@2", 150_000)
    with world.house.db.reading_session() as session:
        assert session.get_one(Action, UUID(first["id"])).model_dump() == kept
    assert world.breaches() == []


def test_the_state_of_a_version_follows_from_the_day(world: World, second: Principal) -> None:
    publication.publish(world.house, second, reviewed(world, second, valid_to=date(2027, 6, 30)).id)
    old, new = versions(world)
    states = [
        (version_state(old, day), version_state(new, day)) for day in (TODAY, TOMORROW, date(2027, 7, 1))
    ]
    assert states == [
        (VersionState.CURRENT, VersionState.UPCOMING),
        (VersionState.RETIRED, VersionState.CURRENT),
        (VersionState.RETIRED, VersionState.RETIRED),
    ]


def test_a_version_before_the_first_closes_nothing(world: World, second: Principal) -> None:
    publication.publish(world.house, second, reviewed(world, second).id)
    publication.publish(world.house, second, reviewed(world, second, valid_from=date(2027, 9, 1)).id)
    assert [(one.id, one.valid_from, one.valid_to) for one in versions(world)] == [
        ("clean_plate@1", None, TODAY),
        ("clean_plate@2", TOMORROW, date(2027, 8, 31)),
        ("clean_plate@3", date(2027, 9, 1), None),
    ]


def test_a_factor_without_end_before_a_published_one_is_refused(world: World, second: Principal) -> None:
    publication.publish(world.house, second, reviewed(world, second).id)
    with pytest.raises(InvalidField) as caught:
        proposed(world, valid_from=TODAY)
    assert wrong(caught) == ["valid_from"]


# --- what is refused ----------------------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"action_code": "flying"}, ["action_code"]),
    ({"unit": "kg"}, ["unit"]),
    ({"co2e_low_ng": 341 * 10**9}, ["co2e_g_low"]),
    ({"co2e_mid_ng": 450 * 10**9}, ["co2e_g_mid"]),
    ({"co2e_low_ng": -1}, ["co2e_g_low"]),
    ({"co2e_high_ng": 9 * 10**15 + 1, "derivation": ""}, ["co2e_g_high"]),
    ({"nox_ng": 9 * 10**12 + 1}, ["nox_mg"]),
    ({"co_ng": -9 * 10**12 - 1}, ["co_mg"]),
    ({"source": " "}, ["source"]),
    ({"region": ""}, ["region"]),
    ({"baseline": ""}, ["baseline"]),
    ({"source_year": 1899}, ["source_year"]),
    ({"source_year": 2028}, ["source_year"]),
    ({"valid_from": date(2027, 7, 1), "valid_to": date(2027, 6, 30)}, ["valid_to"]),
    ({"valid_from": None}, ["valid_from"]),
    ({"methodology": "no_such_rule"}, ["methodology"]),
    ({"methodology": "textile_reuse"}, ["methodology"]),
    ({"derivation": "high: rate=93, factor=4.84"}, ["derivation"]),
    ({"derivation": "high: rate=93"}, ["derivation"]),
    ({"derivation": "high = 93 x 4.83"}, ["derivation"]),
    ({"derivation": "nox: rate=1, factor=1"}, ["derivation"]),
    ({"co2e_low_ng": -1, "source": "", "source_year": 1}, ["co2e_g_low", "source", "source_year"]),
]


@pytest.mark.parametrize(("changed", "fields"), BAD, ids=lambda value: str(value)[:40])
def test_values_that_make_no_factor_are_refused_field_by_field(
    world: World, changed: dict[str, Any], fields: list[str]
) -> None:
    with pytest.raises(InvalidField) as caught:
        proposed(world, **changed)
    assert wrong(caught) == fields
    assert count(world) == 0


def test_what_is_not_known_stays_unknown_and_an_added_emission_is_negative(
    world: World, second: Principal
) -> None:
    version = publication.publish(
        world.house, second, reviewed(world, second, so2_ng=-2_000_000, nox_ng=0).id
    )
    assert (version.so2_ng, version.nox_ng, version.voc_ng) == (-2_000_000, 0, None)
    world_tomorrow = datetime(2027, 6, 6, 2, 0, tzinfo=UTC)
    with clock.pretending(world_tomorrow):
        reduction = world.scan(world.resident(), world.code("clean_plate"))["action"]["reduction"]
    assert (reduction["so2_ug"], reduction["nox_ug"], reduction["voc_ug"]) == (-2_000, 0, None)


def test_a_factor_follows_the_methodology_of_its_kind(world: World) -> None:
    assert proposed(world, methodology=None).methodology == "catering_savings"


@pytest.mark.parametrize("reason", ["", " 好 ", "长" * 201])
def test_every_step_needs_a_reason(world: World, second: Principal, reason: str) -> None:
    house, officer = world.house, world.officer
    proposal = proposed(world)
    for step in (
        lambda: proposals.propose(house, officer, better(world), reason),
        lambda: proposals.amend(house, officer, proposal.id, better(world), reason),
        lambda: proposals.review(house, second, proposal.id, reason),
        lambda: proposals.decline(house, second, proposal.id, reason),
        lambda: publication.retire(house, second, "clean_plate@1", TODAY, reason),
        lambda: amend_methodology(house, second, "catering_savings", {"title_en": "New"}, reason),
    ):
        with pytest.raises(InvalidField) as caught:
            step()
        assert wrong(caught) == ["reason"]
    assert stored(world, proposal).state is ProposalState.PROPOSED
    assert versions(world)[0].valid_to is None


def test_only_officers_of_the_whole_district_take_steps(world: World, second: Principal) -> None:
    house, proposal, passed = world.house, proposed(world), reviewed(world, second, "no_cutlery")
    strangers = [
        world.organiser,
        world.colleague(Role.AUDITOR),
        world.colleague(Role.ADMIN),
        world.colleague(Role.OFFICER, division=STREET),
        Principal("resident", world.resident().id, new_id()),
    ]
    for who in strangers:
        for step in (
            lambda who=who: proposals.propose(house, who, better(world), WHY),
            lambda who=who: proposals.amend(house, who, proposal.id, better(world), WHY),
            lambda who=who: proposals.review(house, who, proposal.id, WHY),
            lambda who=who: proposals.decline(house, who, proposal.id, WHY),
            lambda who=who: publication.publish(house, who, passed.id),
            lambda who=who: publication.retire(house, who, "clean_plate@1", TODAY, WHY),
            lambda who=who: amend_methodology(house, who, "catering_savings", {"title_en": "New"}, WHY),
        ):
            with pytest.raises(NotAllowed):
                step()
    assert count(world) == 2
    assert [version.id for version in versions(world, "no_cutlery")] == ["no_cutlery@1"]


def test_what_does_not_exist_is_not_found(world: World) -> None:
    house, officer = world.house, world.officer
    for step in (
        lambda: proposals.review(house, officer, new_id(), WHY),
        lambda: publication.publish(house, officer, new_id()),
        lambda: publication.retire(house, officer, "clean_plate@9", TODAY, WHY),
        lambda: amend_methodology(house, officer, "no_such_rule", {}, WHY),
    ):
        with pytest.raises(NotFound):
            step()


# --- two officers -------------------------------------------------------------------------------------------


def test_nobody_reviews_their_own_proposal(world: World) -> None:
    proposal = proposed(world)
    with pytest.raises(ReviewerIsProposer):
        proposals.review(world.house, world.officer, proposal.id, "没问题")
    assert stored(world, proposal).state is ProposalState.PROPOSED


def test_the_database_refuses_it_even_if_the_service_did_not(world: World) -> None:
    proposal = proposed(world)
    own = {"state": "reviewed", "reviewed_by": world.officer.id, "reviewed_at": clock.now()}
    with pytest.raises(IntegrityError, match="second_officer"):
        force(world, proposal, **own)
    assert stored(world, proposal).state is ProposalState.PROPOSED


def test_of_two_reviewers_at_once_one_wins(world: World, second: Principal) -> None:
    proposal = proposed(world)
    officers = [second, *(world.colleague(Role.OFFICER) for _ in range(3))]
    results = at_once(
        [
            lambda who=who, at=at: proposals.review(world.house, who, proposal.id, f"核对 {at}")
            for at, who in enumerate(officers)
        ]
    )
    assert sorted(codes(results)) == ["ok", "proposal_moved", "proposal_moved", "proposal_moved"]
    winner = codes(results).index("ok")
    after = stored(world, proposal)
    assert (after.reviewed_by, after.remark) == (officers[winner].id, f"核对 {winner}")
    assert [deed for deed, *_ in audited(world, f"proposal:{proposal.id}")].count("factor.reviewed") == 1


def test_a_reviewer_passes_what_was_read_and_nothing_newer(world: World, second: Principal) -> None:
    proposal = proposed(world)
    seen = fingerprint(stored(world, proposal))
    proposals.amend(world.house, world.officer, proposal.id, better(world, co2e_low_ng=200 * 10**9), WHY)
    with pytest.raises(ProposalChanged):
        proposals.review(world.house, second, proposal.id, "核对过原文", seen=seen)
    newer = fingerprint(stored(world, proposal))
    proposals.review(world.house, second, proposal.id, "核对过原文", seen=newer)


# --- amending and declining ---------------------------------------------------------------------------------


def test_a_proposal_is_amended_by_its_proposer_with_old_and_new_in_the_audit(
    world: World, second: Principal
) -> None:
    proposal = proposed(world)
    later = date(2027, 7, 1)
    changed = better(world, co2e_low_ng=160 * 10**9, valid_from=later, nox_ng=5)
    proposals.amend(world.house, world.officer, proposal.id, changed, "按勘误改")
    after = stored(world, proposal)
    assert (after.co2e_low_ng, after.valid_from, after.nox_ng, after.reason) == (
        160 * 10**9,
        later,
        5,
        "按勘误改",
    )
    assert audited(world, f"proposal:{proposal.id}")[1:] == [
        (
            "factor.amended",
            world.officer.id,
            "按勘误改",
            {
                "changes": {
                    "co2e_low_ng": [150 * 10**9, 160 * 10**9],
                    "nox_ng": [None, 5],
                    "valid_from": ["2027-06-06", "2027-07-01"],
                }
            },
        )
    ]
    with pytest.raises(NotAllowed):
        proposals.amend(world.house, second, proposal.id, changed, "不是我的")
    with pytest.raises(NotAllowed):  # another kind is another proposal
        proposals.amend(world.house, world.officer, proposal.id, better(world, "no_cutlery"), WHY)
    with pytest.raises(InvalidField):
        proposals.amend(world.house, world.officer, proposal.id, better(world, source=""), WHY)


def test_once_reviewed_a_proposal_stays_as_it_is(world: World, second: Principal) -> None:
    proposal = reviewed(world, second)
    with pytest.raises(ProposalMoved):
        proposals.amend(world.house, world.officer, proposal.id, better(world), WHY)
    with pytest.raises(IntegrityError, match="a reviewed proposal is never edited"):
        force(world, proposal, co2e_low_ng=1)


def test_a_proposal_is_declined_by_others_and_withdrawn_by_its_proposer(
    world: World, second: Principal
) -> None:
    declined, withdrawn = proposed(world), reviewed(world, second, "no_cutlery")
    proposals.decline(world.house, second, declined.id, "来源不可靠")
    proposals.decline(world.house, world.officer, withdrawn.id, "等新的研究")
    assert stored(world, declined).remark == "来源不可靠"
    for proposal, deed in ((declined, "factor.declined"), (withdrawn, "factor.withdrawn")):
        assert stored(world, proposal).state is ProposalState.DECLINED
        assert audited(world, f"proposal:{proposal.id}")[-1][0] == deed
        for step in (
            lambda proposal=proposal: proposals.review(world.house, second, proposal.id, WHY),
            lambda proposal=proposal: proposals.decline(world.house, second, proposal.id, WHY),
            lambda proposal=proposal: publication.publish(world.house, second, proposal.id),
        ):
            with pytest.raises(ProposalMoved):
                step()


def test_the_database_lets_a_proposal_take_no_step_out_of_order(world: World) -> None:
    proposal = proposed(world)
    with pytest.raises(IntegrityError, match="from proposed to reviewed"):
        force(world, proposal, state="published")
    with pytest.raises(IntegrityError):
        force(world, proposal, state="reviewed")  # by nobody
    with pytest.raises(IntegrityError, match="never deleted"), world.house.db.transaction() as connection:
        connection.execute(sa.text("DELETE FROM factor_proposal"))


# --- publishing ---------------------------------------------------------------------------------------------


def test_what_was_not_reviewed_is_not_published(world: World) -> None:
    proposal = proposed(world)
    with pytest.raises(ProposalMoved):
        publication.publish(world.house, world.officer, proposal.id)
    with pytest.raises(IntegrityError, match="only a reviewed proposal is published"):
        insert(world, version_of(proposal, 2))
    assert len(versions(world)) == 1


def version_of(proposal: FactorProposal, number: int, *, named: bool = True) -> FactorVersion:
    return FactorVersion(
        **values_in(proposal),
        id=f"{proposal.action_code}@{number}",
        version=number,
        proposal_id=proposal.id if named else None,
    )


def insert(world: World, version: FactorVersion) -> None:
    """Publish past the service: end the present version and add another."""
    table = SQLModel.metadata.tables["factor_version"]
    with world.house.db.session() as session:
        session.connection().execute(
            sa.update(table).where(table.c.id == "clean_plate@1").values(valid_to=TODAY)
        )
        session.add(version)


def test_publishing_twice_at_once_makes_one_version(world: World, second: Principal) -> None:
    proposal = reviewed(world, second)
    before = reference_version(world)
    results = at_once([lambda: publication.publish(world.house, second, proposal.id)] * 6)
    assert sorted(codes(results)) == ["ok", *["proposal_moved"] * 5]
    assert [version.id for version in versions(world)] == ["clean_plate@1", "clean_plate@2"]
    assert reference_version(world) == before + 1


def test_verify_finds_a_published_proposal_without_its_version(world: World, second: Principal) -> None:
    proposal = reviewed(world, second)
    assert world.breaches() == []
    force(world, proposal, state="published", published_by=second.id, published_at=clock.now())
    assert [line.split(":")[0] for line in world.breaches()] == [
        "a proposal is published exactly if a version says what it proposed"
    ]


@pytest.mark.parametrize("guarded", [True, False], ids=["with the guards", "without the guards"])
def test_a_careless_publisher_is_stopped_by_the_database_alone(
    world: World, second: Principal, guarded: bool
) -> None:
    """Who looks first and writes later publishes twice, unless the database refuses: the race is real."""
    proposal = reviewed(world, second)
    if not guarded:
        with world.house.db.transaction() as connection:
            for guard in VERSION_GUARDS:
                for statement in guard.drop(connection.dialect.name):
                    connection.exec_driver_sql(statement)
    looked = threading.Barrier(2)

    def publish(number: int) -> None:
        assert stored(world, proposal).state is ProposalState.REVIEWED
        looked.wait(20)
        insert(world, version_of(proposal, number, named=guarded))

    results = at_once([lambda: publish(2), lambda: publish(3)])
    valid = [version for version in versions(world) if version.valid_to is None]
    if guarded:
        assert [result is None for result in results].count(True) == 1
        assert [isinstance(result, IntegrityError) for result in results].count(True) == 1
        assert len(valid) == 1
    else:
        assert results == [None, None]
        assert len(valid) == 2


def test_of_two_proposals_for_the_same_days_one_is_published(world: World, second: Principal) -> None:
    rivals = [reviewed(world, second, co2e_low_ng=low * 10**9) for low in (150, 160)]
    results = at_once([lambda one=one: publication.publish(world.house, second, one.id) for one in rivals])
    assert sorted(codes(results)) == ["factor_overlap", "ok"]
    assert len(versions(world)) == 2
    loser = rivals[codes(results).index("factor_overlap")]
    assert stored(world, loser).state is ProposalState.REVIEWED


def test_the_database_refuses_an_overlap_that_the_check_has_missed(
    world: World, second: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, rival = (reviewed(world, second) for _ in range(2))
    publication.publish(world.house, second, first.id)
    monkeypatch.setattr(publication, "in_the_way", lambda *_args: None)
    monkeypatch.setattr("activities.quantify.proposal_checks.in_the_way", lambda *_args: None)
    before = reference_version(world)
    with pytest.raises(FactorOverlap):
        publication.publish(world.house, second, rival.id)
    assert len(versions(world)) == 2
    assert reference_version(world) == before


def test_a_methodology_that_a_kind_got_since_is_published_with_it(world: World, second: Principal) -> None:
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("DELETE FROM methodology_kind WHERE kind = 'own_cup'"))
    proposal = reviewed(world, second, "own_cup", methodology=None, derivation="")
    assert proposal.methodology is None
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("INSERT INTO methodology_kind VALUES ('own_cup', 'single_use_avoided')"))
    assert publication.publish(world.house, second, proposal.id).methodology == "single_use_avoided"
    assert world.breaches() == []


def test_what_the_city_counts_by_its_own_method_the_district_does_not(world: World) -> None:
    with pytest.raises(InvalidField) as caught:
        proposed(world, "bus_trip", city_credited=False)
    assert wrong(caught) == ["city_credited"]
    assert proposed(world, "bus_trip", city_credited=True).city_credited


def test_what_no_longer_holds_is_not_published(world: World, second: Principal) -> None:
    """The methodology of a kind may have changed since the review."""
    proposal = reviewed(world, second)
    with world.house.db.transaction() as connection:
        connection.execute(
            sa.text("UPDATE methodology_kind SET methodology = 'textile_reuse' WHERE kind = 'clean_plate'")
        )
    with pytest.raises(InvalidField) as caught:
        publication.publish(world.house, second, proposal.id)
    assert wrong(caught) == ["methodology"]
    assert len(versions(world)) == 1


def test_a_version_from_a_past_day_on_leaves_the_records_of_those_days(
    world: World, second: Principal
) -> None:
    code = world.code("clean_plate")
    before = [world.scan(resident, code)["action"] for resident in world.residents(3)]
    world.scan(world.resident(), world.code("no_cutlery"))
    record_review.void_action(world.house, world.organiser, UUID(before[0]["id"]), "扫错了")
    proposal = reviewed(world, second, valid_from=date(2027, 6, 1))
    with world.house.db.reading_session() as session:
        assert publication.records_kept(session, proposal) == 2
        assert publication.records_kept(session, better(world, valid_from=TOMORROW)) == 0
        ended = better(world, valid_from=date(2027, 5, 1), valid_to=date(2027, 5, 31))
        assert publication.records_kept(session, ended) == 0
    publication.publish(world.house, second, proposal.id)
    with world.house.db.reading_session() as session:
        kept = session.exec(select(Action.factor_version).where(Action.kind == "clean_plate")).all()
        assert set(kept) == {"clean_plate@1"}
    assert world.scan(world.resident(), code)["action"]["reduction"]["factor_version"] == "clean_plate@2"
    assert world.breaches() == []


@pytest.mark.parametrize("begins", [TODAY, TOMORROW], ids=["from today", "from tomorrow"])
def test_a_publication_in_the_middle_of_fifty_scans_leaves_each_with_one_version(
    world: World, second: Principal, begins: date
) -> None:
    proposal = reviewed(world, second, valid_from=begins)
    code = world.code("clean_plate")
    residents = world.residents(50)
    scanned, publishing = threading.Event(), threading.Event()

    def early(at: int) -> None:
        world.scan(residents[at], code)
        scanned.set()

    def late(at: int) -> None:
        publishing.wait(30)
        world.scan(residents[at], code)

    def publish() -> None:
        scanned.wait(30)
        publishing.set()
        publication.publish(world.house, second, proposal.id)

    calls: list[Any] = [lambda at=at: early(at) if at < 25 else late(at) for at in range(50)]
    assert set(codes(at_once([*calls, publish]))) == {"ok"}
    known = {version.id: version for version in versions(world)}
    with world.house.db.reading_session() as session:
        actions = session.exec(select(Action)).all()
    assert len(actions) == 50
    for action in actions:
        version = known[action.factor_version]
        assert action.co2e_mg == quantify(action.quantity_milli, version).co2e_mg
        # From today on, those before the publication keep the version that was valid when they were made.
        ends = TODAY if version.version == 1 else version.valid_to
        assert (version.valid_from or date.min) <= action.day <= (ends or date.max)
    if begins == TOMORROW:
        assert {action.factor_version for action in actions} == {"clean_plate@1"}
    with clock.pretending(datetime(2027, 6, 6, 2, 0, tzinfo=UTC)):
        after = world.scan(world.resident(), code)["action"]["reduction"]
    assert after["factor_version"] == "clean_plate@2"
    assert world.breaches() == []


# --- retiring -----------------------------------------------------------------------------------------------


def test_a_retired_version_credits_until_its_last_day(
    world: World, second: Principal, time: time_machine.Traveller
) -> None:
    code, before = world.code("clean_plate"), reference_version(world)
    publication.retire(world.house, second, "clean_plate@1", TODAY, "来源已撤回")
    assert reference_version(world) == before + 1
    assert versions(world)[0].valid_to == TODAY
    world.scan(world.resident(), code)
    assert audited(world, "factor:clean_plate@1") == [
        ("factor.retired", second.id, "来源已撤回", {"last_day": "2027-06-05"})
    ]
    time.shift(timedelta(days=1))
    with pytest.raises(Refused) as caught:
        world.scan(world.resident(), code)
    assert caught.value.code == "no_factor"


def test_a_version_is_retired_once_and_not_for_the_past(world: World, second: Principal) -> None:
    for day in (TODAY - timedelta(days=1), date(2020, 1, 1)):
        with pytest.raises(InvalidField) as caught:
            publication.retire(world.house, second, "clean_plate@1", day, WHY)
        assert wrong(caught) == ["last_day"]
    upcoming = publication.publish(
        world.house, second, reviewed(world, second, valid_from=date(2027, 9, 1)).id
    )
    with pytest.raises(InvalidField):
        publication.retire(world.house, second, upcoming.id, TODAY, WHY)
    with pytest.raises(FactorClosed):  # the new one has closed it
        publication.retire(world.house, second, "clean_plate@1", TODAY, WHY)
    results = at_once(
        [
            lambda day=day: publication.retire(world.house, second, upcoming.id, date(2027, 10, day), WHY)
            for day in range(1, 5)
        ]
    )
    assert sorted(codes(results)) == [*["factor_closed"] * 3, "ok"]
    assert versions(world)[-1].valid_to == date(2027, 10, 1 + codes(results).index("ok"))


def test_a_published_version_is_not_edited_by_anybody(world: World, second: Principal) -> None:
    publication.publish(world.house, second, reviewed(world, second).id)
    for values in ("co2e_low_ng = 1", "valid_to = '2027-12-31'", "source = 'x'", "proposal_id = NULL"):
        with pytest.raises(IntegrityError), world.house.db.transaction() as connection:
            connection.execute(
                sa.text(f"UPDATE factor_version SET {values} WHERE action_code = 'clean_plate'")
            )


# --- methodologies ------------------------------------------------------------------------------------------


def methodology(world: World, code: str = "catering_savings") -> Methodology:
    with world.house.db.reading_session() as session:
        return session.get_one(Methodology, code)


def test_a_methodology_is_amended_with_old_and_new_in_the_audit(world: World, second: Principal) -> None:
    before = reference_version(world)
    texts = {
        "filing_status": "filed",
        "city_reference": " 沪环〔2027〕12号 ",
        "title_en": "Food not wasted",
        "sources": "一份文件\r\n\r\n 另一份 ",
    }
    old = methodology(world)
    amend_methodology(world.house, second, "catering_savings", texts, "市里批复了")
    new = methodology(world)
    assert (new.filing_status.value, new.city_reference, new.sources) == (
        "filed",
        "沪环〔2027〕12号",
        "一份文件\n另一份",
    )
    assert reference_version(world) == before + 1
    changes = {
        "filing_status": ["not_filed", "filed"],
        "city_reference": ["", "沪环〔2027〕12号"],
        "sources": [old.sources, new.sources],
    }
    assert audited(world, "methodology:catering_savings") == [
        ("methodology.amended", second.id, "市里批复了", {"changes": changes})
    ]


@pytest.mark.parametrize(
    ("texts", "fields"),
    [
        ({"filing_status": "filed"}, ["city_reference"]),
        ({"filing_status": "blessed"}, ["filing_status"]),
        ({"title_zh": "", "baseline_en": " "}, ["title_zh", "baseline_en"]),
        ({"title_en": "x" * 65}, ["title_en"]),
        ({"evidence_zh": "长" * 1001}, ["evidence_zh"]),
        ({"sources": "\r\n"}, ["sources"]),
    ],
)
def test_a_methodology_keeps_its_texts_and_its_reference(
    world: World, texts: dict[str, str], fields: list[str]
) -> None:
    before = methodology(world)
    with pytest.raises(InvalidField) as caught:
        amend_methodology(world.house, world.officer, "catering_savings", texts, WHY)
    assert wrong(caught) == fields
    assert methodology(world) == before


def test_saying_the_same_again_changes_and_audits_nothing(world: World) -> None:
    before = reference_version(world)
    same = {"title_en": methodology(world).title_en}
    amend_methodology(world.house, world.officer, "catering_savings", same, WHY)
    assert reference_version(world) == before
    assert audited(world, "methodology:catering_savings") == []


def test_the_form_of_a_methodology_with_factors_is_fixed(world: World) -> None:
    with (
        pytest.raises(IntegrityError, match="published factors follow this form"),
        world.house.db.transaction() as connection,
    ):
        connection.execute(sa.text("UPDATE methodology SET form = 'factor' WHERE code = 'catering_savings'"))
