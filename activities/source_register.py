"""The register of sources: under which number a site stands in it, as whoever runs the site says."""

import re
from uuid import UUID

from activities.sites import get_site
from tanpuhui import audit
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

_NUMBER = re.compile(r"[0-9A-Za-z\u4e00-\u9fff〔〕()（）._/-]{1,64}")


def set_number(house: House, principal: Principal, site_id: UUID, number: str, reason: str) -> None:
    """Say under which number a site stands in the register of sources; an empty one takes it back.

    Several sites of one source have the same. Raises NotFound, NotAllowed, InvalidField.
    """
    reason = audit.reason(reason)
    number = "".join(number.split())
    if number and not _NUMBER.fullmatch(number):
        wrong = N_("编号最多 64 个字，只用字母、数字、汉字和 - _ . / 〔〕。")
        raise InvalidField(errors=[{"field": "source_register", "reason": wrong}])
    with house.db.session() as session:
        site = get_site(session, principal, site_id)
        site.source_register = number or None
        session.add(site)
        audit.note_by(
            session,
            principal,
            deed="site.source_register",
            subject=f"site:{site.id}",
            reason=reason,
            number=number,
        )
