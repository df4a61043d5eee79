"""Where sites stand, as their organisers say it: degrees and the datum they are in."""

from decimal import Decimal
from uuid import UUID

from activities.geodesy import Datum
from activities.sites import MICRO, get_site
from tanpuhui import audit, reference
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal


def set_position(
    house: House,
    principal: Principal,
    site_id: UUID,
    *,
    latitude: Decimal | None,
    longitude: Decimal | None,
    datum: str,
    reason: str,
) -> None:
    """Say where a site stands; without both numbers, that nobody says so any more.

    Raises NotFound, NotAllowed, InvalidField.
    """
    reason = audit.reason(reason)
    north, east = _micro("latitude", latitude, 90), _micro("longitude", longitude, 180)
    if (north is None) != (east is None):
        field = "latitude" if north is None else "longitude"
        raise InvalidField(errors=[{"field": field, "reason": N_("纬度和经度要一起填写，或一起留空。")}])
    if north is not None and datum not in set(Datum):
        raise InvalidField(errors=[{"field": "datum", "reason": N_("请选择坐标是从哪里查到的。")}])
    with house.db.session() as session:
        site = get_site(session, principal, site_id)
        site.latitude_e6, site.longitude_e6 = north, east
        site.datum = Datum(datum) if north is not None else None
        session.add(site)
        audit.note_by(
            session,
            principal,
            deed="site.position",
            subject=f"site:{site.id}",
            reason=reason,
        )
        session.flush()
        reference.bump(session.connection())


def _micro(field: str, degrees: Decimal | None, most: int) -> int | None:
    if degrees is None:
        return None
    if not degrees.is_finite() or abs(degrees) > most:
        reason = N_("纬度在 -90 到 90 之间，经度在 -180 到 180 之间。")
        raise InvalidField(errors=[{"field": field, "reason": reason}])
    return round(degrees * MICRO)
