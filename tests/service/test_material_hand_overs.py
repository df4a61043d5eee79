"""Hand-overs of the recovery chain: downstream alone, confirmed once, reversed and never edited; and what does not add up."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlmodel import select

from activities import mass_balance, material_hand_overs as hand_overs
from activities.alarm_answers import answer
from activities.mass_balance import AlarmKind, Balance, balance
from activities.material_hand_overs import HandOverIn, confirm, record, reverse
from activities.recycling import GUARDS, HandOver
from activities.review import reject_action, void_action
from activities.reviews import Waits
from activities.sites import Site, SiteStatus, set_status
from activities.stock import take_stock
from tanpuhui import clock, ids
from tanpuhui.audit import AuditEntry
from tanpuhui.errors import InvalidField, KeyReused, NotAllowed, NotFound
from tanpuhui.rooms import build_house
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, create_organisation
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import COMMUNITY, World


class Chain:
    """A point, a station and a yard, each run by an organisation of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        boss = world.colleague(Role.ADMIN)
        self.staff: dict[UUID, Principal] = {}
        self.point, self.station, self.yard = (
            self._site(boss, name, level)
            for name, level in (("甲", "point"), ("乙", "station"), ("丙", "yard"))
        )

    def _site(self, boss: Principal, name: str, level: str) -> Site:
        company = create_organisation(self.world.house, boss, name=f"{name}公司", division_code=COMMUNITY)
        kinds = ("clothing_reuse", "recycle_glass") if level == "point" else ()
        site = self.world.site(
            *kinds, name=f"{name}点", kind="other", level=level, organisation_id=company.id
        )
        self.staff[site.id] = self.world.colleague(Role.ORGANISER, organisation=company.id)
        return site

    def said(self, sender: Site, receiver: Site | None, grams: int = 5_000, **more: Any) -> HandOverIn:
        """What a form says."""
        asked: dict[str, Any] = {
            "from_site_id": sender.id,
            "to_site_id": receiver.id if receiver else None,
            "material": "clothes",
            "grams": grams,
            "handed_at": clock.now() - timedelta(minutes=1),
            **({} if receiver else {"fate": "reused", "taker": "衣再生公司"}),
        }
        return HandOverIn(**{**asked, **more})

    def hand(self, sender: Site, receiver: Site | None, grams: int = 5_000, **more: Any) -> HandOver:
        """Enter a hand-over as the sender's staff."""
        said = self.said(sender, receiver, grams, **more)
        return record(self.world.house, self.staff[sender.id], said)

    def arrives(self, row: HandOver, grams: int) -> None:
        """Confirm as the receiver's staff."""
        assert row.to_site_id
        confirm(self.world.house, self.staff[row.to_site_id], row.id, grams)

    def balance(self, site_ids: list[UUID] | None = None) -> Balance:
        """The balance until this month, once the relay has delivered; that of the records is the same."""
        self.world.house.relay.drain()
        with self.world.house.db.snapshot() as connection:
            month = clock.today().replace(day=1)
            found = balance(connection, month, site_ids)
            assert found.lines == balance(connection, month, site_ids, mass_balance.recorded).lines
            return found

    def stocks(self) -> dict[str, int]:
        """The closing stock of clothes by site."""
        found = self.balance()
        return {
            found.sites[line.site_id].name: line.closing for line in found.lines if line.material == "clothes"
        }


@pytest.fixture
def chain(world: World) -> Chain:
    return Chain(world)


def refused(call: Any) -> dict[str, str]:
    """The field of each thing that is wrong, with the words."""
    with pytest.raises(InvalidField) as error:
        call()
    return {bad["field"]: bad["reason"] for bad in error.value.params["errors"]}


# --- from point to yard and out -----------------------------------------------------------------------------


