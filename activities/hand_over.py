"""The hand-over file of a declaration: everything by which the city can trace and compute again what was reported.

A ZIP of three parts, one JSON object a line, and a manifest with counts, sums and the hash of each part. What a line holds is told by
`activities.verify_hand_over`, which anybody can run without the platform (docs/hand-over.md). Made again it is the same byte for byte, as
long as the declaration has taken no step and nobody has said anything new of its sites.

Residents are told apart by a pseudonym that is good within one declaration: a hash with a key that never leaves the platform.
"""

import hmac
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import IO, Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, col, select

from activities import declared
from activities.actions import Action
from activities.catalogue import ActionKind, EvidenceTier
from activities.declarations import Declaration, DeclaredAction
from activities.quantify.factors import FactorVersion
from activities.quantify.methodologies import Methodology
from activities.sites import Site
from activities.verify_hand_over import (
    COMPUTED,
    FACTOR,
    FORMAT,
    MANIFEST,
    PARTS,
    Totals,
    calculation,
    line_of,
)
from tanpuhui.divisions import Division
from tanpuhui.errors import NotFound
from tanpuhui.rooms import House

_EVER = (1980, 1, 1, 0, 0, 0)  # the earliest moment that a ZIP can say: it says nothing of when it was made

Row = dict[str, Any]


def write(
    house: House, declaration_id: UUID, file: IO[bytes], tell: Callable[[int], None] = lambda _records: None
) -> str:
    """Write the hand-over file of a declaration; its fingerprint (SHA-256 of the manifest). Raises NotFound.

    `tell` hears now and then how many records are written. The memory that it takes does not grow with them.
    """
    with house.db.snapshot() as connection:
        session = Session(connection)
        declaration = session.get(Declaration, declaration_id)
        if declaration is None:
            raise NotFound
        factors = {row["factor_version"]: row for row in _factors(session, declaration_id)}
        sites = list(_sites(session, declaration_id))
        manifest = _manifest(house, session, declaration)
        tiers = session.exec(select(EvidenceTier)).all()
        names = {tier.code: (tier.name_zh, tier.counts_as_verified) for tier in tiers}
    totals = Totals()
    key = house.settings.key("hand-over")
    records = _records(declared.records(house.db, declaration_id), declaration_id, key, factors)
    with zipfile.ZipFile(file, "w") as archive:
        parts = [
            _part(archive, name, rows)
            for name, rows in zip(
                PARTS, (sites, factors.values(), _counted(records, totals, tell)), strict=True
            )
        ]
        registered = sum(site["source_register"] is not None for site in sites)
        manifest |= {
            "counts": totals.counts(totals.actors()[0], registered),
            "sums": totals.sums(),
            "known": totals.known(),
            "evidence": [
                {"code": code, "name": names[code][0], "verified": names[code][1], **tier}
                for code, tier in totals.tiers().items()
            ],
            "parts": parts,
        }
        raw = line_of(manifest)
        with archive.open(_entry(MANIFEST), "w") as out:
            out.write(raw)
    return sha256(raw).hexdigest()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EVER)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    return entry


#: So many lines are written at once.
_BLOCK = 200


def _part(archive: zipfile.ZipFile, name: str, rows: Iterable[Mapping[str, Any]]) -> Row:
    """Write one part; what the manifest says of it."""
    digest, lines, size, written = sha256(), 0, 0, iter(rows)
    with archive.open(_entry(name), "w", force_zip64=True) as out:
        while block := [line_of(row) for row in islice(written, _BLOCK)]:
            raw = b"".join(block)
            out.write(raw)
            digest.update(raw)
            lines, size = lines + len(block), size + len(raw)
    return {"name": name, "lines": lines, "bytes": size, "sha256": digest.hexdigest()}


# --- what stands in it -------------------------------------------------------------------------------------


