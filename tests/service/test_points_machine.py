"""Points in any order: credit, hold, release, reject, void, spend, reserve, settle, cancel, expire, adjust and reverse, with everything sent twice.

After each step whatever `tanpuhui verify` asks of points has to hold, and the balances have to be those of a plain sum kept beside.
"""

import json
from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from activities.events import ActionConfirmed, ActionRecorded, ActionRejected, ActionVoided
from rewards import adjustments, expiry, ledger, lots, redemptions, spending
from rewards.adjustments import GoodwillIn
from rewards.invariants import INVARIANTS
from rewards.ledger import account_of
from rewards.offer_invariants import OFFER_INVARIANTS
from rewards.offers import MOST_PER_PERSON
from rewards.points_invariants import POINTS_INVARIANTS
from tanpuhui import clock, ids
from tanpuhui.errors import AlreadyReversed, InsufficientPoints, VoucherCancelled, VoucherUsed
from tanpuhui.events import Event
from tanpuhui.people import Resident, take_turn
from tests.service.test_adjustments import written_in
from tests.service.test_expiry import tick
from tests.world import World

SHOP = "programme:shop"

#: What a voucher costs (`World.offer`).
PRICE = 10
WHO = st.integers(0, 1)
PLACE = st.integers(0, 20)


def a_record(world: World) -> ActionRecorded:
    """A record as a scan makes it, to make others like it."""
    world.scan(world.resident(), world.code("clean_plate"))
    query = sa.text("SELECT payload FROM event_log WHERE type = 'action.recorded'")
    with world.house.db.reading() as connection:
        return ActionRecorded.from_payload(connection.scalars(query).one())


