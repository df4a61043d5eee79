"""Codes: what is printed or shown at a site. A code is a row; its token is the row's number, signed.

A printed code proves the place (`site_code`). A *staffed* code is shown by staff who see the deed done, counts
as confirmed by them, and is good for a stated time of at most three days. A *rotating* code is shown on a screen and
changes with every period; a batch of *slips* is good once for each serial; a *desk* code is never shown: it stands for
helpers who scan the codes of members; a *measured* code is a scale's or a partner's, who signs what was weighed. Neither is
that of *self-reports* shown: it stands for what residents say themselves.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from activities.catalogue import ActionKind
from activities.sites import Site, SiteCredits, get_site
from tanpuhui import audit, clock, ids, reference, signing
from tanpuhui.config import Settings
from tanpuhui.db import Statement, enum_type, insert_statement
from tanpuhui.errors import (
    AlreadyRevoked,
    CodeExpired,
    CodeInvalid,
    GatheringCodeHere,
    InvalidField,
    MemberCodeHere,
    NotFound,
    RotatingCodeExpired,
    VoucherCodeHere,
)
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.signing import Form, Token

STAFFED_AT_MOST = timedelta(days=3)

#: How long a rotating code stands on the screen. The one before is still good, and so is the next one (clocks differ).
PERIOD = timedelta(seconds=30)

#: How long who opened a rotating code in time may take to log in and confirm.
OPENED_FOR = timedelta(minutes=15)

MOST_SLIPS = 2000


class CodeKind(StrEnum):
    """How a code is shown, and so what it proves."""

    PLACE = "place"
    ROTATING = "rotating"
    SLIPS = "slips"
    DESK = "desk"
    MEASURED = "measured"
    SELF = "self"


KIND_NAMES = {
    CodeKind.PLACE: N_("点位码"),
    CodeKind.ROTATING: N_("轮换码"),
    CodeKind.SLIPS: N_("一次性小票"),
    CodeKind.DESK: N_("服务台"),
    CodeKind.MEASURED: N_("秤或合作方"),
    CodeKind.SELF: N_("自报"),
}

#: What stands for people who say what was done; no token of it is good.
NEVER_SHOWN = (CodeKind.DESK, CodeKind.SELF)

#: What the kinds other than PLACE prove; of those the evidence says whether it is printed or shown by staff.
EVIDENCE = {
    CodeKind.ROTATING: "rotating_code",
    CodeKind.SLIPS: "rotating_code",
    CodeKind.DESK: "staff_confirmed",
    CodeKind.MEASURED: "measured",
    CodeKind.SELF: "self_declared",
}

_EVIDENCE_OF_KIND = " OR ".join(
    [
        "(kind = 'place' AND evidence IN ('site_code', 'staff_confirmed'))",
        *(f"(kind = '{kind}' AND evidence = '{evidence}')" for kind, evidence in EVIDENCE.items()),
    ]
)


class Code(SQLModel, table=True):
    """A code that was issued for a site. Never deleted; withdrawn by `revoked_at`.

    `copies`: how many slips a batch has. `action_kind`: the one kind of action that it credits, if not any of the site's;
    `quantity_milli`: how much of it each slip stands for.
    """

    __tablename__ = "code"
    __table_args__ = (
        sa.CheckConstraint("id > 0", name="id"),
        sa.CheckConstraint(_EVIDENCE_OF_KIND, name="evidence_of_kind"),
        sa.CheckConstraint(
            "kind <> 'place' OR evidence = 'site_code' OR (valid_from IS NOT NULL AND valid_until IS NOT NULL)",
            name="staffed",
        ),
        sa.CheckConstraint("valid_until IS NULL OR valid_until > valid_from", name="validity"),
        sa.CheckConstraint("(kind = 'slips') = (copies IS NOT NULL)", name="slips"),
        sa.CheckConstraint(f"copies BETWEEN 1 AND {MOST_SLIPS}", name="copies"),
        sa.CheckConstraint("kind <> 'measured' OR action_kind IS NOT NULL", name="measured"),
        sa.CheckConstraint(
            "quantity_milli IS NULL OR (kind = 'slips' AND action_kind IS NOT NULL AND quantity_milli > 0)",
            name="quantity",
        ),
    )

    id: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    site_id: UUID = Field(foreign_key="site.id", index=True)
    kind: CodeKind = Field(
        default=CodeKind.PLACE,
        sa_column=sa.Column(enum_type(CodeKind), nullable=False, server_default=CodeKind.PLACE.value),
    )
    evidence: str = Field(default="site_code", max_length=32)
    action_kind: str | None = Field(default=None, foreign_key="action_kind.code", max_length=32)
    quantity_milli: int | None = Field(default=None, sa_type=sa.BigInteger)
    copies: int | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    issued_at: datetime = Field(default_factory=clock.now)
    issued_by: UUID = Field(foreign_key="staff.id")
    revoked_at: datetime | None = None


class CodeUse(SQLModel, table=True):
    """A slip, or a receipt of a scale, was used: each serial of a code once."""

    __tablename__ = "code_use"
    __table_args__ = (sa.CheckConstraint("serial >= 1", name="serial"),)

    code_id: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    serial: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    action_id: UUID = Field(foreign_key="action.id", unique=True)


INSERT_USES = insert_statement(
    SQLModel.metadata.tables["code_use"], {"code_id": "int", "serial": "int", "action_id": "uuid"}
)
READ_USES = Statement(
    "SELECT u.code_id, u.serial, u.action_id FROM code_use u JOIN {rows} ON q.code_id = u.code_id AND q.serial = u.serial",
    rows={"code_id": "int", "serial": "int"},
    code_id="int",
    serial="int",
    action_id="uuid",
)


def issue_code(
    house: House,
    principal: Principal,
    site_id: UUID,
    *,
    kind: CodeKind = CodeKind.PLACE,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    action_kind: str | None = None,
    quantity_milli: int | None = None,
    copies: int | None = None,
    chosen: UUID | None = None,
) -> Code:
    """A new code for a site; a PLACE with a validity is a staffed one. Quantity in thousandths.

    `chosen`: the same one again makes no second code.

    Raises NotFound, NotAllowed, InvalidField.
    """
    code = Code(
        id=0,
        site_id=site_id,
        kind=kind,
        valid_from=valid_from,
        valid_until=valid_until,
        action_kind=action_kind,
        quantity_milli=quantity_milli,
        copies=copies,
        issued_by=principal.id,
    )
    staffed = kind is CodeKind.PLACE and (valid_from is not None or valid_until is not None)
    code.evidence = EVIDENCE.get(kind, "staff_confirmed" if staffed else "site_code")
    with house.db.session() as session:
        get_site(session, principal, site_id)
        if chosen is not None:
            code.id = chosen.int % 2**40 or 1
            session.get(
                Site, site_id, with_for_update=True
            )  # of two taps at once the second finds the first one's
            made = session.get(Code, code.id)
            if made is not None and (made.site_id, made.issued_by) == (site_id, principal.id):
                return made
        _check(session, code, staffed)
        return issue(session, principal, code)


def _check(session: Session, code: Code, staffed: bool) -> None:
    wrong: list[tuple[str, str]] = []
    start, end = code.valid_from, code.valid_until
    if staffed and not (start and end and timedelta(0) < end - start <= STAFFED_AT_MOST):
        wrong.append(("valid_until", N_("现场码须填写起止时间，最长三天，且结束晚于开始。")))
    if code.kind is CodeKind.SLIPS and end is not None and end <= clock.now():
        wrong.append(("valid_until", N_("有效期应在今天或以后。")))
    copies = 0 if code.kind is CodeKind.SLIPS and code.copies is None else code.copies
    if copies is not None and not (code.kind is CodeKind.SLIPS and 1 <= copies <= MOST_SLIPS):
        wrong.append(("copies", N_("一批可以有 1 到 2000 张。")))
    offered = session.get(SiteCredits, (code.site_id, code.action_kind)) if code.action_kind else None
    if (code.action_kind and offered is None) or (
        code.kind is CodeKind.MEASURED and code.action_kind is None
    ):
        wrong.append(("action_kind", N_("请选择这个点位可以记录的行为。")))
    kind = session.get(ActionKind, code.action_kind) if offered else None
    if code.quantity_milli is not None and not (
        code.kind is CodeKind.SLIPS
        and kind
        and kind.quantity_min_milli <= code.quantity_milli <= kind.quantity_max_milli
    ):
        outside = N_("数量超出了这种行为每次可以记录的范围。")
        wrong.append(("quantity", outside if kind else N_("填写数量，就要先选定一种行为。")))
    if wrong:
        raise InvalidField(errors=[{"field": field, "reason": reason} for field, reason in wrong])


def first_code(house: House, principal: Principal, site_id: UUID) -> Code:
    """The code that a site begins with; asked again, the same. Raises NotFound, NotAllowed."""
    with house.db.session() as session:
        get_site(session, principal, site_id)
        session.get(Site, site_id, with_for_update=True)
        found = codes_of(session, site_id)
        return (
            found[-1]
            if found
            else issue(session, principal, Code(id=0, site_id=site_id, issued_by=principal.id))
        )


def replace_code(house: House, principal: Principal, code_id: int, reason: str) -> Code:
    """Withdraw a code and issue a new one of its kind for its site, both or neither; the code now in its place.

    A printed code takes the place of a staffed one. Of two requests at once, one replaces the code, and the other is
    answered with AlreadyRevoked. Raises NotFound, NotAllowed, InvalidField (no reason).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        code = _own_code(session, principal, code_id)
        if code.revoked_at is not None:
            raise AlreadyRevoked
        _revoke(session, principal, code, reason)
        return _successor(session, principal, code)


