"""Orders of posters for many sites: checked site by site, then drawn into one PDF, while whoever asked looks on.

An order is a row. The process that takes it draws in a thread of its own and writes down how far it is; any process can tell, and
hands the file over once it is whole. Left alone (its process was stopped), an order is taken up by the next one that is asked.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlmodel import Field, Session, SQLModel, col, select

from activities.campaigns import Campaign, CampaignSite
from activities.catalogue import ActionKind
from activities.codes import Code, CodeKind
from activities.sites import Site, SiteCredits, list_sites
from tanpuhui import clock, ids
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

if TYPE_CHECKING:
    from tanpuhui.pdf import Item, Page
    from tanpuhui.posters import Poster

log = structlog.get_logger(__name__)

PAPERS = ("A4", "A5", "50mm")

#: Which campaign a poster names, besides the id of one: the one that runs at the site, or none.
RUNNING, NONE = "running", "none"

MOST_SITES = 2000

#: An order nobody has written to for so long is taken up by the next process that is asked.
LEFT_ALONE = timedelta(seconds=20)

KEPT = timedelta(days=1)

_TELL_EVERY = 0.7  # seconds between two notes of how far it is


class PosterPrint(SQLModel, table=True):
    """An order of posters, how far it is in `steps`, the sites with a problem, and the file once it is whole.

    Kept for a day. `campaign`: the id of one, ``running`` or ``none``. `worked_at`: when its maker last wrote here.
    """

    __tablename__ = "poster_print"
    __table_args__ = (
        sa.CheckConstraint("done BETWEEN 0 AND steps", name="done"),
        sa.CheckConstraint("paper IN ('A4', 'A5', '50mm')", name="paper"),
        sa.CheckConstraint("file IS NULL OR (finished_at IS NOT NULL AND done = steps)", name="whole"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    asked_by: UUID = Field(foreign_key="staff.id")
    asked_at: datetime = Field(default_factory=clock.now, index=True)
    site_ids: list[str] = Field(sa_type=sa.JSON)
    paper: str = Field(max_length=8)
    campaign: str = Field(max_length=36)
    steps: int
    done: int = 0
    problems: list[dict[str, str]] = Field(default_factory=list, sa_type=sa.JSON)
    file: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    worked_at: datetime = Field(default_factory=clock.now)
    finished_at: datetime | None = None


_TABLE = SQLModel.metadata.tables["poster_print"]


@dataclass(frozen=True)
class Problem:
    """Why a site's poster cannot be printed: ``no_code``, ``glyphs`` (the font lacks `characters`), ``too_long``."""

    site_id: str
    name: str
    why: str
    characters: str = ""


# --- ordering ----------------------------------------------------------------------------------------------


def order(
    house: House, principal: Principal, site_ids: Sequence[UUID], paper: str, campaign: str = RUNNING
) -> UUID:
    """Ask for the posters of sites in one's scope, and begin. Raises InvalidField."""
    with house.db.session() as session:
        allowed = [site.id for site in list_sites(session, principal)]
        chosen = [site_id for site_id in allowed if site_id in set(site_ids)]  # by name, as they are listed
        _check(session, chosen, set(site_ids) - set(allowed), paper, campaign)
        session.execute(sa.delete(PosterPrint).where(col(PosterPrint.asked_at) < clock.now() - KEPT))
        made = PosterPrint(
            asked_by=principal.id,
            site_ids=[str(site_id) for site_id in chosen],
            paper=paper,
            campaign=campaign,
            steps=2 * len(chosen),
        )
        session.add(made)
    _begin(house, made.id)
    return made.id


def _check(session: Session, chosen: Sequence[UUID], foreign: set[UUID], paper: str, campaign: str) -> None:
    wrong: list[tuple[str, str]] = []
    if not chosen or foreign or len(chosen) > MOST_SITES:
        wrong.append(("site_ids", N_("请至少选一个点位。")))
    if paper not in PAPERS:
        wrong.append(("paper", N_("请选择纸张。")))
    if campaign not in {RUNNING, NONE} and _campaign(session, campaign) is None:
        wrong.append(("campaign", N_("没有这个活动。")))
    if wrong:
        raise InvalidField(errors=[{"field": field, "reason": reason} for field, reason in wrong])


