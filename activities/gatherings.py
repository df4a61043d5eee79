"""Gatherings (现场活动): a training, a planting, a repair day, with places that people sign up for.

What it is and when, and who makes one. What everybody may read of it is in `activities.gathering_list`, who signs up in
`activities.sign_ups`, who came in `activities.check_ins`. A gathering earns a certificate and nothing else: deeds are credited by scanning, as ever, and
nobody's time is measured.
"""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field as InField
from sqlmodel import Field, Session, SQLModel, select

from activities.campaigns import Campaign
from activities.sites import MANAGERS, get_site
from tanpuhui import audit, clock, ids
from tanpuhui.db import enum_type
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, made_before, require

MOST_PLACES = 5000

#: A gathering is of one day, which its certificate names.
LONGEST = timedelta(hours=24)


class GatheringKind(StrEnum):
    """What people come together for."""

    TRAINING = "training"
    PLANTING = "planting"
    REPAIR_DAY = "repair_day"
    OTHER = "other"


GATHERING_KIND_NAMES = {
    GatheringKind.TRAINING: N_("培训"),
    GatheringKind.PLANTING: N_("植树活动"),
    GatheringKind.REPAIR_DAY: N_("修补日"),
    GatheringKind.OTHER: N_("其他"),
}


class Gathering(SQLModel, table=True):
    """People come together once, from `starts_at` to `ends_at`, for `places` of whom the platform keeps a place.

    Its scope is an organisation in its division, or a division. `code` is the number of its check-in code. `numbers`: how
    many numbers of its line were given; `changes`: how often it was changed since somebody signed up, `changed_at` when
    last; `walk_ins`: people without an account who came, counted by the organiser.
    """

    __tablename__ = "gathering"
    __table_args__ = (
        sa.CheckConstraint("code > 0", name="code"),
        sa.CheckConstraint(f"places BETWEEN 1 AND {MOST_PLACES}", name="places"),
        sa.CheckConstraint(f"walk_ins BETWEEN 0 AND {MOST_PLACES}", name="walk_ins"),
        sa.CheckConstraint("ends_at > starts_at AND sign_up_until <= starts_at", name="window"),
        sa.CheckConstraint("site_id IS NOT NULL OR place <> ''", name="where"),
        sa.CheckConstraint("(cancelled_at IS NULL) = (cancel_reason IS NULL)", name="cancelled"),
        sa.CheckConstraint("numbers >= 0 AND (changes > 0) = (changed_at IS NOT NULL)", name="changed"),
        sa.Index("ix_gathering_starts_at", "starts_at"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    code: int = Field(
        default_factory=lambda: ids.random_number(40),
        sa_column=sa.Column(sa.BigInteger, unique=True, nullable=False),
    )
    title: str = Field(max_length=60)
    kind: GatheringKind = Field(sa_column=sa.Column(enum_type(GatheringKind), nullable=False))
    words: str = Field(default="", max_length=1000)
    place: str = Field(default="", max_length=80)
    site_id: UUID | None = Field(default=None, foreign_key="site.id")
    division_code: str = Field(foreign_key="division.code", max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id")
    campaign_id: UUID | None = Field(default=None, foreign_key="campaign.id", index=True)
    starts_at: datetime
    ends_at: datetime
    sign_up_until: datetime
    places: int
    numbers: int = 0
    changes: int = 0
    changed_at: datetime | None = None
    walk_ins: int = 0
    cancelled_at: datetime | None = None
    cancel_reason: str | None = Field(default=None, max_length=200)
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)

    @property
    def day(self) -> date:
        """The day on which it begins, in Asia/Shanghai."""
        return clock.day_of(self.starts_at)


_TAKEN = "(SELECT COALESCE(sum(s.people), 0) FROM sign_up s WHERE s.gathering_id = OLD.id AND s.placed_at IS NOT NULL)"
_SIGNED_UP = "EXISTS (SELECT 1 FROM sign_up s WHERE s.gathering_id = OLD.id)"

#: What people signed up for stays what it is, whoever asks; only the place, the times and more places may change.
GUARDS = (
    Guard(
        "gathering",
        "places",
        "UPDATE",
        f"NEW.places < OLD.places AND NEW.places < {_TAKEN}",
        "fewer places than are taken",
    ),
    Guard(
        "gathering",
        "promised",
        "UPDATE",
        "(NEW.title <> OLD.title OR NEW.kind <> OLD.kind OR NEW.words <> OLD.words OR NEW.places < OLD.places "
        "OR NEW.division_code <> OLD.division_code OR NEW.organisation_id {differs} OLD.organisation_id "
        f"OR NEW.campaign_id {{differs}} OLD.campaign_id) AND {_SIGNED_UP}",
        "people have signed up for it",
    ),
    Guard("gathering", "ended", "UPDATE", "OLD.cancelled_at IS NOT NULL", "a cancelled one is not changed"),
    Guard("gathering", "kept", "DELETE", "true", "a gathering is kept"),
)


class GatheringIn(BaseModel):
    """What an organiser says of a gathering."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: str = InField(min_length=2, max_length=60)
    kind: GatheringKind
    words: str = InField(default="", max_length=1000)
    place: str = InField(default="", max_length=80)
    site_id: UUID | None = None
    division_code: str = InField(max_length=12)
    organisation_id: UUID | None = None
    campaign_id: UUID | None = None
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    sign_up_until: AwareDatetime
    places: int = InField(ge=1, le=MOST_PLACES)


# --- making ------------------------------------------------------------------------------------------------


def create_gathering(
    house: House, principal: Principal, gathering_in: GatheringIn, *, chosen: UUID | None = None
) -> Gathering:
    """Announce a gathering in one's scope; with a `chosen` id once, however often it is asked.

    Raises NotAllowed, InvalidField.
    """
    with house.db.session() as session:
        require(
            session,
            principal,
            MANAGERS,
            division_code=gathering_in.division_code,
            organisation_id=gathering_in.organisation_id,
        )
        if made := made_before(session, principal, Gathering, chosen):
            return made
        check(session, principal, gathering_in)
        gathering = Gathering(id=chosen or ids.new_id(), created_by=principal.id, **gathering_in.model_dump())
        session.add(gathering)
        session.flush()
        note(session, principal, gathering, "created")
        return gathering


def check(session: Session, principal: Principal, gathering_in: GatheringIn) -> None:
    """Refuse what cannot be, all of it at once. Raises InvalidField."""
    wrong = [*_wrong_times(gathering_in), *_wrong_parts(session, principal, gathering_in)]
    if wrong:
        raise InvalidField(errors=[{"field": field, "reason": reason} for field, reason in wrong])


def _wrong_times(gathering_in: GatheringIn) -> list[tuple[str, str]]:
    wrong = []
    if gathering_in.starts_at <= clock.now():
        wrong.append(("starts_at", N_("开始时间应在现在以后。")))
    if not timedelta(0) < gathering_in.ends_at - gathering_in.starts_at <= LONGEST:
        wrong.append(("ends_at", N_("结束时间应晚于开始时间，最长 24 小时。")))
    if gathering_in.sign_up_until > gathering_in.starts_at:
        wrong.append(("sign_up_until", N_("报名截止时间不能晚于开始时间。")))
    return wrong


def _wrong_parts(session: Session, principal: Principal, gathering_in: GatheringIn) -> list[tuple[str, str]]:
    wrong = _wrong_words(gathering_in)
    organisation = (
        session.get(Organisation, gathering_in.organisation_id) if gathering_in.organisation_id else None
    )
    known = session.get(Division, gathering_in.division_code) is not None
    if (gathering_in.organisation_id and organisation is None) or not known:
        wrong.append(("scope", N_("请选择由谁举办。")))
    elif organisation and gathering_in.division_code != organisation.division_code:
        wrong.append(("scope", N_("区划应是举办单位所在的区划。")))
    if gathering_in.site_id:
        site = get_site(session, principal, gathering_in.site_id)
        if not site.division_code.startswith(gathering_in.division_code):
            wrong.append(("site_id", N_("点位应在举办的范围内。")))
    elif not gathering_in.place:
        wrong.append(("place", N_("请写明地点，或选择一个点位。")))
    if gathering_in.campaign_id:
        campaign = session.get(Campaign, gathering_in.campaign_id)
        if campaign is None or campaign.cancelled_at is not None:
            wrong.append(("campaign_id", N_("请从列表中选择活动。")))
        else:
            require(session, principal, MANAGERS, division_code=campaign.division_code)
    return wrong


def _wrong_words(gathering_in: GatheringIn) -> list[tuple[str, str]]:
    """What the certificate could not show: its holder could not help it, who names the gathering can."""
    from tanpuhui.certificates import has_room  # late: only paper and this need the font
    from tanpuhui.pdf import missing_glyphs

    words = {"title": gathering_in.title, "place": gathering_in.place}
    wrong = [
        (field, N_("有无法印在证书上的字符，请换一种写法。"))
        for field, text in words.items()
        if missing_glyphs(text)
    ]
    if not wrong:
        reason = N_("证书上放不下这么长的词，请写短一些，或用空格分开。")
        wrong += [("title", reason)] if not has_room(gathering_in.title) else []
        wrong += [("place", reason)] if not has_room("", gathering_in.place) else []
    return wrong


def note(session: Session, principal: Principal, gathering: Gathering, deed: str, **more: Any) -> None:
    """Keep what a member of staff did to a gathering."""
    audit.note_by(
        session,
        principal,
        deed=f"gathering.{deed}",
        subject=f"gathering:{gathering.id}",
        **more,
    )


# --- one ---------------------------------------------------------------------------------------------------


def take_turn_of(session: Session, gathering_id: UUID) -> Gathering:
    """Begin to change who has a place: those of one gathering take turns. A resident's own turn comes first.

    What is read after this call is what the previous turn left. Raises NotFound.
    """
    locked = (
        select(Gathering)
        .where(Gathering.id == gathering_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    gathering = session.exec(locked).first()
    if gathering is None:
        raise NotFound
    return gathering


def managed(
    session: Session, principal: Principal, gathering_id: UUID, roles: Collection[Role] = MANAGERS
) -> Gathering:
    """A gathering, if `principal` may manage it by one of `roles`. Raises NotFound, NotAllowed."""
    gathering = session.get(Gathering, gathering_id)
    if gathering is None:
        raise NotFound
    may_manage(session, principal, gathering, roles)
    return gathering


def may_manage(
    session: Session, principal: Principal, gathering: Gathering, roles: Collection[Role] = MANAGERS
) -> None:
    """Let pass only who has one of `roles` in the scope of the gathering. Raises NotAllowed."""
    require(
        session,
        principal,
        roles,
        division_code=gathering.division_code,
        organisation_id=gathering.organisation_id,
    )
