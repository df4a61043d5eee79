"""The shelf of campaign templates: those that come with the platform, and those that somebody published.

What is published is never changed, only withdrawn, so whoever downloads it gets the same bytes each time. The bureau may approve a
template before: a campaign that keeps to it is then approved as it is submitted. That holds for exactly the text that was read.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from activities.campaign_rules import Rules
from activities.campaigns import Campaign, division_of, managed, rules_of
from activities.catalogue import PACKAGE_DATA, ActionKind
from activities.observances import Observance
from activities.sites import MANAGERS
from activities.template_format import AroundObservance, Template, keeps_to, read, template_of
from tanpuhui import audit, clock, ids
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import CampaignMovedOn, InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, require

#: Where the templates stand that come with the platform.
SHIPPED = PACKAGE_DATA / "templates"

#: Who may approve a template for the whole district.
APPROVERS = (Role.OFFICER,)


class CampaignTemplate(SQLModel, table=True):
    """A template that a division or an organisation published. `document`: the file, as it is downloaded."""

    __tablename__ = "campaign_template"
    __table_args__ = (
        sa.CheckConstraint("document <> ''", name="document"),
        sa.CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_by IS NULL)", name="withdrawn"),
    )

    code: str = Field(primary_key=True, max_length=64)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id")
    document: str = Field(sa_type=sa.Text)
    published_by: UUID = Field(foreign_key="staff.id")
    published_at: datetime = Field(default_factory=clock.now)
    withdrawn_by: UUID | None = Field(default=None, foreign_key="staff.id")
    withdrawn_at: datetime | None = None


class TemplateApproval(SQLModel, table=True):
    """The bureau approved the template `code`, of which `digest` is the SHA-256 of the file, until it said otherwise."""

    __tablename__ = "template_approval"
    __table_args__ = (
        sa.CheckConstraint("length(digest) = 64", name="digest"),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
        sa.Index(
            "uq_template_approval_standing",
            "code",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    code: str = Field(max_length=64)
    digest: str = Field(max_length=64)
    approved_by: UUID = Field(foreign_key="staff.id")
    approved_at: datetime = Field(default_factory=clock.now)
    ended_by: UUID | None = Field(default=None, foreign_key="staff.id")
    ended_at: datetime | None = None


_APPROVAL_IS_FIXED = (
    "OLD.ended_at IS NOT NULL OR NEW.id <> OLD.id OR NEW.code <> OLD.code OR NEW.digest <> OLD.digest "
    "OR NEW.approved_by <> OLD.approved_by OR NEW.approved_at <> OLD.approved_at"
)

#: What was published stays as it was; and no rules are approved by a template that nobody else approved before.
GUARDS = (
    Guard(
        "campaign_template",
        "fixed",
        "UPDATE",
        "OLD.withdrawn_at IS NOT NULL OR NEW.code <> OLD.code OR NEW.document <> OLD.document "
        "OR NEW.division_code <> OLD.division_code OR NEW.organisation_id {differs} OLD.organisation_id "
        "OR NEW.published_by <> OLD.published_by OR NEW.published_at <> OLD.published_at",
        "what was published is never changed",
    ),
    Guard("campaign_template", "kept", "DELETE", "true", "what was published is kept"),
    Guard("template_approval", "fixed", "UPDATE", _APPROVAL_IS_FIXED, "an approval only ends"),
    Guard("template_approval", "kept", "DELETE", "true", "an approval is kept"),
    Guard(
        "campaign_version",
        "by_template",
        "UPDATE",
        "NEW.by_template AND NOT OLD.by_template AND NOT EXISTS (SELECT 1 FROM campaign c JOIN template_approval a "
        "ON a.code = c.template AND a.ended_at IS NULL AND a.approved_by <> NEW.submitted_by WHERE c.id = NEW.campaign_id)",
        "nobody else approved the template",
    ),
)


# --- the shelf -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shelved:
    """A template on the shelf. `published`: None for one that comes with the platform; `owner`: whose it is, in words."""

    template: Template
    text: str
    published: CampaignTemplate | None = None
    owner: str = ""
    approved: bool = False

    @property
    def code(self) -> str:
        """Its name in addresses."""
        return self.template.code

    @property
    def digest(self) -> str:
        """The SHA-256 of the file."""
        return digest_of(self.text)


def digest_of(text: str) -> str:
    """The SHA-256 of a file's text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def shipped() -> dict[str, Shelved]:
    """The templates that come with the platform, by code."""
    files = sorted(SHIPPED.glob("*.json"))
    found = [Shelved(read(file.read_bytes()), file.read_text(encoding="utf-8")) for file in files]
    return {one.code: one for one in found}