def renew_code(house: House, principal: Principal, code_id: int) -> Code:
    """The code in the place of a withdrawn one: made when first asked for, then the same; one that stands is its own.

    Raises NotFound, NotAllowed.
    """
    with house.db.session() as session:
        code = _own_code(session, principal, code_id)
        if code.revoked_at is None:
            return code
        session.get(Site, code.site_id, with_for_update=True)  # of two who ask at once one makes it
        standing = session.exec(
            select(Code).where(
                Code.site_id == code.site_id,
                Code.kind == code.kind,
                Code.evidence == EVIDENCE.get(code.kind, "site_code"),
                Code.action_kind == code.action_kind,
                col(Code.revoked_at).is_(None),
                col(Code.issued_at) >= code.revoked_at,
            )
        ).first()
        return standing or _successor(session, principal, code)


def _successor(session: Session, principal: Principal, code: Code) -> Code:
    kept = code.model_dump(include={"site_id", "kind", "action_kind", "quantity_milli", "copies"})
    evidence = EVIDENCE.get(code.kind, "site_code")
    return issue(session, principal, Code(id=0, evidence=evidence, issued_by=principal.id, **kept))


def desk_code(session: Session, principal: Principal, site_id: UUID) -> Code:
    """The standing code by which helpers record at a site, made when first needed. The caller has checked the scope."""
    session.get(Site, site_id, with_for_update=True)  # of two helpers at once one makes it
    standing = session.exec(
        select(Code).where(
            Code.site_id == site_id, Code.kind == CodeKind.DESK, col(Code.revoked_at).is_(None)
        )
    ).first()
    if standing is not None:
        return standing
    code = Code(
        id=0, site_id=site_id, kind=CodeKind.DESK, evidence=EVIDENCE[CodeKind.DESK], issued_by=principal.id
    )
    return issue(session, principal, code)


