"""What this room's events contribute to the figures."""

from collections.abc import Iterator, Sequence

from sqlalchemy.engine import Connection

from activities.events import ActionConfirmed, ActionRecorded, ActionVoided, Deed
from tanpuhui.figures import Contribution, Feed
from tanpuhui.measures import POLLUTANTS


def contributions(_connection: Connection, events: Sequence[Deed]) -> Iterator[Contribution]:
    """One contribution an event: the deed's numbers, taken back for a voided one. A pending one counts when confirmed."""
    for event in events:
        if isinstance(event, ActionRecorded) and event.pending:
            continue
        sign = -1 if isinstance(event, ActionVoided) else 1
        measures = {
            "actions": sign,
            "quantity_milli": sign * event.quantity_milli,
            "co2e_mg": sign * event.co2e_mg,
            "co2e_mid_mg": sign * event.co2e_mid_mg,
            "co2e_high_mg": sign * event.co2e_high_mg,
        }
        for pollutant in POLLUTANTS:
            amount = getattr(event, f"{pollutant}_ug")
            if amount is not None:
                measures[f"{pollutant}_ug"] = sign * amount
                measures[f"{pollutant}_known"] = sign
        yield Contribution(
            day=event.day,
            division_code=event.division_code,
            kind=event.kind,
            evidence=event.evidence,
            campaign=str(event.campaign_id) if event.campaign_id else "",
            city_credited=event.city_credited,
            measures=measures,
            resident_id=event.resident_id,
            participations=sign,
            site_id=event.site_id,
        )


ACTIONS_FEED = Feed((ActionRecorded, ActionConfirmed, ActionVoided), contributions)
