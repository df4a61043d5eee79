"""Classes and families take part with one account each, and nothing of a child can be held: no column and no field has room for it.

Two looks. By words: no name of a column or of a field of the API speaks of a child, a birth, a school number, a parent or a picture of
somebody, but for those listed here with what they are. By room: of the tables with an account's data, every column that could hold words,
a day or a picture is listed with what it holds. Whoever adds one has to say here what it is for.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from activities import positions
from activities.photos import Photo
from tanpuhui.db import enum_type
from tanpuhui.errors import NoPhotoHere
from tanpuhui.people import AccountKind
from tests.browser import browser
from tests.service.test_families import make, school_class
from tests.world import World

#: Words by which a child, or who belongs to it, would be written down.
SUSPECT = frozenset(
    [
        "name",
        "names",
        "surname",
        "forename",
        "family",
        "nickname",
        "alias",
        "child",
        "children",
        "kid",
        "kids",
        "minor",
        "pupil",
        "pupils",
        "student",
        "students",
        "school",
        "class",
        "grade",
        "birth",
        "birthday",
        "birthdate",
        "born",
        "dob",
        "age",
        "sex",
        "gender",
        "parent",
        "parents",
        "mother",
        "father",
        "guardian",
        "guardians",
        "relative",
        "member",
        "members",
        "photo",
        "photos",
        "picture",
        "pictures",
        "image",
        "face",
        "avatar",
        "portrait",
        "jpeg",
        "png",
        "idcard",
        "passport",
    ]
)

#: Names that hold such a word, and what they are.
HARMLESS = {
    "action_photo": "that a person offered a photo; of classes and families none is taken",
    "action_photo.jpeg": "of a person's own record, deleted once it was looked at; of classes and families none is taken",
    "class_account": "a school class that takes part as one",
    "family_account": "a family that takes part as one",
    "family_guardian": "that an adult shares a family account",
    "family_guardian.family_id": "the account",
    "family_guardian.guardian_id": "the adult's account, a random number",
    "browser_session.for_family": "whether the browser acts for the family account",
    "member_card": "a code by which a helper records, without a name",
    "photo_fingerprint": "64 bits of a picture, beside no account",
    "resident.nickname": "chosen by a person for boards; the database refuses one of a class or a family",
    "division.name": "of a place",
    "division.parent_code": "of a place",
    "organisation.name": "of a tenant",
    "staff.name": "of a member of staff, an adult",
    "site.name": "of a place",
    "action_kind.name_zh": "of a kind of action",
    "action_kind.name_en": "of a kind of action",
    "evidence_tier.name_zh": "of a tier",
    "evidence_tier.name_en": "of a tier",
    "lease.name": "of a worker",
    "observance.name_zh": "of a day",
    "observance.name_en": "of a day",
    "observance_change.name_zh": "of a day",
    "observance_change.name_en": "of a day",
    "offer_picture": "of what is offered",
    "material.name_zh": "of a material",
    "material.name_en": "of a material",
    "target.parent_id": "the target that this one is a part of",
    "honour_consent.name": "chosen by a grown person for one honour; a child's account, a class or a family cannot accept as a person",
}

#: Fields of the API that hold such a word, and what they are.
HARMLESS_FIELDS = {
    "name": "of a site, a kind of action, a tier or a place; of an honour, as its holder chose it",
    "name_zh": "of a kind of action or a tier",
    "name_en": "of a kind of action or a tier",
    "names": "of the teams of a campaign, as its organisers call them",
    "nickname": "on a board, of a person who chose to be listed; the database refuses one of a class or a family",
    "member": "the code on a member's card, without a name",
    "parent": "the target that another one is a part of",
    "picture": "of what is offered",
}

#: What every column of an account's tables that could hold words, a day or a picture does hold.
HELD = {
    "campaign_participant.campaign": "a campaign",
    "campaign_entry.team": "the name of a team, or a community",
    "check_in.number": "of a certificate",
    "honour.claim_hash": "a fingerprint",
    "honour.decided_because": "of a member of staff",
    "honour.number": "of a certificate",
    "honour.reason": "of a member of staff, about a grown person, a class as a whole or a team",
    "honour.revoked_because": "of a member of staff",
    "honour_consent.name": "chosen by a grown person for one honour",
    "honour_consent.version": "of a text",
    "honour_evidence.source": "where it can be checked",
    "honour_evidence.text": "of a member of staff, about a deed",
    "account.path": "the number of an account",
    "donation_certificate.number": "of a certificate",
    "donation_certificate.held_by": "of the tenant who takes the donation",
    "participant_year.days": "on which days there is a record, by community, kind and campaign",
    "participant_year.first_day": "of the first record of a year",
    "participant_year.first_division": "a community",
    "offer_coupon.code": "of a merchant's list",
    "offer_coupon.holder": "whose list it is",
    "redemption.reason": "of a member of staff, why a voucher was cancelled",
    "action.day": "of the deed",
    "action.division_code": "a community",
    "action.evidence": "a tier",
    "action.factor_version": "a version",
    "action.kind": "a kind of action",
    "action_photo.jpeg": "a person's photo; none of classes and families",
    "action_review.due_on": "by when it is decided",
    "action_review.reason": "of a member of staff",
    "action_void.reason": "of a member of staff",
    "adjustment.about": "the number of a letter; gone when its author leaves",
    "adjustment.reason": "of a member of staff, about points; gone when they leave",
    "api_token.kind": "of subject",
    "api_token.role": "of staff",
    "api_token.token_hash": "a fingerprint",
    "browser_session.kind": "of subject",
    "browser_session.token_hash": "a fingerprint",
    "class_account.label": "the school's word for a class",
    "class_account.link_hash": "a fingerprint",
    "consent.document": "a text",
    "consent.text_sha256": "a fingerprint",
    "consent.version": "of a text",
    "daily_participant.campaign": "a campaign",
    "daily_participant.day": "of deeds",
    "daily_participant.division_code": "a community",
    "daily_participant.kind": "a kind of action",
    "device_use.day": "of a scan",
    "device_use.mark": "leads to no browser on any other day",
    "draw_entry.prize": "what was won",
    "draw_entry.ticket": "of a ticket",
    "event_log.payload": "ids, numbers and codes of a fact",
    "event_log.type": "of a fact",
    "family_account.invite_hash": "a fingerprint",
    "family_account.label": "the guardians' word for a family: a nickname, by the rules of nicknames",
    "feedback.due_on": "by when it is answered",
    "feedback.number": "of a letter",
    "feedback.topic": "what it is about",
    "feedback_entry.text": "what somebody wrote in of their own accord; deleted after its time",
    "identity.fingerprint": "a fingerprint",
    "identity.provider": "a provider",
    "login_code.address_index": "a fingerprint",
    "login_code.code_hash": "a fingerprint",
    "login_code.phone_index": "a fingerprint",
    "message.kind": "of a message",
    "message.params": "ids and numbers",
    "message.reference": "ids",
    "planting.kind": "a kind of action",
    "planting.number": "of a certificate",
    "planting.planted_on": "of trees",
    "resident.nickname": "a person's, for boards; none of classes and families",
    "resident.phone_cipher": "a person's, encrypted; none of classes and families",
    "resident.phone_index": "a fingerprint, or a random number",
    "scan_attempt.day": "of a scan",
    "scan_attempt.kind": "a kind of action",
    "scan_attempt.params": "numbers and names of kinds; of a family its label",
    "scan_attempt.reason": "a code",
    "sealed_transfer.leaf": "a fingerprint",
    "sealed_transfer.reference": "the number of an action",
    "site_report.day": "of a report",
    "spot_check_item.words": "of an officer",
    "stored_answer.answer": "as it was given",
    "stored_answer.key": "random, of the phone or the page",
    "stored_answer.request_hash": "a fingerprint",
    "tree_check.checked_on": "of trees",
}


def suspicious(name: str) -> bool:
    return bool(SUSPECT & set(re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())))


def names(metadata: sa.MetaData) -> Iterator[str]:
    """Names of tables and columns that hold a suspect word."""
    for table in metadata.tables.values():
        if suspicious(table.name):
            yield table.name
        yield from (f"{table.name}.{column.name}" for column in table.c if suspicious(column.name))


def of_accounts(metadata: sa.MetaData) -> set[str]:
    """The tables with an account's data: by such a column, or by a key that leads to such a table."""
    tables = metadata.tables
    marks = {"resident_id", "owner_id", "subject_id", "phone_index", "path"}
    found = {"resident"} | {
        name for name, table in tables.items() if marks & {column.name for column in table.c}
    }
    while True:
        more = {
            name
            for name, table in tables.items()
            if any(key.column.table.name in found for key in table.foreign_keys)
        }
        if more <= found:
            return found
        found |= more


