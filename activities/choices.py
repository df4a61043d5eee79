"""What the console's forms offer a member of staff: places, organisations and scopes that they may manage."""

from collections.abc import Sequence

from sqlmodel import Session, select

from activities.sites import MANAGERS
from tanpuhui.divisions import Division, DivisionLevel, street_of
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, RoleGrant, covers, grants_of

Options = list[tuple[str, str]]
Groups = list[tuple[str, Options]]


def communities(session: Session, principal: Principal) -> Groups:
    """The communities one may register sites in, by 街镇."""
    within = []
    for given in _grants(session, principal):
        organisation = session.get(Organisation, given.organisation_id) if given.organisation_id else None
        within.append(organisation.division_code if organisation else given.division_code or "-")
    divisions = session.exec(select(Division).order_by(Division.code)).all()
    names = {division.code: division.name for division in divisions}
    groups: dict[str, Options] = {}
    for division in divisions:
        if division.level is DivisionLevel.COMMUNITY and division.code.startswith(tuple(within)):
            groups.setdefault(names[street_of(division.code)], []).append((division.code, division.name))
    return list(groups.items())


def organisations(session: Session, principal: Principal) -> Options:
    """The organisations that a site of one's scope may belong to."""
    grants = _grants(session, principal)
    return [
        (str(one.id), one.name)
        for one in session.exec(select(Organisation).order_by(Organisation.name)).all()
        if any(covers(given, division_code=one.division_code, organisation_id=one.id) for given in grants)
    ]


def scopes(session: Session, principal: Principal) -> Options:
    """The divisions a campaign may be for: those one has a grant for, and the 街镇 below."""
    within = tuple(given.division_code for given in _grants(session, principal) if given.division_code)
    upper = session.exec(
        select(Division).where(Division.level != DivisionLevel.COMMUNITY).order_by(Division.code)
    ).all()
    return [(division.code, division.name) for division in upper if division.code.startswith(within)]


def only_for_organisations(session: Session, principal: Principal) -> bool:
    """Whether everything one registers has to belong to an organisation."""
    return not any(given.division_code for given in _grants(session, principal))


def _grants(session: Session, principal: Principal) -> Sequence[RoleGrant]:
    return [given for given in grants_of(session, principal) if given.role in MANAGERS]
