"""What must always hold in this room; `tanpuhui verify` asks."""

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

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


INVARIANTS = (
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
        "LEFT JOIN (SELECT CAST(action_id AS text) AS action_id FROM action_void) v ON v.action_id = a.id "
        "WHERE v.action_id IS NULL GROUP BY a.resident_id, a.day, a.kind, k.records_per_day "
        # Limits are settings: records made before the last change of any are not judged by today's.
        "HAVING count(*) > k.records_per_day "
        "AND min(a.recorded_at) >= (SELECT updated_at FROM reference_state)",
        "no more records of a kind on a day than its limit",
    ),
)