def roomy(metadata: sa.MetaData) -> set[str]:
    """Columns of an account's data that could hold words, a day or a picture."""
    narrow = (sa.Enum, sa.Uuid, sa.Integer, sa.Boolean, sa.DateTime)
    return {
        f"{name}.{column.name}"
        for name in of_accounts(metadata)
        for column in metadata.tables[name].c
        if not column.foreign_keys
        and not isinstance(getattr(column.type, "impl", column.type), narrow)
        and not isinstance(column.type, narrow)
    }


def fields(part: Any, at: str = "") -> Iterator[str]:
    """Names of properties and parameters anywhere in an OpenAPI document."""
    if isinstance(part, list):
        for inner in part:
            yield from fields(inner, at)
    elif isinstance(part, dict):
        if "in" in part and "name" in part:
            yield part["name"]
        yield from part.get("properties", {}) if isinstance(part.get("properties"), dict) else ()
        for inner in part.values():
            yield from fields(inner, at)


def test_no_column_is_named_after_a_child(world: World) -> None:
    assert world
    found = set(names(SQLModel.metadata))
    assert found - HARMLESS.keys() == set()
    assert HARMLESS.keys() - found == set(), "no longer there"


def test_every_column_with_room_says_what_it_holds() -> None:
    assert roomy(SQLModel.metadata) == HELD.keys()