class Points(RuleBasedStateMachine):
    """Two residents, and a clock that goes on for years."""

    world: World
    like: ActionRecorded

    @initialize()
    def begin(self) -> None:
        """Everybody begins with nothing, today."""
        self.now = clock.now()
        with self.world.house.db.transaction() as connection:
            connection.execute(sa.text("DELETE FROM expiry_pass"))  # of the years that others lived through
        self.residents: list[Resident] = self.world.residents(2)
        self.numbers = [written_in(self.world, resident) for resident in self.residents]
        self.has: dict[UUID, int] = defaultdict(int)
        self.records: list[tuple[UUID, ActionRecorded]] = []
        self.waiting: list[tuple[UUID, ActionRecorded]] = []
        self.spent: list[tuple[UUID, str, int]] = []
        self.given: list[UUID] = []
        self.vouchers: list[tuple[UUID, dict[str, Any]]] = []
        with clock.pretending(self.now):
            changes = {"closes_at": self.now + timedelta(days=365 * 60), "per_person": str(MOST_PER_PERSON)}
            self.offer = self.world.offer(**changes)

    def publish(self, event: Event) -> None:
        """What a record brings, once: sent a second time the database refuses it."""
        self.write(event)
        with pytest.raises((sa.exc.IntegrityError, InsufficientPoints)):
            self.write(event, twice=True)

    def write(self, event: Event, *, twice: bool = False) -> None:
        """One transaction, as that of a scan; one that moved nothing is undone all the same when it comes `twice`."""
        assert event.resident_id is not None
        with clock.pretending(self.now), self.world.house.db.transaction() as connection:
            take_turn(connection, [event.resident_id])
            self.world.house.publish(connection, [event])
            if twice:
                raise InsufficientPoints

    def follow(self, kind: type[Any], record: ActionRecorded) -> None:
        """What is decided of a record."""
        fields = record.model_dump(exclude={"with_points", "pending"})
        by = {"confirmed_by": ids.new_id()} if kind is ActionConfirmed else {}
        self.publish(kind(**{**fields, **by, "recorded_at": self.now, "reason": "因为"}))

    @rule(who=WHO, plates=st.integers(1, 3), pending=st.booleans())
    def record(self, who: int, plates: int, pending: bool) -> None:
        """A record is credited, or held."""
        resident = self.residents[who].id
        changed = {"subject_id": ids.new_id(), "resident_id": resident, "recorded_at": self.now}
        event = self.like.model_copy(
            update={
                **changed,
                "quantity_milli": plates * 1000,
                "pending": pending,
                "day": clock.day_of(self.now),
            }
        )
        self.publish(event)
        if pending:
            self.waiting.append((resident, event))
        else:
            self.records.append((resident, event))
            self.has[resident] += 10 * plates

    @rule(place=PLACE, confirmed=st.booleans())
    def decide(self, place: int, confirmed: bool) -> None:
        """A record that waits is confirmed or rejected."""
        if not self.waiting:
            return
        resident, event = self.waiting.pop(place % len(self.waiting))
        self.follow(ActionConfirmed if confirmed else ActionRejected, event)
        if confirmed:
            self.records.append((resident, event))
            self.has[resident] += event.quantity_milli // 100

    @rule(place=PLACE)
    def void(self, place: int) -> None:
        """A record is voided while its points are there, or when their day is over."""
        if not self.records:
            return
        index = place % len(self.records)
        resident, event = self.records[index]
        points = event.quantity_milli // 100
        over = self.last_day(event) < clock.day_of(self.now)
        if not over and self.has[resident] < points:
            with pytest.raises(InsufficientPoints):
                self.follow(ActionVoided, event)
            return
        self.follow(ActionVoided, event)
        self.records.pop(index)
        self.has[resident] -= 0 if over else points

    def last_day(self, event: ActionRecorded) -> Any:
        """The day of the points of a record that counts."""
        references = [f"action:{event.subject_id}", f"confirm:{event.subject_id}"]
        with self.world.house.db.reading() as connection:
            found = ledger.find(connection, references)
        return found.get(references[1], found[references[0]]).expires_on

    @rule(who=WHO, amount=st.integers(1, 40))
    def spend(self, who: int, amount: int) -> None:
        """Points are spent as far as they go."""
        resident, reference = self.residents[who].id, f"spend:{ids.new_id()}"
        with clock.pretending(self.now):
            try:
                with self.world.house.db.transaction() as connection:
                    take_turn(connection, [resident])
                    spending.spend(
                        connection, resident, amount, reference=reference, destination=SHOP, moment=self.now
                    )
            except InsufficientPoints:
                assert self.has[resident] < amount
                return
        self.has[resident] -= amount
        self.spent.append((resident, reference, amount))

    @rule(place=PLACE)
    def cancel(self, place: int) -> None:
        """What was spent comes back."""
        if not self.spent:
            return
        resident, reference, amount = self.spent.pop(place % len(self.spent))
        with self.world.house.db.transaction() as connection:
            take_turn(connection, [resident])
            spending.give_back(
                connection, resident, amount, reference=f"{reference}:back", source=SHOP, moment=self.now
            )
        self.has[resident] += amount

    @rule(who=WHO)
    def redeem(self, who: int) -> None:
        """Points are held for a voucher, said twice with one key."""
        resident, key = self.residents[who].id, f"key-{ids.new_id()}"
        with clock.pretending(self.now):
            try:
                answers = {
                    redemptions.redeem(self.world.house, resident, self.offer, key=key).body for _ in range(2)
                }
            except InsufficientPoints:
                assert self.has[resident] < PRICE
                return
        self.has[resident] -= PRICE
        self.vouchers.append((resident, json.loads(answers.pop())["voucher"]))
        assert not answers

    @rule(place=PLACE, settled=st.booleans())
    def end(self, place: int, settled: bool) -> None:
        """A voucher is used, or given up; either way it is good for nothing afterwards."""
        if not self.vouchers:
            return
        resident, voucher = self.vouchers.pop(place % len(self.vouchers))
        with clock.pretending(self.now):
            if settled:
                self.world.hand_over(self.world.organiser, voucher)
            else:
                for _ in range(2):
                    redemptions.cancel(self.world.house, resident, UUID(voucher["id"]))
                self.has[resident] += PRICE
            with pytest.raises((VoucherUsed, VoucherCancelled)):
                self.world.hand_over(self.world.organiser, voucher)

    @rule(who=WHO, amount=st.integers(1, 30))
    def adjust(self, who: int, amount: int) -> None:
        """Two members of staff give points, and say so twice."""
        with clock.pretending(self.now):
            goodwill = GoodwillIn(self.numbers[who], str(amount), "补偿")
            made = adjustments.propose(self.world.house, self.world.officer, goodwill)
            for _ in range(2):
                adjustments.decide(self.world.house, self.world.second_officer, made, "approved")
        self.given.append(made)
        self.has[self.residents[who].id] += amount

    @rule(place=PLACE)
    def reverse(self, place: int) -> None:
        """They take an adjustment back, if it is there to be taken."""
        if not self.given:
            return
        made = self.given[place % len(self.given)]
        with self.world.house.db.reading_session() as session:
            found = session.get_one(adjustments.Adjustment, made)
            before, resident, amount = adjustments.reversal_of(session, made), found.resident_id, found.amount
        with clock.pretending(self.now):
            if before is None:
                back = adjustments.propose_reversal(self.world.house, self.world.officer, made, "补发错了")
            else:
                back = before.id
                with pytest.raises(AlreadyReversed):
                    adjustments.propose_reversal(self.world.house, self.world.officer, made, "补发错了")
            try:
                adjustments.decide(self.world.house, self.world.second_officer, back, "approved")
            except InsufficientPoints:
                return
        if before is None or before.decision is None:
            self.has[resident] -= amount

    @rule(months=st.integers(1, 14))
    def time_goes_on(self, months: int) -> None:
        """The worker comes when it comes: whatever is over by then goes, once."""
        self.now += timedelta(days=31 * months)
        with clock.pretending(self.now):
            with self.world.house.db.transaction() as connection:
                assert len(redemptions.lapse(connection, self.now)) == len(self.vouchers)
            for owner, _ in self.vouchers:
                self.has[owner] += PRICE
            self.vouchers = []
            for resident in self.residents:
                account = account_of(resident.id)
                with self.world.house.db.reading() as connection:
                    left = lots.standing(connection, [account]).get(account, {})
                    assert left == lots.left(*lots.sums(connection, account))
                yesterday = clock.day_of(self.now - expiry.AFTER)
                self.has[resident.id] -= sum(points for day, points in left.items() if day < yesterday)
            tick(self.world.house)
            tick(self.world.house)

    @invariant()
    def everything_holds(self) -> None:
        """Verify finds nothing, and the balances are those of the plain sum."""
        if not hasattr(self, "residents"):
            return
        with self.world.house.db.reading() as connection:
            found = [
                line
                for one in (*INVARIANTS, *POINTS_INVARIANTS, *OFFER_INVARIANTS)
                for line in one.breaches(connection)
                if "is for nothing that is known" not in line  # spending is nobody's event here
            ]
            assert found == []
            for resident in self.residents:
                assert ledger.balance(connection, resident.id) == self.has[resident.id]


def test_whatever_happens_in_any_order_the_books_balance(world: World) -> None:
    class Here(Points):
        pass

    Here.world, Here.like = world, a_record(world)
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=5, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