def test_what_was_brought_in_is_followed_to_its_end(world: World, chain: Chain) -> None:
    """Each side's own weight counts for its stock; what was voided, waits or was rejected brings in nothing."""
    code = world.code_at(chain.point)
    made = [
        UUID(world.scan(resident, code, kind="clothing_reuse", quantity="4.5")["action"]["id"])
        for resident in world.residents(3)
    ]
    waiting = [
        world.scan(resident, code, kind="clothing_reuse", quantity="9", waits=Waits.PHOTO)["action"]["id"]
        for resident in world.residents(2)
    ]
    reject_action(world.house, world.officer, UUID(waiting[0]), "看不清")
    void_action(world.house, world.officer, made[0], "重复登记")
    first = chain.hand(chain.point, chain.station, 8_000, vehicle="沪A12345", receipt=" ht-001 ")
    assert (first.receipt, first.day) == ("HT-001", clock.day_of(first.handed_at))
    assert chain.stocks() == {"甲点": 1_000}
    chain.arrives(first, 7_900)
    second = chain.hand(chain.station, chain.yard, 7_000)
    chain.arrives(second, 7_000)
    out = chain.hand(chain.yard, None, 6_000)
    assert chain.stocks() == {"甲点": 1_000, "乙点": 900, "丙点": 1_000}
    assert chain.balance().alarms == []
    assert set(chain.balance([chain.yard.id]).sites) == {chain.yard.id}
    reverse(world.house, chain.staff[chain.yard.id], out.id, "登记错了")
    reverse(world.house, chain.staff[chain.station.id], second.id, "登记错了")
    assert chain.stocks() == {"甲点": 1_000, "乙点": 7_900}
    with world.house.db.reading_session() as session:
        deeds = session.exec(
            select(AuditEntry.deed).where(AuditEntry.deed.startswith("hand_over")).order_by(AuditEntry.at)  # type: ignore[attr-defined]
        ).all()
    assert deeds == [
        *("hand_over.recorded", "hand_over.confirmed") * 2,
        "hand_over.recorded",
        *["hand_over.reversed"] * 2,
    ]
    assert world.breaches() == []


def test_what_cannot_be_is_refused_in_words_beside_its_field(world: World, chain: Chain) -> None:
    house, point = world.house, chain.staff[chain.point.id]
    desk = world.site("own_cup")
    before = contents(house)

    def wrong(**more: Any) -> dict[str, str]:
        said = chain.said(chain.point, chain.station).model_copy(update=more)
        return refused(lambda: record(house, point, said))

    assert wrong(grams=0) == {"grams": "重量应大于 0。"}
    assert wrong(grams=-5)["grams"]
    assert "30 吨" in wrong(grams=30_000_001)["grams"]
    assert "不能交给自己" in wrong(to_site_id=chain.point.id)["to_site_id"]
    assert "方向不对" in wrong(to_site_id=desk.id)["to_site_id"]
    assert wrong(to_site_id=ids.new_id())["to_site_id"]
    assert "还没有到" in wrong(handed_at=clock.now() + timedelta(minutes=5))["handed_at"]
    assert wrong(handed_at=clock.now() - timedelta(days=400))["handed_at"]
    assert wrong(material="stone") == {"material": "请从列表中选择材料。"}
    assert wrong(to_site_id=None)["to_site_id"]
    assert wrong(fate="reused", taker="某公司")["fate"]
    assert set(wrong(grams=0, material="stone", to_site_id=None)) == {"grams", "material", "to_site_id"}
    back = chain.said(chain.yard, chain.station)
    assert "方向不对" in refused(lambda: record(house, chain.staff[chain.yard.id], back))["to_site_id"]
    out = chain.said(chain.yard, None).model_copy(update={"fate": None, "taker": " "})
    assert set(refused(lambda: record(house, chain.staff[chain.yard.id], out))) == {"fate", "taker"}
    assert written(before, contents(house)) == {}
    set_status(house, chain.staff[chain.station.id], chain.station.id, SiteStatus.CLOSED, "检修")
    assert "已关闭" in wrong()["to_site_id"]
    world.scan(world.resident(), world.code_at(chain.point), kind="recycle_glass", quantity=1)


