"""What must always hold in this room; `tanpuhui verify` asks."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import select
from sqlmodel.sql.sqltypes import UTCDateTime

from activities.catalogue import ActionKind
from activities.clashes import ClashRule, one_deed
from activities.limits import loads
from activities.mass_balance import unequal
from activities.recycling import DOWNSTREAM
from activities.trees import early_checks
from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.rooms import Invariant


def _rows(sql: str, what: str) -> Invariant:
    def breaches(connection: Connection) -> Iterator[str]:
        for row in connection.execute(sa.text(sql)):
            yield f"{what}: {row[0]}"

    return Invariant(what, breaches)


def _events_of(event_type: str) -> str:
    return (
        f"(SELECT subject_id, count(*) AS n FROM event_log WHERE type = '{event_type}' GROUP BY subject_id)"
    )


_CHECKS = (
    "FROM tree_check c JOIN planting p ON p.id = c.planting_id "
    "JOIN event_log e ON e.type = 'action.recorded' AND e.resident_id = p.resident_id AND e.subject_id = c.action_id"
)

#: The checks of a planting that stood before `c`, by the order of the log, which is that of a resident's turns.
_BEFORE = (
    "FROM tree_check b JOIN event_log f "
    "ON f.type = 'action.recorded' AND f.resident_id = p.resident_id AND f.subject_id = b.action_id "
    "WHERE b.planting_id = c.planting_id AND f.position < e.position AND NOT EXISTS (SELECT 1 FROM event_log v "
    "WHERE v.type = 'action.voided' AND v.resident_id = p.resident_id AND v.subject_id = b.action_id "
    "AND v.position < e.position)"
)

HINTS = (
    _rows(
        "SELECT h.action_id FROM place_hint h WHERE NOT EXISTS (SELECT 1 FROM action a JOIN consent c "
        "ON c.resident_id = a.resident_id AND c.document = 'place_hints' AND c.withdrawn_at IS NULL "
        "WHERE a.id = h.action_id)",
        "a place hint is held by a standing consent",
    ),
)

#: The latest change `c` of every observance and year.
_LATEST_CHANGE = (
    "observance_change c JOIN (SELECT key, year, max(revision) AS revision, count(*) AS n FROM observance_change "
    "GROUP BY key, year) l ON l.key = c.key AND l.year = c.year AND l.revision = c.revision"
)

OBSERVANCES = (
    _rows(
        f"SELECT c.id FROM {_LATEST_CHANGE} LEFT JOIN observance o ON o.key = c.key AND o.year = c.year "
        "WHERE COALESCE(o.starts_on, '') <> COALESCE(c.starts_on, '') OR COALESCE(o.ends_on, '') <> COALESCE(c.ends_on, '') "
        "OR (o.key IS NOT NULL AND (o.name_zh <> c.name_zh OR o.name_en <> c.name_en OR o.kind <> c.kind "
        "OR o.source <> c.source OR o.confidence <> c.confidence))",
        "an observance says what its latest change says",
    ),
    _rows(
        f"SELECT c.id FROM {_LATEST_CHANGE} WHERE l.n <> l.revision",
        "the changes of an observance have no gap",
    ),
)

TREES = (
    _rows(
        f"SELECT p.id FROM planting p LEFT JOIN {_events_of('trees.planted')} e ON e.subject_id = p.id "
        "WHERE COALESCE(e.n, 0) <> 1",
        "a planting has exactly one event",
    ),
    _rows(
        "SELECT e.position FROM event_log e WHERE e.type = 'trees.planted' "
        "AND NOT EXISTS (SELECT 1 FROM planting p WHERE p.id = e.subject_id)",
        "a trees.planted event has its planting",
    ),
    _rows(
        "SELECT c.action_id FROM tree_check c JOIN planting p ON p.id = c.planting_id "
        "LEFT JOIN action a ON a.id = c.action_id AND a.resident_id = p.resident_id AND a.site_id = p.site_id "
        "AND a.kind = p.kind AND a.day = c.checked_on AND a.quantity_milli = c.alive * 1000 WHERE a.id IS NULL",
        "a tree check has an action of its planting, of the trees alive",
    ),
    _rows(
        f"SELECT c.action_id {_CHECKS} WHERE c.alive_before <> "
        f"COALESCE((SELECT b.alive {_BEFORE} ORDER BY f.position DESC LIMIT 1), p.trees)",
        "a tree check starts from what the check before found",
    ),
    _rows(
        f"SELECT c.action_id {_CHECKS} WHERE EXISTS (SELECT 1 {_BEFORE} AND b.year = c.year)",
        "a year of a planting has one standing check",
    ),
    Invariant("no tree check comes before its year is over", early_checks),
    _rows(
        # Records made before the first planting of their kind are of a time when one scan was all there was.
        "SELECT a.id FROM action a JOIN methodology_kind k ON k.kind = a.kind "
        "JOIN methodology m ON m.code = k.methodology AND m.form = 'survival' "
        "WHERE a.recorded_at > (SELECT min(p.recorded_at) FROM planting p WHERE p.kind = a.kind) "
        "AND NOT EXISTS (SELECT 1 FROM tree_check c WHERE c.action_id = a.id)",
        "an action of planted trees has its check",
    ),
)

DECLARATIONS = (
    _rows(
        "SELECT n.id FROM declaration n LEFT JOIN (SELECT d.declaration_id, count(*) AS actions, "
        "sum(a.co2e_mg) AS low, sum(a.co2e_mid_mg) AS mid, sum(a.co2e_high_mg) AS high "
        "FROM declared_action d JOIN action a ON a.id = d.action_id GROUP BY d.declaration_id) s "
        "ON s.declaration_id = n.id WHERE s.actions IS NULL OR s.actions <> n.actions "
        "OR s.low <> n.co2e_mg OR s.mid <> n.co2e_mid_mg OR s.high <> n.co2e_high_mg",
        "a declaration adds up to its records",
    ),
    _rows(
        "SELECT d.action_id FROM declared_action d JOIN declaration n ON n.id = d.declaration_id "
        "JOIN action a ON a.id = d.action_id JOIN factor_version f ON f.id = a.factor_version "
        "WHERE a.day < n.first OR a.day > n.last OR f.methodology IS NULL OR f.methodology <> n.methodology",
        "a declared record is of its declaration's methodology and period",
    ),
    _rows(
        "SELECT d.action_id FROM declared_action d JOIN action a ON a.id = d.action_id "
        "LEFT JOIN action_void v ON v.action_id = d.action_id "
        "WHERE d.standing AND (a.city_credited OR v.action_id IS NOT NULL)",
        "what is voided or credited by the city stands in no declaration",
    ),
    _rows(
        "SELECT d.action_id FROM declared_action d JOIN declaration n ON n.id = d.declaration_id "
        "WHERE d.standing <> (n.state <> 'withdrawn')",
        "a declared record stands as long as its declaration",
    ),
    _rows(
        "SELECT action_id FROM declared_action WHERE standing GROUP BY action_id HAVING count(*) > 1",
        "a record stands in one declaration at most",
    ),
    _rows(
        "SELECT id FROM declaration WHERE confirmed_mg > co2e_mg",
        "no more is confirmed than was reported",
    ),
)

_MANY_LOADS = (
    "(SELECT b.resident_id, b.day, b.kind FROM action b JOIN action_kind k ON k.code = b.kind "
    "WHERE k.merge_minutes > 0 AND b.recorded_at >= (SELECT updated_at FROM reference_state) "
    "GROUP BY b.resident_id, b.day, b.kind, k.records_per_day HAVING count(*) > k.records_per_day)"
)


def _too_many_loads(connection: Connection) -> Iterator[str]:
    """Of kinds whose records are counted in loads, since the limits were last changed."""
    rows = connection.execute(
        sa.text(
            f"SELECT a.resident_id, a.day, a.kind, a.occurred_at FROM action a JOIN {_MANY_LOADS} many "
            "ON many.resident_id = a.resident_id AND many.day = a.day AND many.kind = a.kind "
            "WHERE NOT EXISTS (SELECT 1 FROM action_void v WHERE v.action_id = a.id) "
            "AND NOT EXISTS (SELECT 1 FROM action_review r WHERE r.action_id = a.id AND r.state = 'rejected')"
        ).columns(resident_id=sa.Uuid(), day=sa.Date(), kind=sa.Text(), occurred_at=UTCDateTime())
    ).all()
    if not rows:
        return
    with session_on(connection) as session:
        kinds = {kind.code: kind for kind in session.exec(select(ActionKind))}
    times: dict[tuple[Any, ...], list[datetime]] = {}
    for row in rows:
        times.setdefault((row.kind, row.day, row.resident_id), []).append(row.occurred_at)
    for (kind, day, resident_id), moments in times.items():
        if loads(kinds[kind], moments) > kinds[kind].records_per_day:
            yield f"{resident_id} has {len(moments)} records of {kind} on {day}"


REVIEWS = (
    _rows(
        "SELECT r.action_id FROM action_review r JOIN action a ON a.id = r.action_id "
        "LEFT JOIN event_log e ON e.subject_id = r.action_id AND e.resident_id = a.resident_id "
        "AND e.type IN ('action.confirmed', 'action.rejected') GROUP BY r.action_id, r.state "
        "HAVING count(e.position) <> CASE WHEN r.state = 'pending' THEN 0 ELSE 1 END "
        "OR COALESCE(max(e.type), '') <> CASE WHEN r.state = 'pending' THEN '' ELSE 'action.' || r.state END",
        "a decided review has exactly one event, of its decision",
    ),
    _rows(
        "SELECT e.position FROM event_log e WHERE e.type IN ('action.confirmed', 'action.rejected') "
        "AND NOT EXISTS (SELECT 1 FROM action_review r WHERE r.action_id = e.subject_id)",
        "a decision of the log has its review",
    ),
)

_PAIR = "SELECT a.id, a.kind, b.kind AS other, a.occurred_at, b.occurred_at AS other_at "

_STANDING = (
    "JOIN action_kind k ON k.code = a.kind JOIN action_kind l ON l.code = b.kind "
    "AND (l.code = k.code OR l.clash_group = k.clash_group) "
    "WHERE a.recorded_at >= (SELECT updated_at FROM reference_state) "
    "AND b.recorded_at >= (SELECT updated_at FROM reference_state) "
    "AND NOT EXISTS (SELECT 1 FROM action_void v WHERE v.action_id IN (a.id, b.id)) "
    "AND NOT EXISTS (SELECT 1 FROM action_review r WHERE r.action_id IN (a.id, b.id) AND r.state = 'rejected')"
)

_OF_ONE = f"{_PAIR} FROM action a JOIN action b ON b.resident_id = a.resident_id AND b.id > a.id {_STANDING}"

#: Of a guardian and the family that they share: the second one was recorded while or after they did, the first one done before
#: they parted.
_OF_FAMILIES = (
    f"{_PAIR} FROM family_guardian f JOIN action a ON a.resident_id = f.guardian_id "
    f"JOIN action b ON b.resident_id = f.family_id {_STANDING} "
    "AND (a.recorded_at >= f.since OR b.recorded_at >= f.since) AND (f.until IS NULL "
    "OR CASE WHEN a.recorded_at <= b.recorded_at THEN a.occurred_at ELSE b.occurred_at END <= f.until) "
    "AND NOT EXISTS (SELECT 1 FROM tree_check c WHERE c.action_id IN (a.id, b.id))"
)


def _credited_twice(connection: Connection) -> Iterator[str]:
    yield from _one_deeds(connection, _OF_ONE)


def _credited_twice_in_a_family(connection: Connection) -> Iterator[str]:
    yield from _one_deeds(connection, _OF_FAMILIES)


def _one_deeds(connection: Connection, pairs_of: str) -> Iterator[str]:
    """Pairs that are one deed, of the records made since the rules were last changed."""
    pairs = connection.execute(
        sa.text(pairs_of).columns(id=sa.Uuid(), occurred_at=UTCDateTime(), other_at=UTCDateTime())
    ).all()
    if not pairs:
        return
    with session_on(connection) as session:
        kinds = {kind.code: kind for kind in session.exec(select(ActionKind))}
        rules = {rule.clash_group: rule for rule in session.exec(select(ClashRule))}
    for pair in pairs:
        kind, other = kinds[pair.kind], kinds[pair.other]
        interval = max(kind.min_interval_minutes, other.min_interval_minutes)
        if one_deed(rules.get(kind.clash_group or ""), pair.occurred_at, pair.other_at, interval):
            yield f"{pair.id} and a record of {pair.other} are one deed"


CLASHES = (
    Invariant("no two standing records are one deed", _credited_twice),
    Invariant("a deed is not counted for a guardian and their family", _credited_twice_in_a_family),
    _rows(
        "SELECT v.action_id FROM (SELECT action_id, replaced_by FROM action_void UNION ALL "
        "SELECT action_id, replaced_by FROM action_review) v JOIN action a ON a.id = v.action_id "
        "LEFT JOIN action n ON n.id = v.replaced_by WHERE v.replaced_by IS NOT NULL "
        "AND (n.id IS NULL OR n.resident_id <> a.resident_id OR NOT EXISTS (SELECT 1 FROM evidence_tier s, "
        "evidence_tier w WHERE s.code = n.evidence AND w.code = a.evidence AND s.rank > w.rank))",
        "a replaced record gave way to a stronger one of the same resident",
    ),
)

_PLACES = (
    "SELECT g.id AS id, g.places - COALESCE(sum(s.people), 0) AS free FROM gathering g LEFT JOIN sign_up s "
    "ON s.gathering_id = g.id AND s.placed_at IS NOT NULL GROUP BY g.id, g.places"
)


def _free_while_waiting(connection: Connection) -> Iterator[str]:
    """Of gatherings that stand and have not begun; the first in line may be a class that is larger than what is free."""
    rows = connection.execute(
        sa.text(
            f"SELECT g.id FROM gathering g JOIN ({_PLACES}) p ON p.id = g.id JOIN sign_up w ON w.gathering_id = g.id "
            "AND w.number = (SELECT min(m.number) FROM sign_up m WHERE m.gathering_id = g.id AND m.placed_at IS NULL) "
            "WHERE g.cancelled_at IS NULL AND g.starts_at > :now AND w.people <= p.free"
        ).bindparams(sa.bindparam("now", clock.now(), UTCDateTime()))
    )
    for row in rows:
        yield f"gathering {row[0]} has free places while somebody waits"


GATHERINGS = (
    _rows(f"SELECT p.id FROM ({_PLACES}) p WHERE p.free < 0", "no more people have a place than there are"),
    Invariant("who waits for a place waits because there is none", _free_while_waiting),
    _rows(
        "SELECT c.number FROM check_in c JOIN sign_up s ON s.id = c.sign_up_id JOIN gathering g "
        "ON g.id = s.gathering_id WHERE s.placed_at IS NULL OR g.cancelled_at IS NOT NULL "
        "OR (s.resident_id IS NOT NULL AND c.resident_id IS NOT NULL AND s.resident_id <> c.resident_id)",
        "who came to a gathering had a place at it, and it took place",
    ),
    _rows(
        "SELECT r.id FROM resident r WHERE r.status <> 'active' AND (EXISTS (SELECT 1 FROM sign_up s "
        "WHERE s.resident_id = r.id) OR EXISTS (SELECT 1 FROM check_in c WHERE c.resident_id = r.id))",
        "who has left is in no line and holds no certificate",
    ),
)

_REVERSED = "SELECT 1 FROM hand_over_reversal r WHERE r.hand_over_id = h.id"

RECOVERY = (
    _rows(
        "SELECT h.id FROM hand_over h JOIN site f ON f.id = h.from_site_id LEFT JOIN site t ON t.id = h.to_site_id "
        f"WHERE h.from_site_id = h.to_site_id OR NOT ({DOWNSTREAM})",
        "material is handed over downstream alone",
    ),
    _rows(
        "SELECT h.from_site_id FROM hand_over h WHERE h.receipt IS NOT NULL "
        f"AND NOT EXISTS ({_REVERSED}) GROUP BY h.from_site_id, h.receipt HAVING count(*) > 1",
        "a receipt stands once",
    ),
    _rows(
        "SELECT c.hand_over_id FROM hand_over_confirmation c LEFT JOIN hand_over h ON h.id = c.hand_over_id "
        "GROUP BY c.hand_over_id HAVING count(*) > 1 OR min(c.grams) <= 0 OR count(h.to_site_id) = 0",
        "what arrived is confirmed once, with a weight above zero",
    ),
    _rows(
        "SELECT r.hand_over_id FROM hand_over_reversal r LEFT JOIN hand_over h ON h.id = r.hand_over_id "
        "GROUP BY r.hand_over_id HAVING count(*) > 1 OR count(h.id) = 0 OR min(r.reversed_at) < min(h.recorded_at)",
        "a reversal is of one hand-over, made before it, and the only one",
    ),
    _rows(
        "SELECT s.site_id FROM stock_take s GROUP BY s.site_id, s.material, s.month HAVING count(*) <> max(s.revision)",
        "the counts of a stock have no gap",
    ),
    Invariant("a stock is the plain sum of what moved", unequal),
)

INVARIANTS = (
    *RECOVERY,
    *GATHERINGS,
    *REVIEWS,
    *CLASHES,
    Invariant("no more loads of a kind on a day than its limit", _too_many_loads),
    *TREES,
    *HINTS,
    *OBSERVANCES,
    *DECLARATIONS,
    _rows(
        f"SELECT a.id FROM action a LEFT JOIN {_events_of('action.recorded')} e ON e.subject_id = a.id "
        "WHERE COALESCE(e.n, 0) <> 1",
        "an action has exactly one event",
    ),
    _rows(
        "SELECT e.position FROM event_log e WHERE e.type = 'action.recorded' "
        "AND NOT EXISTS (SELECT 1 FROM action a WHERE a.id = e.subject_id)",
        "an action.recorded event has its action",
    ),
    _rows(
        f"SELECT v.action_id FROM action_void v LEFT JOIN {_events_of('action.voided')} e "
        "ON e.subject_id = v.action_id WHERE COALESCE(e.n, 0) <> 1",
        "a voided action has exactly one event",
    ),
    _rows(
        "SELECT e.position FROM event_log e WHERE e.type = 'action.voided' "
        "AND NOT EXISTS (SELECT 1 FROM action_void v WHERE v.action_id = e.subject_id)",
        "an action.voided event has its void",
    ),
    _rows(
        "SELECT a.id FROM action a WHERE NOT EXISTS (SELECT 1 FROM site s WHERE s.id = a.site_id) "
        "OR NOT EXISTS (SELECT 1 FROM code c WHERE c.id = a.code_id AND c.site_id = a.site_id) "
        "OR NOT EXISTS (SELECT 1 FROM action_kind k WHERE k.code = a.kind) "
        "OR NOT EXISTS (SELECT 1 FROM factor_version f WHERE f.id = a.factor_version "
        "AND f.action_code = a.kind) "
        "OR NOT EXISTS (SELECT 1 FROM division d WHERE d.code = a.division_code) "
        "OR (a.campaign_id IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM campaign p WHERE p.id = a.campaign_id))",
        "an action's site, code, kind, factor, community and campaign exist",
    ),
    _rows(
        "SELECT min(a.id) FROM (SELECT CAST(id AS text) AS id, resident_id, day, kind, recorded_at "
        "FROM action) a "
        "JOIN action_kind k ON k.code = a.kind "
        "LEFT JOIN (SELECT CAST(action_id AS text) AS action_id FROM action_void UNION "
        "SELECT CAST(action_id AS text) FROM action_review WHERE state = 'rejected') v ON v.action_id = a.id "
        "WHERE v.action_id IS NULL AND k.merge_minutes = 0 GROUP BY a.resident_id, a.day, a.kind, k.records_per_day "
        # Limits are settings: records made before the last change of any are not judged by today's.
        "HAVING count(*) > k.records_per_day "
        "AND min(a.recorded_at) >= (SELECT updated_at FROM reference_state)",
        "no more records of a kind on a day than its limit",
    ),
    _rows(
        "SELECT a.id FROM action a JOIN factor_version f ON f.id = a.factor_version WHERE f.cancelled_on IS NOT NULL",
        "no record uses a factor version that was cancelled",
    ),
    _rows(
        "SELECT p.id FROM factor_proposal p LEFT JOIN factor_version f ON f.proposal_id = p.id "
        "AND f.action_code = p.action_code AND f.co2e_low_ng = p.co2e_low_ng AND f.co2e_mid_ng = p.co2e_mid_ng "
        "AND f.co2e_high_ng = p.co2e_high_ng WHERE (p.state = 'published') <> (f.id IS NOT NULL)",
        "a proposal is published exactly if a version says what it proposed",
    ),
)
