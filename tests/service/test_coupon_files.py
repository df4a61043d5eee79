"""Coupon codes by the page of an offer: from a file or pasted, all of them or none, with every wrong line told."""

import io
import re
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from rewards import coupons, offer_desk
from tanpuhui.errors import NotAllowed, NotFound, OfferMovedOn
from tanpuhui.staff import Role
from tests.browser import browser
from tests.tables import contents, written
from tests.unit.test_coupons import sheet
from tests.world import OTHER_COMMUNITY, World


def codes_of(world: World, offer_id: UUID) -> list[str]:
    with world.house.db.reading() as connection:
        query = sa.text("SELECT code FROM offer_coupon WHERE offer_id = :id ORDER BY id")
        return list(connection.scalars(query.bindparams(sa.bindparam("id", offer_id, sa.Uuid()))))


@pytest.mark.parametrize("engine", ["sqlite"])  # what is refused by both stands in `test_offers`
def test_a_file_is_imported_whole_or_refused_with_its_lines(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coupons, "MOST_FILE", 20_000)
    offer_id = offer_desk.draft(world.house, world.organiser, world.offer_in(kind="coupon"))
    desk, address = browser(world, world.organiser), f"/console/offers/{offer_id}"

    def send(data: bytes | None = None, name: str = "码.csv", **more: Any) -> str:
        desk.get(address)
        return desk.send(
            "/coupons", **({"file": (io.BytesIO(data), name)} if data is not None else {}), **more
        )

    assert "导入了 3 个券码" in send(sheet("券码", "A-1", 7, "A-2"), "码.xlsx")
    assert codes_of(world, offer_id) == ["A-1", "7", "A-2"]
    desk.get(address)
    before = contents(world.house)
    for data, said in (
        (
            b"\xef\xbb\xbfcode\r\nB-1\r\nA-1\r\nB-1\r\n\r\n" + b"x" * 65 + b"\r\nB,2\r\n",
            ["第 3 行", "第 4 行", "第 5 行", "第 6 行", "第 7 行"],
        ),
        (b"code\n", ["这里没有券码"]),
        (b"\xff\xd8\xff\xe0\xff\x80", ["读不出来"]),
        (bytes(20_001), ["最大 1 MB"]),
    ):
        page = send(data)
        assert desk.status == 422
        assert "一个也没有导入" in page
        assert re.search(rf'id="file-error">.*?{said[0]}', page, re.S)
        assert [line for line in said if line not in page] == []
    assert "请只选一种" in send(b"C-1\n", codes="C-2")
    assert "C-2" in desk.page.text  # what was pasted is kept
    assert "第 2 行" in send(codes="C-1\nC-1")
    assert ">\nC-1\nC-1</textarea>" in desk.page.text.replace("\r", "")
    assert written(before, contents(world.house)) == {}
    assert "导入了 2 个券码" in send(codes="C-1\nC-2")
    assert len(codes_of(world, offer_id)) == 5
    assert world.breaches() == []


@pytest.mark.parametrize("engine", ["sqlite"])
def test_codes_are_only_for_whom_they_are_and_for_what_takes_them(world: World) -> None:
    bag, coupon = world.offer(), world.offer(kind="coupon", coupons="A")
    stranger = world.colleague(*Role, division=OTHER_COMMUNITY[:9])
    offer_desk.end(world.house, world.organiser, coupon, "收回")
    before = contents(world.house)
    for who, offer_id, refused in (
        (world.organiser, bag, NotFound),
        (stranger, coupon, NotAllowed),
        (world.organiser, coupon, OfferMovedOn),
    ):
        with pytest.raises(refused):
            coupons.import_codes(world.house, who, offer_id, coupons.pasted("B"))
    page = browser(world, world.organiser)
    page.get(f"/console/offers/{coupon}")
    assert "/coupons" not in page.page.text
    assert not {"offer", "offer_coupon"} & written(before, contents(world.house)).keys()