def test_no_field_of_the_api_is_named_after_a_child(world: World) -> None:
    document = world.client().get("/api/v1/openapi.json").json
    found = {name for name in fields(document) if suspicious(name)}
    assert found - HARMLESS_FIELDS.keys() == set()
    assert HARMLESS_FIELDS.keys() - found == set(), "no longer there"


def test_what_would_hold_a_child_is_found() -> None:
    """The negative control of all three."""
    metadata = sa.MetaData()
    resident = sa.Table("resident", metadata, sa.Column("id", sa.Uuid(), primary_key=True))
    for column in ("child_name", "birthDate", "school_number", "remark"):
        sa.Table(
            f"more_{column}".lower(),
            metadata,
            sa.Column("resident_id", sa.ForeignKey(resident.c.id), primary_key=True),
            sa.Column("kind", enum_type(AccountKind)),
            sa.Column(column, sa.Date() if column == "birthDate" else sa.String(20)),
        )
    sa.Table("elsewhere", metadata, sa.Column("text", sa.String(20)))
    assert set(names(metadata)) == {
        "more_child_name",
        "more_child_name.child_name",
        "more_birthdate",
        "more_birthdate.birthDate",
        "more_school_number",
        "more_school_number.school_number",
    }
    assert roomy(metadata) == {
        "more_child_name.child_name",
        "more_birthdate.birthDate",
        "more_school_number.school_number",
        "more_remark.remark",
    }
    document = {
        "paths": {
            "/x": {
                "post": {
                    "parameters": [{"name": "pupil-id", "in": "query", "schema": {"type": "string"}}],
                    "responses": {
                        "200": {"schema": {"items": {"properties": {"parentPhone": {}, "grams": {}}}}}
                    },
                }
            }
        }
    }
    assert {name for name in fields(document) if suspicious(name)} == {"pupil-id", "parentPhone"}


# --- and nobody asks for it --------------------------------------------------------------------------------

#: What is asked of a person, and never of a class or a family: phone, nickname, photo, where they are.
ASKED = {
    "a telephone number": re.compile(r'name="phone"|type="tel"'),
    "a nickname": re.compile(r'name="nickname"|/me/nickname'),
    "a photo": re.compile(r'name="photo"|type="file"'),
    "where they are": re.compile(r'name="position"|data-place-offer|place_hints|place\.js'),
}


def test_classes_and_families_are_asked_for_nothing_of_a_person(world: World) -> None:
    guardian = world.resident()
    family, pupils = make(world, guardian), school_class(world)
    world.open_self_reports("walk")
    site = world.site("clean_plate", "own_cup")
    positions.set_position(
        world.house,
        world.organiser,
        site.id,
        latitude=Decimal("31.2"),
        longitude=Decimal("121.5"),
        datum="gcj02",
        reason="在地图上查到",
    )
    code, person = world.code_at(site), world.resident()
    for one in (family, pupils, person):
        world.scan(one, code, kind="clean_plate")  # who knows the place is offered to tell where they are
    here = ["/", "/me", "/me/privacy", "/declare?kind=walk", f"/s/{code}?kind=own_cup", f"/s/{code}"]
    of_family, of_class, of_person = (
        browser(world, guardian),
        browser(world, pupils),
        browser(world, person),
    )
    of_family.get("/me")
    of_family.send("/me/family/account", account="family")
    for who, more in ((of_family, ["/me/family"]), (of_class, [])):
        for path in [*here, *more]:
            page = who.get(path)
            assert who.status == 200, path
            for what, pattern in ASKED.items():
                assert not pattern.search(page), (path, what)
        assert 'name="nickname"' not in who.get("/me/nickname")
        assert who.status == 403
    asked_of_a_person = "".join(of_person.get(path) for path in [*here, "/me/nickname", "/login"])
    for what in ("a nickname", "a photo", "where they are"):
        assert ASKED[what].search(asked_of_a_person), what  # the pattern finds it where it is


def test_no_photo_of_theirs_is_taken_by_any_way(world: World) -> None:
    guardian = world.resident()
    world.open_self_reports("walk")
    for one in (make(world, guardian), school_class(world)):
        try:
            world.self_report(one, "walk", 5000, photo=Photo(b"\xff\xd8", one.id.int & 0xFFFF))
        except NoPhotoHere:
            continue
        raise AssertionError(one.account_kind)
    with world.house.db.reading() as connection:
        for table in ("action", "action_photo", "photo_fingerprint"):
            assert connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar() == 0