def test_each_side_does_its_own_part(world: World, chain: Chain) -> None:
    house = world.house
    point, station, yard = (chain.staff[site.id] for site in (chain.point, chain.station, chain.yard))
    helper = world.colleague(Role.HELPER, Role.MERCHANT)
    for stranger in (station, yard, helper, Principal("resident", world.resident().id, ids.new_id())):
        with pytest.raises(NotAllowed):
            record(house, stranger, chain.said(chain.point, chain.station))
    row = chain.hand(chain.point, chain.station)
    for stranger in (point, yard, helper):
        with pytest.raises(NotAllowed):
            confirm(house, stranger, row.id, 5_000)
    assert set(refused(lambda: confirm(house, station, row.id, 0))) == {"grams"}
    with pytest.raises(NotAllowed):
        reverse(house, yard, row.id, "不归我管")
    with house.db.reading_session() as session, pytest.raises(NotAllowed):
        hand_overs.one(session, yard, row.id)
    assert set(refused(lambda: reverse(house, point, row.id, " "))) == {"reason"}
    reverse(house, station, row.id, "没有收到")
    assert codes([_error(lambda: reverse(house, point, row.id, "再来一次"))]) == ["hand_over_reversed"]
    assert codes([_error(lambda: confirm(house, station, row.id, 5_000))]) == ["hand_over_reversed"]
    with pytest.raises(NotFound):
        confirm(house, yard, chain.hand(chain.yard, None).id, 5_000)
    with pytest.raises(NotFound):
        reverse(house, yard, ids.new_id(), "没有这一次")


def _error(call: Any) -> Any:
    try:
        return call()
    except Exception as error:
        return error


# --- once, whatever races -----------------------------------------------------------------------------------


def test_a_form_sent_twice_is_one_and_a_receipt_stands_once(world: World, chain: Chain) -> None:
    house, point = world.house, chain.staff[chain.point.id]
    said, chosen = chain.said(chain.point, chain.station, receipt="A-7"), ids.new_id()
    first = record(house, point, said, chosen=chosen)
    assert record(house, point, said, chosen=chosen).id == first.id == chosen
    with pytest.raises(KeyReused):
        record(house, point, said.model_copy(update={"grams": 6_000}), chosen=chosen)
    assert "已经登记过" in refused(lambda: chain.hand(chain.point, chain.station, receipt="a - 7"))["receipt"]
    chain.arrives(first, 5_000)
    assert refused(lambda: chain.hand(chain.point, chain.station, receipt="A-7"))["receipt"]
    chain.hand(chain.station, chain.yard, receipt="A-7")  # on another's paper
    reverse(house, point, first.id, "重量抄错了")
    again = chain.hand(chain.point, chain.station, 4_000, receipt="A-7")
    assert again.again == 1
    assert refused(lambda: chain.hand(chain.point, chain.station, receipt="A-7"))["receipt"]
    assert world.breaches() == []


def rush(world: World, chain: Chain, number: int = 6) -> list[str]:
    """One receipt, sent at once by several colleagues through two processes."""
    other = build_house(world.house.settings)
    organisation = chain.point.organisation_id
    colleagues = [world.colleague(Role.ORGANISER, organisation=organisation) for _ in range(number)]
    said = chain.said(chain.point, chain.station, receipt="R-1")
    calls = [
        lambda who=who, house=house: record(house, who, said)  # type: ignore[misc]
        for who, house in zip(colleagues, [world.house, other] * number, strict=False)
    ]
    results = codes(at_once(calls))
    other.db.dispose()
    return results


def test_of_one_receipt_sent_at_once_one_is_taken(world: World, chain: Chain) -> None:
    assert sorted(rush(world, chain)) == ["invalid_fields"] * 5 + ["ok"]
    with world.house.db.reading_session() as session:
        assert len(session.exec(select(HandOver)).all()) == 1
    assert world.breaches() == []


#: How SQLAlchemy names what the database itself refused.
BY_DATABASE = sa.exc.IntegrityError.code


def without_rules(world: World, table: str) -> None:
    """The control: the table forgets its keys, checks and triggers."""
    with world.house.db.transaction() as connection:
        for guard in GUARDS:
            if guard.table == table:
                for statement in guard.drop(connection.dialect.name):
                    connection.execute(sa.text(statement))
        connection.execute(sa.text(f"ALTER TABLE {table} RENAME TO {table}_before"))
        connection.execute(sa.text(f"CREATE TABLE {table} AS SELECT * FROM {table}_before"))