def _campaign(session: Session, text: str) -> Campaign | None:
    try:
        return session.get(Campaign, UUID(text))
    except ValueError:
        return None


def asked_for(session: Session, principal: Principal, print_id: UUID) -> PosterPrint:
    """One's own order. Raises NotFound, also for one that was thrown away after a day."""
    found = session.get(PosterPrint, print_id)
    if found is None or found.asked_by != principal.id:
        raise NotFound
    return found


def printable(asked: PosterPrint) -> list[UUID]:
    """The sites of an order that have no problem."""
    wrong = {problem["site_id"] for problem in asked.problems}
    return [UUID(site_id) for site_id in asked.site_ids if site_id not in wrong]


def tend(house: House, asked: PosterPrint) -> None:
    """Take up an order if it was left alone; of several who see that at once, one does."""
    now = clock.now()
    if asked.finished_at is not None or asked.worked_at >= now - LEFT_ALONE:
        return
    with house.db.transaction() as connection:
        taken = connection.execute(
            sa.update(_TABLE)
            .where(
                _TABLE.c.id == asked.id,
                _TABLE.c.finished_at.is_(None),
                _TABLE.c.worked_at < now - LEFT_ALONE,
            )
            .values(worked_at=now)
        )
    if taken.rowcount:
        _begin(house, asked.id)


# --- making ------------------------------------------------------------------------------------------------


def _begin(house: House, print_id: UUID) -> None:
    threading.Thread(target=_make, args=(house, print_id), name=f"posters-{print_id}", daemon=True).start()


def _make(house: House, print_id: UUID) -> None:
    try:
        make(house, print_id)
    except Exception as error:
        log.exception("posters_failed", kind=type(error).__name__)
        _note(house, print_id, problems=[vars(Problem("", "", "failed"))], finished_at=clock.now())


def make(house: House, print_id: UUID) -> None:
    """Check the poster of every site, then draw them all; with a problem anywhere, draw none."""
    from tanpuhui.pdf import pages_pdf
    from tanpuhui.posters import SCALES

    with house.db.reading_session() as session:
        asked = session.get_one(PosterPrint, print_id)
        wanted = list(_wanted(house, session, asked))
    tell = _Teller(house, print_id)
    laid_out: list[Any] = []
    problems: list[Problem] = []
    for number, (site, poster) in enumerate(wanted, start=1):
        found = _laid_out(asked.paper, site, poster)
        problems.append(found) if isinstance(found, Problem) else laid_out.append(found)
        tell(number)
    if problems:
        _note(house, print_id, problems=[vars(problem) for problem in problems], finished_at=clock.now())
        return
    pages = _pages(asked.paper, laid_out)
    half, share = len(wanted), len(wanted) / len(pages)
    body = pages_pdf(
        pages,
        title="碳普惠海报",
        scale=SCALES.get(asked.paper, 1.0),
        drawn=lambda count: tell(half + int(count * share)),
    )
    _note(house, print_id, file=body, done=asked.steps, finished_at=clock.now())


class _Teller:
    """Writes down how far it is, now and then."""

    def __init__(self, house: House, print_id: UUID) -> None:
        self._house, self._id, self._told = house, print_id, time.monotonic()

    def __call__(self, done: int) -> None:
        if time.monotonic() - self._told >= _TELL_EVERY:
            self._told = time.monotonic()
            _note(self._house, self._id, done=done)


def _note(house: House, print_id: UUID, **changes: Any) -> None:
    """Change an order that is not finished; of two that made the same file, the first one's stands."""
    with house.db.transaction() as connection:
        connection.execute(
            sa.update(_TABLE)
            .where(_TABLE.c.id == print_id, _TABLE.c.finished_at.is_(None))
            .values(worked_at=clock.now(), **changes)
        )


