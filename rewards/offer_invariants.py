"""What must always hold of pools, offers and vouchers; `tanpuhui verify` asks."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tanpuhui.db import uuid_text
from tanpuhui.rooms import Invariant

_OUT = "(SELECT COALESCE(sum(t.amount), 0) FROM transfer t WHERE t.source = 'reserved:' || {id} AND t.destination = 'programme:redeemed')"
_BACK = "(SELECT COALESCE(sum(t.amount), 0) FROM transfer t WHERE t.destination = 'reserved:' || {id} AND t.source = 'programme:redeemed')"


def _pools(connection: Connection) -> Iterator[str]:
    """Reserved is what vouchers hold, spent is what was settled, by rows and by transfers alike."""
    name = uuid_text(connection, "p.id")
    moved = f"{_OUT.format(id=name)} - {_BACK.format(id=name)}"
    rows = connection.execute(
        sa.text(
            f"SELECT {name}, p.reserved, p.spent, "
            f"COALESCE((SELECT a.balance FROM account a WHERE a.path = 'reserved:' || {name}), 0), {moved}, "
            "COALESCE((SELECT sum(r.price) FROM redemption r WHERE r.pool_id = p.id AND r.state = 'open'), 0), "
            "COALESCE((SELECT sum(r.price) FROM redemption r WHERE r.pool_id = p.id AND r.state = 'settled'), 0) "
            "FROM reward_pool p"
        )
    )
    for pool, reserved, spent, held, settled, open_price, settled_price in rows:
        if not reserved == held == open_price:
            yield f"pool {pool} says {reserved} reserved; its account holds {held}, its open vouchers {open_price}"
        if not spent == settled == settled_price:
            yield f"pool {pool} says {spent} spent; its transfers say {settled}, its used vouchers {settled_price}"


def _stocks(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        sa.text(
            "SELECT o.id, o.taken, count(r.id) FROM offer o LEFT JOIN redemption r ON r.offer_id = o.id "
            "AND r.state IN ('open', 'settled') GROUP BY o.id, o.taken HAVING o.taken <> count(r.id)"
        )
    )
    for offer, taken, vouchers in rows:
        yield f"offer {offer} says {taken} taken and has {vouchers} vouchers"


def _coupons(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        sa.text(
            "SELECT r.id FROM redemption r JOIN offer o ON o.id = r.offer_id LEFT JOIN offer_coupon c "
            "ON c.redemption_id = r.id AND c.offer_id = o.id WHERE (o.kind = 'coupon') <> (c.id IS NOT NULL)"
        )
    )
    for row in rows:
        yield f"voucher {row[0]} has no coupon of its offer, or one of another"


def _certificates(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        sa.text(
            "SELECT r.id FROM redemption r JOIN offer o ON o.id = r.offer_id LEFT JOIN donation_certificate c "
            "ON c.redemption_id = r.id WHERE (o.kind = 'donation') <> (c.number IS NOT NULL)"
        )
    )
    for row in rows:
        yield f"voucher {row[0]} is a donation without a certificate, or has one and is none"


def _transfers(connection: Connection) -> Iterator[str]:
    """Each voucher's points came from its resident once, and went where it stands; no other transfer says that it is of a voucher."""
    name, who = uuid_text(connection, "r.id"), uuid_text(connection, "r.resident_id")
    pool = f"'reserved:' || {uuid_text(connection, 'r.pool_id')}"
    paid = f"m.reference = 'redeem:' || {name} AND m.source = 'resident:' || {who} AND m.destination = {pool}"
    back = (
        f"b.reference IN ('redeem:' || {name} || '\\:back', 'redeem:' || {name} || '\\:back\\:late') "
        f"AND b.destination = 'resident:' || {who} AND b.source = {pool}"
    )
    rows = connection.execute(
        sa.text(
            f"SELECT {name}, r.state, r.price, COALESCE((SELECT m.amount FROM transfer m WHERE {paid}), 0), "
            f"COALESCE((SELECT sum(b.amount) FROM transfer b WHERE {back}), 0), "
            f"(SELECT count(*) FROM transfer b WHERE {back}) FROM redemption r WHERE r.price > 0"
        )
    )
    known = 0
    for voucher, state, price, paid_points, back_points, returns in rows:
        known += (paid_points > 0) + returns
        due = price if state in {"cancelled", "lapsed"} else 0
        if (paid_points, back_points) != (price, due):
            yield f"voucher {voucher} of {price} is {state}; {paid_points} points were given for it, {back_points} came back"
    known += (
        connection.scalar(
            sa.text(
                "SELECT count(*) FROM transfer WHERE reference LIKE 'redeem:%' "
                "AND (source = 'programme:redeemed' OR destination = 'programme:redeemed')"
            )
        )
        or 0
    )
    total = connection.scalar(sa.text("SELECT count(*) FROM transfer WHERE reference LIKE 'redeem:%'"))
    if total != known:
        yield f"{total} transfers of vouchers, of which {known} are accounted for"


def _of_the_gone(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        sa.text(
            "SELECT v.id FROM redemption v JOIN resident r ON r.id = v.resident_id "
            "WHERE r.status <> 'active' AND v.state = 'open'"
        )
    )
    for row in rows:
        yield f"voucher {row[0]} is open and its holder has left"


OFFER_INVARIANTS: Sequence[Invariant] = (
    Invariant("a reward pool is the sum of its vouchers and transfers", _pools),
    Invariant("what is taken of an offer are its vouchers", _stocks),
    Invariant("a coupon offer gives each voucher one code", _coupons),
    Invariant("a donation has a certificate, and nothing else has", _certificates),
    Invariant("the points of a voucher are where it stands", _transfers),
    Invariant("whoever has left holds no open voucher", _of_the_gone),
)
