"""What the database itself refuses about methodologies, factor versions and proposals, on both engines.

Versions of one kind never overlap; a published version is never edited, except that an open one may be closed, its
note reworded, and what it had not said be told once; none is ever deleted, and one with a proposal is published only
once that was reviewed. One that no record uses may be cancelled before its first day, by another than who published
it; then the version that it had ended may go on.

The migrations put these up: a change here comes with a migration of its own, and the wording before it goes into the
migration that put it up (as 0001 and 0002 have their own).
"""

from tanpuhui.schema import Guard

_OVERLAP = """
    SELECT 1 FROM factor_version AS other
    WHERE other.action_code = NEW.action_code AND other.id <> NEW.id AND other.cancelled_on IS NULL
      AND coalesce(other.valid_from, '0001-01-01') <= coalesce(NEW.valid_to, '9999-12-31')
      AND coalesce(NEW.valid_from, '0001-01-01') <= coalesce(other.valid_to, '9999-12-31')
"""

_FROZEN = (
    "id",
    "action_code",
    "version",
    "unit",
    "scenario_kind",
    "city_credited",
    "co2e_low_ng",
    "co2e_mid_ng",
    "co2e_high_ng",
    "nox_ng",
    "pm25_ng",
    "voc_ng",
    "so2_ng",
    "co_ng",
    "baseline",
    "source",
    "source_year",
    "region",
    "confidence",
    "valid_from",
    "proposal_id",
    "closes",
)

#: What may be told once by a version that was published without it, with the value that says nothing.
_TOLD_ONCE = {
    "methodology": "NULL",
    "derivation": "''",
    "cancelled_on": "NULL",
    "cancelled_by": "NULL",
    "cancelled_because": "NULL",
}

#: A version that was ended by one that was cancelled goes on: for longer, never shorter.
_GOES_ON = """(NEW.valid_to IS NULL OR NEW.valid_to > OLD.valid_to) AND EXISTS (
    SELECT 1 FROM factor_version c WHERE c.closes = OLD.id AND c.cancelled_on IS NOT NULL
)"""


def _edited(differs: str) -> str:
    frozen = " OR ".join(f"NEW.{name} {differs} OLD.{name}" for name in _FROZEN)
    told = " OR ".join(
        f"(OLD.{name} {differs} {nothing} AND NEW.{name} {differs} OLD.{name})"
        for name, nothing in _TOLD_ONCE.items()
    )
    ended = f"(OLD.valid_to IS NOT NULL AND NEW.valid_to {differs} OLD.valid_to AND NOT ({_GOES_ON}))"
    return f"{frozen} OR {told} OR {ended}"


# Two transactions publishing for one kind would not see each other: the row of the kind makes them take
# turns, with a lock that does not keep records of that kind waiting.
_TAKE_TURNS = "PERFORM 1 FROM action_kind WHERE code = NEW.action_code FOR NO KEY UPDATE;"

_USED = "EXISTS (SELECT 1 FROM action a WHERE a.factor_version = NEW.id)"
_PUBLISHED_IT = """EXISTS (
    SELECT 1 FROM factor_proposal p WHERE p.id = NEW.proposal_id AND p.published_by = NEW.cancelled_by
)"""

VERSION_GUARDS = (
    Guard(
        "factor_version",
        "overlap",
        "INSERT",
        f"EXISTS ({_OVERLAP})",
        "validity overlaps with another version of this kind",
        _TAKE_TURNS,
    ),
    Guard(
        "factor_version",
        "go_on",
        "UPDATE",
        f"NEW.valid_to {{differs}} OLD.valid_to AND EXISTS ({_OVERLAP})",
        "validity overlaps with another version of this kind",
        _TAKE_TURNS,
    ),
    Guard(
        "factor_version",
        "begin",
        "INSERT",
        "NEW.cancelled_on IS NOT NULL",
        "a version is published before it is cancelled",
    ),
    Guard(
        "factor_version",
        "cancel",
        "UPDATE",
        f"NEW.cancelled_on {{differs}} OLD.cancelled_on AND ({_USED} OR {_PUBLISHED_IT})",
        "a version is cancelled before any record uses it, by another officer than published it",
    ),
    Guard("factor_version", "edit", "UPDATE", _edited("{differs}"), "a published version is never edited"),
    Guard("factor_version", "delete", "DELETE", "true", "a published version is never deleted"),
    Guard(
        "factor_version",
        "review",
        "INSERT",
        "NEW.proposal_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM factor_proposal p"
        " WHERE p.id = NEW.proposal_id AND p.state = 'reviewed')",
        "only a reviewed proposal is published",
    ),
)

METHODOLOGY_GUARDS = (
    Guard(
        "methodology",
        "form",
        "UPDATE",
        "NEW.form {differs} OLD.form AND EXISTS (SELECT 1 FROM factor_version v WHERE v.methodology = OLD.code)",
        "published factors follow this form",
    ),
    Guard("methodology", "delete", "DELETE", "true", "a methodology is never deleted"),
)

#: What a proposal says may change until it is reviewed; then only its state moves on, one step at a time.
_SAID = (
    "action_code", "unit", "scenario_kind", "city_credited", "co2e_low_ng", "co2e_mid_ng", "co2e_high_ng",
    "nox_ng", "pm25_ng", "voc_ng", "so2_ng", "co_ng", "baseline", "source", "source_year", "region", "confidence",
    "valid_from", "valid_to", "note", "methodology", "derivation", "proposed_by", "proposed_at",
)  # fmt: skip

_STEPS = (
    "('proposed', 'reviewed'), ('proposed', 'declined'), ('reviewed', 'declined'), ('reviewed', 'published')"
)

PROPOSAL_GUARDS = (
    Guard(
        "factor_proposal",
        "said",
        "UPDATE",
        "OLD.state <> 'proposed' AND ("
        + " OR ".join(f"NEW.{name} {{differs}} OLD.{name}" for name in _SAID)
        + ")",
        "a reviewed proposal is never edited",
    ),
    Guard(
        "factor_proposal",
        "step",
        "UPDATE",
        f"NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (VALUES {_STEPS})",
        "a proposal goes from proposed to reviewed to published, or is declined",
    ),
    Guard("factor_proposal", "begin", "INSERT", "NEW.state <> 'proposed'", "a proposal begins as proposed"),
    Guard("factor_proposal", "delete", "DELETE", "true", "a proposal is never deleted"),
)