def issue(session: Session, principal: Principal, code: Code) -> Code:
    """Give a new code its number, if it has none that is free. The caller has checked scope and code."""
    if not code.id or session.get(Code, code.id) is not None:
        code.id = _free_number(session)
    session.add(code)
    audit.note_by(
        session,
        principal,
        deed="code.issued",
        subject=f"code:{code.id}",
        site=str(code.site_id),
        kind=code.kind.value,
    )
    session.flush()
    reference.bump(session.connection())
    return code


def revoke_code(house: House, principal: Principal, code_id: int, reason: str) -> Code:
    """Withdraw a code at once; withdrawing twice changes nothing.

    Raises NotFound, NotAllowed, InvalidField (no reason).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        code = _own_code(session, principal, code_id)
        if code.revoked_at is None:
            _revoke(session, principal, code, reason)
        return code


def _own_code(session: Session, principal: Principal, code_id: int) -> Code:
    code = session.get(Code, code_id, with_for_update=True)
    if code is None:
        raise NotFound
    get_site(session, principal, code.site_id)
    return code


def _revoke(session: Session, principal: Principal, code: Code, reason: str) -> None:
    code.revoked_at = clock.now()
    session.add(code)
    audit.note_by(
        session,
        principal,
        deed="code.revoked",
        subject=f"code:{code.id}",
        reason=reason,
    )
    session.flush()
    reference.bump(session.connection())


def codes_of(session: Session, site_id: UUID) -> Sequence[Code]:
    """The codes issued for a site, latest first."""
    return session.exec(
        select(Code).where(Code.site_id == site_id).order_by(col(Code.issued_at).desc())
    ).all()


def used_of(session: Session, site_id: UUID) -> dict[int, int]:
    """How many slips or receipts of each code of a site are used up; codes of which none is are missing."""
    query = (
        sa.select(col(CodeUse.code_id), sa.func.count())
        .join(Code, col(Code.id) == col(CodeUse.code_id))
        .where(col(Code.site_id) == site_id)
        .group_by(col(CodeUse.code_id))
    )
    return {row[0]: row[1] for row in session.execute(query)}


# --- tokens ------------------------------------------------------------------------------------------------


def token_of(settings: Settings, code_id: int) -> str:
    """What the code of a place carries after ``/s/``."""
    return text_of(settings, Token(Form.PLACE, code_id))


def slip_token(settings: Settings, code_id: int, serial: int) -> str:
    """What slip number `serial` (from 1) of a batch carries."""
    return text_of(settings, Token(Form.COUNTED, code_id, (serial,)))


def rotating_token(settings: Settings, code_id: int, moment: datetime) -> str:
    """What a rotating code shows at `moment`."""
    return text_of(settings, Token(Form.COUNTED, code_id, (period_of(moment),)))


def text_of(settings: Settings, token: Token) -> str:
    """A token as it is printed, signed with the key of today."""
    return signing.keyring(settings).sign(token)


def address_of(settings: Settings, token: str) -> str:
    """The address that a code with `token` opens."""
    return f"{settings.public_url}/s/{token}"


def read_token(settings: Settings, text: str) -> Token:
    """What a token, or a whole scanned address, says.

    Raises CodeInvalid or CodeVersionUnknown, MemberCodeHere for a resident's own code, GatheringCodeHere for the
    check-in code of a gathering and VoucherCodeHere for that of a voucher; tells nothing about whether the number exists.
    """
    token = signing.keyring(settings).read(letters_in(text))
    if token.form is Form.MEMBER:
        raise MemberCodeHere
    if token.form is Form.GATHERING:
        raise GatheringCodeHere
    if token.form is Form.VOUCHER:
        raise VoucherCodeHere
    return token


def letters_in(text: str) -> str:
    """The token in a scanned address; what was typed stays as it is."""
    text = text.strip()
    return text.rsplit("/s/", 1)[1].split("?", 1)[0] if "/s/" in text else text


def period_of(moment: datetime) -> int:
    """The number of the period of rotating codes that `moment` lies in."""
    return int(moment.timestamp()) // int(PERIOD.total_seconds())


def check_token(code: Code, token: Token, opened_at: datetime) -> None:
    """Refuse a token that does not fit its code, or was opened after its time.

    Raises CodeInvalid, CodeExpired (no such slip any more), RotatingCodeExpired.
    """
    if code.kind in NEVER_SHOWN or token.form is not _FORMS[code.kind]:
        raise CodeInvalid
    if code.kind is CodeKind.ROTATING and abs(token.more[0] - period_of(opened_at)) > 1:
        raise RotatingCodeExpired
    if code.kind is CodeKind.SLIPS and not 1 <= token.more[0] <= (code.copies or 0):
        raise CodeExpired


_FORMS = {
    CodeKind.PLACE: Form.PLACE,
    CodeKind.ROTATING: Form.COUNTED,
    CodeKind.SLIPS: Form.COUNTED,
    CodeKind.MEASURED: Form.MEASURED,
}


def serial_of(code: Code, token: Token) -> int | None:
    """The serial that a token uses up, if it is good once only."""
    if code.kind is CodeKind.SLIPS:
        return token.more[0]
    return token.more[1] if code.kind is CodeKind.MEASURED else None


def fixed_quantity(code: Code, token: Token) -> int | None:
    """How much a slip or a receipt stands for, in thousandths; None where the resident says it."""
    return token.more[0] if code.kind is CodeKind.MEASURED else code.quantity_milli


def _free_number(session: Session) -> int:
    while True:
        number = ids.random_number(40)
        if number and session.get(Code, number) is None:
            return number
