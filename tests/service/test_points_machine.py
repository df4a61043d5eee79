"""Points in any order: credit, hold, release, reject, void, spend, reserve, settle, cancel, expire, adjust and reverse; bonuses granted and
taken back; tickets of draws taken, given back, drawn and their prizes handed over; with everything sent twice.

After each step whatever `tanpuhui verify` asks of points has to hold, and the balances have to be those of a plain sum kept beside.
"""

import json
from collections import defaultdict
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from activities.events import ActionConfirmed, ActionRecorded, ActionRejected, ActionVoided
from rewards import (
    adjustments,
    draw_entries,
    draw_making,
    draw_ticks,
    expiry,
    ledger,
    lots,
    published_draws,
    redemptions,
    spending,
)
from rewards.adjustments import GoodwillIn
from rewards.bonus import follow
from rewards.bonus_invariants import BONUS_INVARIANTS
from rewards.draw_invariants import DRAW_INVARIANTS
from rewards.draw_making import Prize
from rewards.draws import COLLECTED_WITHIN, PAUSE
from rewards.grants import grant_reference
from rewards.invariants import INVARIANTS
from rewards.ledger import account_of
from rewards.offer_invariants import OFFER_INVARIANTS
from rewards.offers import MOST_PER_PERSON
from rewards.points_invariants import POINTS_INVARIANTS
from tanpuhui import clock, ids
from tanpuhui.errors import (
    AlreadyReversed,
    DrawMovedOn,
    InsufficientPoints,
    InvalidField,
    VoucherCancelled,
    VoucherUsed,
)
from tanpuhui.events import Event
from tanpuhui.people import Resident, take_turn
from tests.service.test_adjustments import written_in
from tests.service.test_expiry import tick
from tests.world import World

SHOP = "programme:shop"

#: What a voucher costs (`World.offer`).
PRICE = 10

