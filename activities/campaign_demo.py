"""The campaigns of the demo, once everybody has lived their month: run by the calendar, reported, thanked for."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, select

from activities import campaign_life, campaign_notices, campaign_reminders, campaign_thanks, otherwise
from activities.actions import Action
from activities.campaign_notices import NoticeKind
from activities.campaign_reports import CampaignReport
from activities.campaigns import Campaign
from activities.otherwise import Otherwise
from activities.reviews import standing
from tanpuhui import clock, consents
from tanpuhui.people import PRESENT, AccountKind, Document, Resident
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

#: What is answered, one after the other.
_SAID = (
    Otherwise.SAME,
    Otherwise.NOT,
    Otherwise.SAME,
    Otherwise.PART,
    Otherwise.NOT,
    Otherwise.SKIPPED,
    Otherwise.UNKNOWN,
)


def run_campaigns(house: House, organiser: Principal, residents: Sequence[UUID]) -> None:
    """Two of three residents agree to be asked and most answer; every step is taken when it was due; organisers say thanks."""
    agreed = [one for number, one in enumerate(dict.fromkeys(residents)) if number % 3]
    _answer(house, agreed)
    _keep_the_calendar(house)
    with house.db.reading_session() as session:
        over = session.exec(select(CampaignReport.campaign_id)).all()
        coming = session.exec(select(Campaign.id).where(col(Campaign.starts_at) > clock.now())).all()
    for campaign_id in over:
        campaign_thanks.thank(
            house, organiser, campaign_id, "谢谢每一位把饭菜吃完的邻居，还有帮忙贴海报的志愿者！下次再来。"
        )
    _read_what_is_over(house, organiser)
    for campaign_id in coming:
        for one in agreed[-3:]:
            campaign_reminders.ask(house, one, campaign_id, on=True)


def _answer(house: House, agreed: Sequence[UUID]) -> None:
    for one in agreed:
        consents.give(house, one, Document.QUESTIONS, PRESENT[Document.QUESTIONS])
    with house.db.reading_session() as session:
        made = session.exec(
            select(Action.id, Action.resident_id)
            .join(Resident, col(Resident.id) == col(Action.resident_id))
            .where(col(Action.resident_id).in_(agreed), Resident.account_kind == AccountKind.PERSON)
            .where(otherwise.drawn(), standing())
            .order_by(col(Action.id))
        ).all()
    for number, (action_id, resident_id) in enumerate(made[:-10]):  # of the latest nobody has answered yet
        otherwise.answer(house, resident_id, action_id, _SAID[number % len(_SAID)])


def _read_what_is_over(house: House, organiser: Principal) -> None:
    """The organisers have read what they were told of campaigns that began, but not yet the reports."""
    with house.db.reading_session() as session:
        read = [
            notice.id
            for notice, campaign in campaign_notices.unseen(session, organiser)
            if notice.kind is not NoticeKind.REPORTED
            and campaign.starts_at is not None
            and campaign.starts_at <= clock.now()
        ]
    for notice_id in read:
        campaign_notices.mark_seen(house, organiser, notice_id)


def _keep_the_calendar(house: House) -> None:
    """Take every step at the moment at which it was due, as a worker would have."""
    with house.db.reading_session() as session:
        campaigns = session.exec(select(Campaign)).all()
        due = {
            at
            for campaign in campaigns
            for _step, at, _day in campaign_life.due_steps(campaign, house.settings.late_hours)
        }
    for moment in sorted(at for at in due if at <= clock.now()):
        with clock.pretending(moment), house.db.transaction() as connection:
            campaign_life.tick(house, connection, moment)
