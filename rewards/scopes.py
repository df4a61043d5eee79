"""On whose behalf staff nominate, offer and draw: an organisation, or a division."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlmodel import Session

from tanpuhui.divisions import Division
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, RoleGrant, grants_of


@dataclass(frozen=True, slots=True)
class Scope:
    """A division, or an organisation in it. `key`: how forms name it."""

    key: str
    name: str
    division_code: str
    organisation_id: UUID | None


def scopes_of(session: Session, principal: Principal, roles: Collection[Role]) -> list[Scope]:
    """The scopes of those grants of `principal` that give one of `roles`."""
    found: dict[str, Scope] = {}
    for given in grants_of(session, principal):
        if given.role in roles:
            scope = _scope_of(session, given)
            found.setdefault(scope.key, scope)
    return list(found.values())


def _scope_of(session: Session, given: RoleGrant) -> Scope:
    if given.organisation_id:
        place = session.get_one(Organisation, given.organisation_id)
        return Scope(f"organisation:{place.id}", place.name, place.division_code, place.id)
    division = session.get_one(Division, given.division_code)
    return Scope(f"division:{division.code}", division.name, division.code, None)