#: What a ticket of a draw costs; what a record of the campaign gets on top, each resident at most, and all together.
TICKET = 7
BONUS = {"by": "points", "amount": 5, "cap": 8, "budget": 12}
INVARIANTS_OF_POINTS = (
    *INVARIANTS,
    *POINTS_INVARIANTS,
    *OFFER_INVARIANTS,
    *BONUS_INVARIANTS,
    *DRAW_INVARIANTS,
)
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
        """Everybody begins today with records in a campaign that gives a bonus, and with a ticket of a draw."""
        self.campaign = self.world.campaign(self.world.site("clean_plate"), bonus=BONUS).id
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
        self.untold: list[ActionRecorded | ActionConfirmed | ActionVoided] = []
        self.bonuses: dict[UUID, tuple[UUID, int]] = {}
        self.draw: UUID | None = None
        self.tickets: dict[UUID, str] = {}
        self.prizes: list[tuple[UUID, str, datetime]] = []
        with clock.pretending(self.now):
            changes = {"closes_at": self.now + timedelta(days=365 * 60), "per_person": str(MOST_PER_PERSON)}
            self.offer = self.world.offer(**changes)
        for who in range(2):
            for _ in range(2):
                self.record(who, 1, pending=False, campaign=True)
            self.enter(who)

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
        event = kind(**{**fields, **by, "recorded_at": self.now, "reason": "因为"})
        self.publish(event)
        if record.campaign_id and kind is not ActionRejected:
            self.untold.append(event)

    @rule(who=WHO, plates=st.integers(1, 3), pending=st.booleans(), campaign=st.booleans())
    def record(self, who: int, plates: int, pending: bool, campaign: bool) -> None:
        """A record is credited, or held."""
        resident = self.residents[who].id
        changed = {
            "subject_id": ids.new_id(),
            "resident_id": resident,
            "recorded_at": self.now,
            "campaign_id": self.campaign if campaign else None,
        }
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
        if campaign:
            self.untold.append(event)

    @precondition(lambda self: self.waiting)
    @rule(place=PLACE, confirmed=st.booleans())
    def decide(self, place: int, confirmed: bool) -> None:
        """A record that waits is confirmed or rejected."""
        resident, event = self.waiting.pop(place % len(self.waiting))
        self.follow(ActionConfirmed if confirmed else ActionRejected, event)
        if confirmed:
            self.records.append((resident, event))
            self.has[resident] += event.quantity_milli // 100

    @precondition(lambda self: self.records)
    @rule(place=PLACE)
    def void(self, place: int) -> None:
        """A record is voided while its points are there, or when their day is over."""
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

    @precondition(lambda self: self.untold)
    @rule(place=PLACE)
    def bring(self, place: int) -> None:
        """The relay brings a record or a void of the campaign, in any order and twice: a bonus is granted, or taken back as far as it is there."""
        event = self.untold.pop(place % len(self.untold))
        action, resident = event.subject_id, event.resident_id
        assert resident is not None
        if isinstance(event, ActionVoided):
            _, points = self.bonuses.get(action, (resident, 0))
            back = min(points, self.has[resident]) if points and self.lasts(action) else 0
            self.bonuses[action] = resident, points - back
            self.has[resident] -= back
        elif action not in self.bonuses and not (isinstance(event, ActionRecorded) and event.pending):
            given = sum(points for _, points in self.bonuses.values())
            own = sum(points for one, points in self.bonuses.values() if one == resident)
            points = min(BONUS["amount"], BONUS["cap"] - own, BONUS["budget"] - given)
            self.bonuses[action] = resident, points
            self.has[resident] += points
        for _ in range(2):
            with clock.pretending(self.now), self.world.house.db.transaction() as connection:
                follow(connection, [event])

    def lasts(self, action: UUID) -> bool:
        """Whether the day of a bonus is not over."""
        with self.world.house.db.reading() as connection:
            found = ledger.find(connection, [grant_reference(action)])[grant_reference(action)]
        return bool(found.expires_on >= clock.day_of(self.now))

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

    @precondition(lambda self: self.spent)
    @rule(place=PLACE)
    def cancel(self, place: int) -> None:
        """What was spent comes back."""
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

    @precondition(lambda self: self.vouchers)
    @rule(place=PLACE, settled=st.booleans())
    def end(self, place: int, settled: bool) -> None:
        """A voucher is used, or given up; either way it is good for nothing afterwards."""
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

    @rule(who=WHO)
    def enter(self, who: int) -> None:
        """A ticket of the open draw is taken, with two taps; a new one is opened where there is none."""
        resident, house = self.residents[who].id, self.world.house
        with clock.pretending(self.now):
            if self.draw is None:
                self.draw = self.world.draw(price=TICKET, prizes=[Prize(name="布袋", count=1)]).id
            try:
                tickets = {draw_entries.enter(house, resident, self.draw).ticket for _ in range(2)}
            except InsufficientPoints:
                assert self.has[resident] < TICKET
                assert resident not in self.tickets
                return
        self.has[resident] -= 0 if resident in self.tickets else TICKET
        self.tickets[resident] = self.tickets.get(resident, "") or tickets.copy().pop()
        assert tickets == {self.tickets[resident]}

    @precondition(lambda self: self.tickets)
    @rule(place=PLACE, called_off=st.booleans())
    def leave_the_draw(self, place: int, called_off: bool) -> None:
        """A ticket is given back, or the draw is called off and every ticket comes back."""
        assert self.draw is not None
        who = list(self.tickets)[place % len(self.tickets)]
        with clock.pretending(self.now):
            for _ in range(2):
                if called_off:
                    draw_making.cancel(self.world.house, self.world.organiser, self.draw, "奖品没有到货")
                    self.tick_draws()
                else:
                    draw_entries.give_up(self.world.house, who, self.draw)
        for resident in list(self.tickets) if called_off else [who]:
            del self.tickets[resident]
            self.has[resident] += TICKET
        self.draw = None if called_off else self.draw

    def tick_draws(self) -> None:
        """The worker looks after draws, twice."""
        for _ in range(2):
            with clock.pretending(self.now), self.world.house.db.transaction() as connection:
                draw_ticks.tick(self.world.house, connection, self.now)

    def hold_the_draw(self) -> None:
        """The open draw closes, and is held after its pause: one of the tickets wins."""
        self.tick_draws()
        self.now += PAUSE
        self.tick_draws()
        if self.draw is None:
            return
        with self.world.house.db.reading_session() as session:
            won = published_draws.winners_of(session, self.draw)
        assert len(won) == min(1, len(self.tickets))
        assert {one["ticket"] for one in won} <= set(self.tickets.values())
        self.prizes += [(self.draw, one["ticket"], self.now + COLLECTED_WITHIN) for one in won]
        self.draw, self.tickets = None, {}

    @precondition(lambda self: self.prizes)
    @rule(place=PLACE)
    def hand_over(self, place: int) -> None:
        """A prize is handed over once, while it can be collected."""
        draw_id, ticket, until = self.prizes.pop(place % len(self.prizes))
        late = self.now > until
        with clock.pretending(self.now):
            for refused in (DrawMovedOn if late else None, DrawMovedOn if late else InvalidField):
                with pytest.raises(refused) if refused else nullcontext():
                    draw_entries.hand_over(self.world.house, self.world.organiser, draw_id, ticket)

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

    @precondition(lambda self: self.given)
    @rule(place=PLACE)
    def reverse(self, place: int) -> None:
        """They take an adjustment back, if it is there to be taken."""
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
        self.hold_the_draw()
        with clock.pretending(self.now):
            with self.world.house.db.transaction() as connection:
                lapsed = redemptions.lapse(connection, self.now)
            mine = [one for one in lapsed if one.resident_id in {who.id for who in self.residents}]
            assert len(mine) == len(self.vouchers)  # others may have some of earlier times
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
                for one in INVARIANTS_OF_POINTS
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