def _wanted(house: House, session: Session, asked: PosterPrint) -> Iterator[tuple[Site, "Poster | None"]]:
    """The sites in their order, each with the words of its poster if it has a code to print."""
    from activities.paper import poster_of

    site_ids = [UUID(text) for text in asked.site_ids]
    sites = {site.id: site for site in session.exec(select(Site).where(col(Site.id).in_(site_ids)))}
    codes, kinds = _codes(session, site_ids), _kinds(session, site_ids)
    titles = _titles(session, site_ids, asked)
    for site_id in site_ids:
        site, code_id = sites[site_id], codes.get(site_id)
        words = (kinds.get(site_id, []), code_id, titles.get(site_id))
        yield site, poster_of(house.settings, site, words[0], code_id, words[2]) if code_id else None


def _codes(session: Session, site_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The printed code in use at each site, the last one issued."""
    query = (
        select(Code.site_id, Code.id)
        .where(
            col(Code.site_id).in_(site_ids),
            Code.kind == CodeKind.PLACE,
            Code.evidence == "site_code",
            col(Code.revoked_at).is_(None),
        )
        .order_by(col(Code.issued_at), col(Code.id))
    )
    return {site_id: code_id for site_id, code_id in session.exec(query)}  # noqa: C416 - rows are no pairs


def _kinds(session: Session, site_ids: Sequence[UUID]) -> dict[UUID, list[ActionKind]]:
    query = (
        select(SiteCredits.site_id, ActionKind)
        .join(ActionKind, col(ActionKind.code) == col(SiteCredits.kind))
        .where(col(SiteCredits.site_id).in_(site_ids), col(ActionKind.enabled).is_(True))
        .order_by(ActionKind.code)
    )
    found: dict[UUID, list[ActionKind]] = {}
    for site_id, kind in session.exec(query):
        found.setdefault(site_id, []).append(kind)
    return found


def _titles(session: Session, site_ids: Sequence[UUID], asked: PosterPrint) -> dict[UUID, str]:
    """The title of the campaign that each site's poster names, if any: only of one that the site takes part in."""
    if asked.campaign == NONE:
        return {}
    query = (
        select(CampaignSite.site_id, Campaign.title)
        .join(Campaign, col(Campaign.id) == col(CampaignSite.campaign_id))
        .where(col(CampaignSite.site_id).in_(site_ids), col(Campaign.cancelled_at).is_(None))
        .order_by(col(Campaign.starts_at), col(Campaign.id).desc())
    )
    if asked.campaign == RUNNING:
        query = query.where(col(Campaign.starts_at) <= asked.asked_at, col(Campaign.ends_at) > asked.asked_at)
    else:
        query = query.where(Campaign.id == UUID(asked.campaign))
    return {site_id: title for site_id, title in session.exec(query)}  # noqa: C416


def _laid_out(paper: str, site: Site, poster: "Poster | None") -> "Problem | Page | list[Item]":
    """The page or label of a site, or why there can be none."""
    from tanpuhui.labels import sticker_label
    from tanpuhui.pdf import DoesNotFit, MissingGlyphs
    from tanpuhui.posters import poster_page

    if poster is None:
        return Problem(str(site.id), site.name, "no_code")
    draw: Callable[[Poster], Any] = (
        (lambda words: list(sticker_label(words))) if paper == "50mm" else poster_page
    )
    try:
        return draw(poster)  # type: ignore[no-any-return]
    except MissingGlyphs as error:
        return Problem(str(site.id), site.name, "glyphs", " ".join(error.characters))
    except DoesNotFit:
        return Problem(str(site.id), site.name, "too_long")


def _pages(paper: str, laid_out: list[Any]) -> "list[Page]":
    from tanpuhui.labels import STICKERS, sheets

    return list(sheets(STICKERS, laid_out)) if paper == "50mm" else laid_out
