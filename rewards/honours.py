"""Honours (荣誉): a district's own titles for people, classes and teams, each nominated, consented to, decided and, if need be, revoked.

    invited ──the person accepts──▶ nominated ──an officer──▶ standing ──an officer──▶ revoked
                                        │                                   (final)
                                        └──an officer──▶ declined

What would name somebody stands in `HonourConsent` alone, which exists while the consent does: without it a page says that
there was an honour, and no more. Honours cost nothing, give no points and make no ranking. `rewards.nominations`, `rewards.honour_holders` and
`rewards.honour_decisions` are what nominators, holders and officers do; `rewards.published_honours` is what everybody reads.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import clock, ids
from tanpuhui.db import enum_type
from tanpuhui.divisions import Division
from tanpuhui.errors import NotFound
from tanpuhui.i18n import N_
from tanpuhui.people import PRESENT, Consent, Document
from tanpuhui.schema import Guard
from tanpuhui.staff import Organisation

#: Characters of what an honour is for, which is public.
LONGEST_REASON = 160


class HolderKind(StrEnum):
    """Who an honour is for. A team is named in words: a community, a building, a school, an organisation."""

    PERSON = "person"
    CLASS = "class"
    TEAM = "team"


class Decision(StrEnum):
    """What an officer decided of a nomination."""

    HONOURED = "honoured"
    DECLINED = "declined"


class HonourState(StrEnum):
    """Where an honour stands. Invited: nobody has consented (any more), so it cannot be given."""

    INVITED = "invited"
    NOMINATED = "nominated"
    DECLINED = "declined"
    STANDING = "standing"
    REVOKED = "revoked"


HONOUR_STATE_NAMES = {
    HonourState.INVITED: N_("等对方同意"),
    HonourState.NOMINATED: N_("等待评定"),
    HonourState.DECLINED: N_("没有通过"),
    HonourState.STANDING: N_("有效"),
    HonourState.REVOKED: N_("已撤销"),
}


class HonourKind(SQLModel, table=True):
    """A title that the district gives, in its own words, and what for. One that is retired is given no more."""

    __tablename__ = "honour_kind"
    __table_args__ = (sa.CheckConstraint("title <> '' AND purpose <> ''", name="words"),)

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    title: str = Field(max_length=20, unique=True)
    purpose: str = Field(max_length=100)
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)
    retired_at: datetime | None = None


class Honour(SQLModel, table=True):
    """A nomination and what became of it. `reason` is public with the name; None once the holder has left.

    `resident_id`: the person who accepted, or the class; None for a team. `organisation_id`: on whose behalf it was
    nominated, if not the division's. `number` is on the certificate: 60 random bits, so that nobody can walk through them.
    """

    __tablename__ = "honour"
    __table_args__ = (
        sa.CheckConstraint("reason <> ''", name="reason"),
        sa.CheckConstraint("holder <> 'team' OR resident_id IS NULL", name="team"),
        sa.CheckConstraint(
            "(claim_hash IS NULL) = (claim_until IS NULL) AND (claim_hash IS NULL OR holder = 'person')",
            name="claim",
        ),
        sa.CheckConstraint(
            "(decision IS NULL AND decided_by IS NULL AND decided_at IS NULL AND decided_because IS NULL) OR "
            "(decision IS NOT NULL AND decided_by IS NOT NULL AND decided_at IS NOT NULL "
            "AND decided_because IS NOT NULL AND (decided_because <> '' OR decision = 'honoured'))",
            name="decision_whole",
        ),
        sa.CheckConstraint("decided_by IS NULL OR decided_by <> nominated_by", name="decided_by_another"),
        sa.CheckConstraint(
            "(number IS NOT NULL) = (decision IS NOT NULL AND decision = 'honoured')", name="number"
        ),
        sa.CheckConstraint(
            "(revoked_at IS NULL AND revoked_by IS NULL AND revoked_because IS NULL) OR "
            "(revoked_at IS NOT NULL AND revoked_by IS NOT NULL AND revoked_because IS NOT NULL "
            "AND revoked_because <> '' AND number IS NOT NULL)",
            name="revoked",
        ),
        sa.Index("ix_honour_decided_at", "decided_at"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    kind_id: UUID = Field(foreign_key="honour_kind.id")
    holder: HolderKind = Field(sa_column=sa.Column(enum_type(HolderKind), nullable=False))
    resident_id: UUID | None = Field(default=None, foreign_key="resident.id", index=True)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id")
    reason: str | None = Field(default=None, max_length=LONGEST_REASON)
    nominated_by: UUID = Field(foreign_key="staff.id")
    nominated_at: datetime = Field(default_factory=clock.now)
    claim_hash: str | None = Field(default=None, max_length=64, unique=True)
    claim_until: datetime | None = None
    decision: Decision | None = Field(default=None, sa_type=enum_type(Decision))
    decided_by: UUID | None = Field(default=None, foreign_key="staff.id")
    decided_at: datetime | None = None
    decided_because: str | None = Field(default=None, max_length=200)
    number: str | None = Field(default=None, max_length=24, unique=True)
    revoked_by: UUID | None = Field(default=None, foreign_key="staff.id")
    revoked_at: datetime | None = None
    revoked_because: str | None = Field(default=None, max_length=200)


class HonourEvidence(SQLModel, table=True):
    """Something that speaks for a nomination: what, and where it can be checked. For those who decide, and the holder."""

    __tablename__ = "honour_evidence"
    __table_args__ = (sa.CheckConstraint("text <> '' AND source <> ''", name="words"),)

    honour_id: UUID = Field(foreign_key="honour.id", primary_key=True)
    ordinal: int = Field(primary_key=True)
    text: str = Field(max_length=200)
    source: str = Field(max_length=200)


class HonourConsent(SQLModel, table=True):
    """A yes to being named publicly for one honour, as `name`; deleted when it is taken back.

    `listed`: in the public list, too, for which it was asked separately. `given_by`: the member of staff who said yes for a class or a
    team; None for a person, who said it themselves under their consent to `Document.HONOURS`.
    """

    __tablename__ = "honour_consent"
    __table_args__ = (sa.CheckConstraint("name <> ''", name="name"),)

    honour_id: UUID = Field(foreign_key="honour.id", primary_key=True)
    name: str = Field(max_length=124)
    listed: bool
    version: str = Field(max_length=16)
    given_at: datetime = Field(default_factory=clock.now)
    given_by: UUID | None = Field(default=None, foreign_key="staff.id")


_DECIDED = ("decision", "decided_by", "decided_at", "decided_because", "number")
_REVOKED = ("revoked_by", "revoked_at", "revoked_because")
_NOMINATED = ("kind_id", "holder", "division_code", "organisation_id", "nominated_by", "nominated_at")


def _changes(columns: tuple[str, ...]) -> str:
    return "(" + " OR ".join(f"NEW.{name} {{differs}} OLD.{name}" for name in columns) + ")"


GUARDS = (
    Guard("honour_kind", "fixed", "UPDATE", _changes(("title", "purpose")), "a title keeps its words"),
    Guard("honour_kind", "kept", "DELETE", "true", "a title is kept"),
    Guard("honour", "undecided", "INSERT", "NEW.decision IS NOT NULL", "a nomination begins undecided"),
    Guard(
        "honour",
        "fixed",
        "UPDATE",
        f"{_changes(_NOMINATED)} OR (NEW.reason IS NOT NULL AND NEW.reason {{differs}} OLD.reason) "
        "OR (NEW.resident_id IS NOT NULL AND OLD.resident_id IS NOT NULL AND NEW.resident_id <> OLD.resident_id)",
        "a nomination is not rewritten",
    ),
    Guard(
        "honour",
        "once",
        "UPDATE",
        f"OLD.decision IS NOT NULL AND {_changes(_DECIDED)}",
        "a nomination is decided once",
    ),
    Guard(
        "honour",
        "consented",
        "UPDATE",
        "OLD.decision IS NULL AND NEW.decision IS NOT NULL AND NEW.decision = 'honoured' "
        "AND NOT EXISTS (SELECT 1 FROM honour_consent c WHERE c.honour_id = NEW.id)",
        "nobody is honoured without consent",
        first="PERFORM 1 FROM honour_consent c WHERE c.honour_id = NEW.id FOR UPDATE;",
    ),
    Guard(
        "honour",
        "final",
        "UPDATE",
        f"OLD.revoked_at IS NOT NULL AND {_changes(_REVOKED)}",
        "a revocation is final",
    ),
    Guard("honour", "kept", "DELETE", "true", "an honour is kept"),
    Guard("honour_evidence", "fixed", "UPDATE", "true", "evidence is not rewritten"),
    Guard(
        "honour_evidence",
        "kept",
        "DELETE",
        "EXISTS (SELECT 1 FROM honour h WHERE h.id = OLD.honour_id AND h.reason IS NOT NULL)",
        "evidence goes with the reason only",
    ),
    Guard("honour_consent", "fixed", "UPDATE", "true", "a consent is given anew, not rewritten"),
)


# --- numbers -----------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"H(\d{4})([0-9A-Z]{4})([0-9A-Z]{4})([0-9A-Z]{4})")


def read_number(text: str) -> str:
    """The number of an honour as it stands on the certificate, from what was typed. Raises NotFound.

    Small letters, missing dashes, and letters that look like digits are forgiven.
    """
    letters = re.sub(r"[\s\-\u2010-\u2015\u2212\uff0d]", "", text[:60]).upper()
    found = _NUMBER.fullmatch(letters[:1] + letters[1:].translate(ids.LOOKALIKES))
    if found is None:
        raise NotFound
    return f"H{found[1]}-{found[2]}-{found[3]}-{found[4]}"


# --- reading -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """An honour with its kind, the consent that stands (None: nobody is named), and who nominated: organisation or division."""

    honour: Honour
    kind: HonourKind
    consent: HonourConsent | None
    nominated_for: str

    @property
    def state(self) -> HonourState:
        """Where it stands."""
        if self.honour.revoked_at:
            return HonourState.REVOKED
        if self.honour.decision:
            honoured = self.honour.decision is Decision.HONOURED
            return HonourState.STANDING if honoured else HonourState.DECLINED
        return HonourState.NOMINATED if self.consent else HonourState.INVITED

    @property
    def name(self) -> str | None:
        """Who is honoured, as far as that is public."""
        return self.consent.name if self.consent else None

    @property
    def reason(self) -> str | None:
        """What for, which is as public as the name."""
        return self.honour.reason if self.consent else None


def told(session: Session, *which: Any, limit: int = 200) -> list[Told]:
    """The honours for which `which` holds, those nominated or decided last first.

    A person is named only while their consent to the present words stands.
    """
    stands = sa.exists().where(
        col(Consent.resident_id) == col(Honour.resident_id),
        col(Consent.document) == Document.HONOURS.value,
        col(Consent.version) == PRESENT[Document.HONOURS],
        col(Consent.withdrawn_at).is_(None),
    )
    named = sa.and_(
        col(HonourConsent.honour_id) == col(Honour.id),
        sa.or_(col(Honour.holder) != HolderKind.PERSON, stands),
    )
    query: Any = (
        select(
            Honour, HonourKind, HonourConsent, sa.func.coalesce(col(Organisation.name), col(Division.name))
        )
        .join(HonourKind, col(HonourKind.id) == col(Honour.kind_id))
        .join(Division, col(Division.code) == col(Honour.division_code))
        .join(Organisation, col(Organisation.id) == col(Honour.organisation_id), isouter=True)
        .join(HonourConsent, named, isouter=True)
        .where(*which)
        .order_by(
            sa.func.coalesce(col(Honour.decided_at), col(Honour.nominated_at)).desc(), col(Honour.id).desc()
        )
        .limit(limit)
    )
    return [Told(*row) for row in session.exec(query)]


def one(session: Session, *which: Any) -> Told:
    """The one honour for which `which` holds. Raises NotFound."""
    for found in told(session, *which, limit=1):
        return found
    raise NotFound


def evidence_of(session: Session, honour_id: UUID) -> list[HonourEvidence]:
    """What speaks for a nomination, in its order."""
    mine = select(HonourEvidence).where(HonourEvidence.honour_id == honour_id)
    return list(session.exec(mine.order_by(col(HonourEvidence.ordinal))).all())


def forget_name(session: Session, honour_id: UUID) -> bool:
    """Delete the consent to be named for an honour, and the name with it; whether there was one."""
    gone: Any = session.exec(sa.delete(HonourConsent).where(col(HonourConsent.honour_id) == honour_id))
    return bool(gone.rowcount)