def _manifest(house: House, session: Session, declaration: Declaration) -> Row:
    code = house.settings.district_code
    methodology = session.get_one(Methodology, declaration.methodology)
    return {
        "format": FORMAT,
        "district": {"code": code, "name": session.get_one(Division, code).name},
        "methodology": {
            "code": methodology.code,
            "title": methodology.title_zh,
            "form": methodology.form.value,
            "scenario_kind": methodology.scenario_kind.value,
            "filing_status": methodology.filing_status.value,
            "city_reference": methodology.city_reference,
            "sources": methodology.sources,
        },
        "declaration": {
            "id": str(declaration.id),
            "first": declaration.first.isoformat(),
            "last": declaration.last.isoformat(),
            "state": declaration.state.value,
            "reported_at": _moment(declaration.reported_at),
            "confirmed_at": _moment(declaration.confirmed_at),
            "city_reference": declaration.city_reference,
            "confirmed_mg": declaration.confirmed_mg,
            "used_at": _moment(declaration.used_at),
            "used_for": declaration.used_for,
            "withdrawn_at": _moment(declaration.withdrawn_at),
            "withdrawn_because": declaration.withdrawn_because,
        },
    }


def _declared(declaration_id: UUID, what: Any) -> Any:
    """A column of the records of a declaration."""
    return (
        select(what)
        .join(DeclaredAction, col(DeclaredAction.action_id) == col(Action.id))
        .where(col(DeclaredAction.declaration_id) == declaration_id)
    )


def _factors(session: Session, declaration_id: UUID) -> Iterator[Row]:
    """The factor versions in use. Until when one is valid may still be said, so it is not."""
    query = (
        select(FactorVersion, ActionKind.name_zh)
        .join(ActionKind, col(ActionKind.code) == col(FactorVersion.action_code))
        .where(col(FactorVersion.id).in_(_declared(declaration_id, col(Action.factor_version))))
    )
    for version, name in sorted(session.exec(query).all(), key=lambda found: found[0].id):
        told = {
            **version.model_dump(),
            "factor_version": version.id,
            "kind": version.action_code,
            "kind_name": name,
            "scenario_kind": version.scenario_kind.value,
            "confidence": version.confidence.value,
            "valid_from": version.valid_from.isoformat() if version.valid_from else None,
        }
        yield {field: told[field] for field in FACTOR}


def _sites(session: Session, declaration_id: UUID) -> Iterator[Row]:
    query = select(Site).where(col(Site.id).in_(_declared(declaration_id, col(Action.site_id))))
    for site in sorted(session.exec(query).all(), key=lambda found: str(found.id)):
        yield {
            "site": str(site.id),
            "source_register": site.source_register,
            "name": site.name,
            "kind": site.kind.value,
            "division": site.division_code,
            "latitude_e6": site.latitude_e6,
            "longitude_e6": site.longitude_e6,
            "datum": site.datum.value if site.datum else None,
        }


def _records(
    rows: Iterable[sa.RowMapping], declaration_id: UUID, key: bytes, factors: Mapping[str, Row]
) -> Iterator[Row]:
    for row in rows:
        yield {
            "record": str(row["id"]),
            "actor": pseudonym(key, declaration_id, row["resident_id"]),
            "day": row["day"].isoformat(),
            "kind": row["kind"],
            "ordinal": row["ordinal"],
            "quantity_milli": row["quantity_milli"],
            "unit": row["unit"],
            "occurred_at": _moment(row["occurred_at"]),
            "recorded_at": _moment(row["recorded_at"]),
            "evidence": row["evidence"],
            "code": row["code_id"],
            "by_helper": row["recorded_by"] is not None,
            "site": str(row["site_id"]),
            "division": row["division_code"],
            "factor_version": row["factor_version"],
            "calculation": calculation(row["quantity_milli"], factors[row["factor_version"]]),
            **{name: row[name] for name in COMPUTED},
        }


#: So many records are written between two times that somebody hears of it.
_TELL_AFTER = 1000


def _counted(records: Iterable[Row], totals: Totals, tell: Callable[[int], None]) -> Iterator[Row]:
    for record in records:
        totals.add(record)
        yield record
        if totals.records % _TELL_AFTER == 0:
            tell(totals.records)
    tell(totals.records)


def pseudonym(key: bytes, declaration_id: UUID, resident_id: UUID) -> str:
    """What stands for a resident within a declaration: half of an HMAC-SHA-256, hexadecimal."""
    return hmac.digest(key, declaration_id.bytes + resident_id.bytes, "sha256")[:16].hex()


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