def test_without_its_guards_a_receipt_stands_several_times(
    world: World, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that does not look gets no further with the database's own rule, and counts it again without it."""
    monkeypatch.setattr(hand_overs, "_entered_before", lambda *_: 0)  # what each would have found
    assert sorted(rush(world, chain)) == [BY_DATABASE] * 5 + ["ok"]
    without_rules(world, "hand_over")
    assert rush(world, chain) == ["ok"] * 6
    assert any("a receipt stands once" in line for line in world.breaches())


def arrivals(world: World, chain: Chain, number: int = 6) -> list[str]:
    """One hand-over, confirmed at once by several colleagues through two processes."""
    row = chain.hand(chain.point, chain.station)
    other = build_house(world.house.settings)
    organisation = chain.station.organisation_id
    colleagues = [world.colleague(Role.ORGANISER, organisation=organisation) for _ in range(number)]
    calls = [
        lambda at=at, who=who, house=house: confirm(house, who, row.id, 5_000 + at)  # type: ignore[misc]
        for at, (who, house) in enumerate(zip(colleagues, [world.house, other] * number, strict=False))
    ]
    results = codes(at_once(calls))
    other.db.dispose()
    return results


def test_of_several_who_confirm_at_once_one_does(world: World, chain: Chain) -> None:
    assert sorted(arrivals(world, chain)) == ["hand_over_confirmed"] * 5 + ["ok"]
    assert world.breaches() == []


def test_without_its_guards_a_hand_over_arrives_several_times(
    world: World, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand_overs, "_refuse_settled", lambda *_: None)
    assert sorted(arrivals(world, chain)) == [BY_DATABASE] * 5 + ["ok"]
    without_rules(world, "hand_over_confirmation")
    assert arrivals(world, chain) == ["ok"] * 6
    assert chain.stocks()["乙点"] > 30_000
    assert any("confirmed once" in line for line in world.breaches())


def test_confirmed_and_reversed_at_once_it_is_both_or_reversed(world: World, chain: Chain) -> None:
    for _ in range(4):
        row = chain.hand(chain.point, chain.station)
        results = codes(
            at_once(
                [
                    lambda: chain.arrives(row, 5_000),  # noqa: B023 - run before the next one is made
                    lambda: reverse(world.house, chain.staff[chain.point.id], row.id, "登记错了"),  # noqa: B023
                ]
            )
        )
        assert results[1] == "ok"
        assert results[0] in {"ok", "hand_over_reversed"}
    assert chain.stocks() == {}
    assert world.breaches() == []


def test_the_database_knows_no_edit_and_no_other_direction(world: World, chain: Chain) -> None:
    row = chain.hand(chain.point, chain.station)
    chain.arrives(row, 4_999)
    reverse(world.house, chain.staff[chain.point.id], row.id, "登记错了")
    second = chain.hand(chain.point, chain.station)
    take_stock(world.house, chain.staff[chain.point.id], chain.point.id, "clothes", _last_month(), 0)
    told: dict[str, Any] = row.model_dump(exclude={"id", "receipt"})
    for statement in (
        "UPDATE hand_over SET grams = 1",
        "UPDATE hand_over_confirmation SET grams = 1",
        "DELETE FROM hand_over_reversal",
        "DELETE FROM stock_take",
        f"UPDATE site SET level = 'yard' WHERE name = '{chain.station.name}'",
    ):
        with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
            connection.execute(sa.text(statement))
    for changed in (
        {"grams": 0},
        {"to_site_id": chain.point.id},
        {"to_site_id": None},
        {"from_site_id": chain.yard.id},
        {"from_site_id": chain.point.id, "to_site_id": None, "fate": "reused", "taker": "某公司"},
        {"handed_at": clock.now() + timedelta(days=1)},
        {"receipt": "X", "again": 1},
    ):
        with pytest.raises(sa.exc.DBAPIError), world.house.db.session() as session:
            session.add(HandOver(**{**told, **changed}))
    for late in ("hand_over_confirmation", "hand_over_reversal"):
        columns = (
            "grams, confirmed_by, confirmed_at" if "conf" in late else "reason, reversed_by, reversed_at"
        )
        value = "1" if "conf" in late else "'x'"
        with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
            connection.execute(
                sa.text(
                    f"INSERT INTO {late} (hand_over_id, {columns}) SELECT id, {value}, recorded_by, recorded_at "
                    "FROM hand_over WHERE id IN (SELECT hand_over_id FROM hand_over_reversal)"
                )
            )
    assert second.again == 0


# --- what does not add up -----------------------------------------------------------------------------------


def _last_month() -> date:
    return (clock.today().replace(day=1) - timedelta(days=1)).replace(day=1)


def test_an_alarm_is_answered_or_gone_with_a_correction(world: World, chain: Chain) -> None:
    house, point, station = world.house, chain.staff[chain.point.id], chain.staff[chain.station.id]
    noon = datetime.combine(_last_month() + timedelta(days=9), datetime.min.time(), clock.SHANGHAI)
    row = chain.hand(chain.point, chain.station, 40_000, handed_at=noon)
    chain.arrives(row, 20_000)
    kinds = {alarm.kind: alarm for alarm in chain.balance().open}
    assert {kind: alarm.difference for kind, alarm in kinds.items()} == {
        AlarmKind.NEGATIVE: -40_000,
        AlarmKind.TRANSIT: -20_000,
    }
    alarm = kinds[AlarmKind.NEGATIVE]
    assert set(refused(lambda: answer(house, point, alarm.key, -40_000, ""))) == {"reason"}
    with pytest.raises(NotAllowed):
        answer(house, station, alarm.key, -40_000, "不归我管")
    assert _error(lambda: answer(house, point, alarm.key, -1, "不是这个数")).code == "alarm_moved"
    for unknown in ("nothing", f"transit:{ids.new_id()}"):
        with pytest.raises(NotFound):
            answer(house, point, unknown, -40_000, "没有这一条")
    answer(house, point, alarm.key, -40_000, "居民投放时没有扫码")
    again = _error(lambda: answer(house, point, alarm.key, -40_000, "再说一次"))
    assert again.code == "alarm_moved"
    assert [one.kind for one in chain.balance().open] == [AlarmKind.TRANSIT]
    (told,) = [one for one in chain.balance().alarms if one.answer]
    assert told.answer is not None
    assert told.answer.reason == "居民投放时没有扫码"
    reverse(house, station, row.id, "对方抄错了一位")
    chain.arrives(chain.hand(chain.point, chain.station, 20_500, handed_at=noon), 20_000)
    assert [(one.kind, one.difference) for one in chain.balance().open] == [(AlarmKind.NEGATIVE, -20_500)]
    take_stock(house, point, chain.point.id, "clothes", _last_month(), 0)
    assert [(one.kind, one.difference) for one in chain.balance().open] == [(AlarmKind.COUNTED, 20_500)]
    assert chain.stocks() == {"甲点": 0, "乙点": 20_000}
    assert world.breaches() == []


def test_a_stock_is_counted_again_with_a_reason_and_both_stay(world: World, chain: Chain) -> None:
    house, point = world.house, chain.staff[chain.point.id]

    def count(grams: int, reason: str = "", **more: Any) -> Any:
        asked = {"material": "clothes", "month": _last_month(), **more}
        return take_stock(house, point, chain.point.id, grams=grams, reason=reason, **asked)

    assert count(3_000).revision == count(3_000).revision == 1
    assert set(refused(lambda: count(2_500))) == {"reason"}
    assert count(2_500, "秤没有归零").revision == 2
    assert set(refused(lambda: count(-1, material="stone", month=clock.today() + timedelta(days=40)))) == {
        "grams",
        "material",
        "month",
    }
    assert chain.stocks() == {"甲点": 2_500}
    with pytest.raises(NotAllowed):
        take_stock(house, chain.staff[chain.yard.id], chain.point.id, "clothes", _last_month(), 1)