def shelf(session: Session) -> list[Shelved]:
    """What stands on the shelf: those of the platform, then what was published, the latest first."""
    query = select(CampaignTemplate).where(col(CampaignTemplate.withdrawn_at).is_(None))
    rows = session.exec(query.order_by(col(CampaignTemplate.published_at).desc(), col(CampaignTemplate.code)))
    return list(_with_approvals(session, [*shipped().values(), *_published(session, rows.all())]))


def on_shelf(session: Session, code: str) -> Shelved:
    """One template. Raises NotFound, also for one that was withdrawn."""
    found = shipped().get(code)
    if found is None:
        row = session.get(CampaignTemplate, code)
        if row is None or row.withdrawn_at is not None:
            raise NotFound
        found = next(_published(session, [row]))
    return next(_with_approvals(session, [found]))


def _published(session: Session, rows: Sequence[CampaignTemplate]) -> Iterator[Shelved]:
    for row in rows:
        organisation = session.get(Organisation, row.organisation_id) if row.organisation_id else None
        owner = organisation.name if organisation else session.get_one(Division, row.division_code).name
        yield Shelved(read(row.document.encode()), row.document, row, owner)


def _with_approvals(session: Session, found: Sequence[Shelved]) -> Iterator[Shelved]:
    query = select(TemplateApproval.code, TemplateApproval.digest)
    standing = set(session.exec(query.where(col(TemplateApproval.ended_at).is_(None))).all())
    for one in found:
        yield Shelved(one.template, one.text, one.published, one.owner, (one.code, one.digest) in standing)


# --- publishing ----------------------------------------------------------------------------------------------


def publish(
    house: House,
    principal: Principal,
    content: bytes,
    *,
    division_code: str = "",
    organisation_id: UUID | None = None,
) -> CampaignTemplate:
    """Put a file on the shelf for everybody, for a division or an organisation of one's own; the same file twice once.

    Raises InvalidField (each error with its JSON path), NotFound, NotAllowed.
    """
    template = read(content)

    def work(connection: Connection) -> CampaignTemplate:
        with session_on(connection) as session:
            where = division_of(session, organisation_id) if organisation_id else division_code
            require(session, principal, MANAGERS, division_code=where, organisation_id=organisation_id)
            if session.get(Division, where) is None:
                raise InvalidField(errors=[{"field": "division_code", "reason": N_("没有这个区划。")}])
            return _put(session, principal, template, where, organisation_id)

    return house.db.run(work)


def publish_campaign(
    house: House,
    principal: Principal,
    campaign_id: UUID,
    *,
    author: str,
    licence: str,
    title_en: str = "",
    words_en: str = "",
) -> CampaignTemplate:
    """Put the approved rules of a campaign of one's own on the shelf, for whoever runs the campaign.

    Raises InvalidField, NotFound, NotAllowed, CampaignMovedOn (no version of it is approved).
    """

    def work(connection: Connection) -> CampaignTemplate:
        with session_on(connection) as session:
            campaign = managed(session, principal, campaign_id)
            rules = rules_of(session, campaign)
            if rules is None:
                raise CampaignMovedOn
            template = template_of(
                rules,
                code=f"c-{campaign.id.hex[-12:]}-{campaign.version}",
                title={"zh": campaign.title, "en": title_en},
                words={"zh": rules.words, "en": words_en},
                author=author,
                licence=licence,
            )
            return _put(session, principal, template, campaign.division_code, campaign.organisation_id)

    return house.db.run(work)


def _put(
    session: Session,
    principal: Principal,
    template: Template,
    division_code: str,
    organisation_id: UUID | None,
) -> CampaignTemplate:
    if errors := list(_unknown(session, template)):
        raise InvalidField(errors=errors)
    text = template.text()
    before = session.get(CampaignTemplate, template.code)
    if before and before.document == text and before.withdrawn_at is None:
        require(
            session,
            principal,
            MANAGERS,
            division_code=before.division_code,
            organisation_id=before.organisation_id,
        )
        return before
    if before or template.code in shipped():
        reason = N_("已经有这个代号的模板了。发布过的模板不能改，请换一个代号。")
        raise InvalidField(errors=[{"field": "$.code", "reason": reason}])
    row = CampaignTemplate(
        code=template.code,
        division_code=division_code,
        organisation_id=organisation_id,
        document=text,
        published_by=principal.id,
    )
    session.add(row)
    _note(session, principal, "template.published", template.code)
    session.flush()
    return row


def _unknown(session: Session, template: Template) -> Iterator[dict[str, Any]]:
    """What a template names and nobody here knows."""
    kinds = set(session.exec(select(ActionKind.code)))
    for at, kind in enumerate(template.kinds):
        if kind not in kinds:
            yield {"field": f"$.kinds[{at}]", "reason": N_("这里没有这种行为。")}
    if isinstance(template.when, AroundObservance):
        known = set(session.exec(select(Observance.key).distinct()))
        for name, key in (("key", template.when.key), ("until", template.when.until)):
            if key is not None and key not in known:
                yield {"field": f"$.when.{name}", "reason": N_("没有这个节日。")}


def withdraw(house: House, principal: Principal, code: str) -> None:
    """Take a published template off the shelf; campaigns made from it stay. Twice changes nothing.

    Raises NotFound, NotAllowed.
    """
    with house.db.session() as session:
        row = session.get(CampaignTemplate, code, with_for_update=True)
        if row is None:
            raise NotFound
        require(
            session, principal, MANAGERS, division_code=row.division_code, organisation_id=row.organisation_id
        )
        if row.withdrawn_at is None:
            row.withdrawn_by, row.withdrawn_at = principal.id, clock.now()
            session.add(row)
            if standing := _standing(session, code):
                _end(session, principal, standing)
            _note(session, principal, "template.withdrawn", code)


# --- approved before -----------------------------------------------------------------------------------------


def approve(house: House, principal: Principal, code: str, digest: str) -> None:
    """Approve a template as it was read (`digest`): campaigns that keep to it need no approval of their own. Twice changes nothing.

    Raises NotFound, NotAllowed, CampaignMovedOn (it is not what was read).
    """

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            require(session, principal, APPROVERS, division_code=house.settings.district_code)
            found = on_shelf(session, code)
            if found.digest != digest:
                raise CampaignMovedOn
            standing = _standing(session, code)
            if standing and standing.digest == digest:
                return
            if standing:  # of a text that is no more
                _end(session, principal, standing)
            session.add(TemplateApproval(code=code, digest=digest, approved_by=principal.id))
            _note(session, principal, "template.approved", code)

    house.db.run(work)


def end_approval(house: House, principal: Principal, code: str) -> None:
    """From now on campaigns of this template are approved one by one again. Twice changes nothing. Raises NotAllowed."""
    with house.db.session() as session:
        require(session, principal, APPROVERS, division_code=house.settings.district_code)
        if standing := _standing(session, code):
            _end(session, principal, standing)
            _note(session, principal, "template.approval_ended", code)


def _end(session: Session, principal: Principal, standing: TemplateApproval) -> None:
    standing.ended_by, standing.ended_at = principal.id, clock.now()
    session.add(standing)
    session.flush()  # one stands at a time


def _standing(session: Session, code: str) -> TemplateApproval | None:
    """The approval of a template that stands, locked: it cannot end meanwhile."""
    query = select(TemplateApproval).where(
        TemplateApproval.code == code, col(TemplateApproval.ended_at).is_(None)
    )
    return session.exec(query.with_for_update()).first()


def approved_before(session: Session, campaign: Campaign, rules: Rules, submitter: UUID) -> bool:
    """Whether rules need no approval of their own: the bureau approved the template that they keep to, and not the submitter."""
    if campaign.template is None:
        return False
    standing = _standing(session, campaign.template)
    if standing is None or standing.approved_by == submitter:
        return False
    try:
        found = on_shelf(session, campaign.template)
    except NotFound:
        return False
    return found.digest == standing.digest and keeps_to(found.template, rules)


def _note(session: Session, principal: Principal, deed: str, code: str) -> None:
    audit.note_by(session, principal, deed=deed, subject=f"template:{code}")
