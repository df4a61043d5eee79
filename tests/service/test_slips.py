"""A batch of slips as organisers print it and residents use it up."""

import io
import re
from datetime import timedelta

import pypdfium2
import pytest
import zxingcpp

from activities import codes
from activities.codes import Code, CodeKind
from tanpuhui import clock
from tanpuhui.csvtext import parse_sheet
from tanpuhui.staff import Organisation, Role
from tests.browser import Browser, browser
from tests.world import COMMUNITY, OTHER_COMMUNITY, World


def batch(world: World, copies: int = 30) -> Code:
    """Slips for half a kilogram of glass each."""
    site = world.site("recycle_glass", "recycle_paper", name="静安寺回收点", kind="recycling_point")
    return codes.issue_code(
        world.house,
        world.organiser,
        site.id,
        kind=CodeKind.SLIPS,
        copies=copies,
        action_kind="recycle_glass",
        quantity_milli=500,
    )


def pdf(me: Browser, code: Code, first: int = 1) -> bytes:
    answer = me.client.get(f"/console/codes/{code.id}/slips-{first}.pdf")
    assert answer.mimetype == "application/pdf"
    return answer.get_data()


def listed(me: Browser, code: Code) -> list[list[str]]:
    answer = me.client.get(f"/console/codes/{code.id}/slips.csv")
    assert answer.mimetype == "text/csv"
    return [cells for _line, cells in parse_sheet("slips.csv", answer.get_data()).lines]


def test_an_organiser_issues_a_batch_and_sees_how_much_of_it_is_used(world: World) -> None:
    site = world.site("recycle_glass", "recycle_paper")
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{site.id}/codes/new")
    page = me.send("/codes/slips", action_kind="recycle_glass", quantity="0.5", copies="3")
    for said in ("一次性小票 · 玻璃回收", "0.5", "0 / 3 张"):
        assert said in page
    found = re.search(r"/console/codes/(\d+)/slips\.csv", page)
    assert found
    token = codes.slip_token(world.house.settings, int(found[1]), 2)
    resident = browser(world, world.resident())
    page = resident.get(f"/s/{token}")
    assert "码上写明：0.5" in page
    assert 'name="quantity"' not in page
    resident.send("/s/")
    assert resident.path.startswith("/me/actions/")
    assert "1 / 3 张" in me.get(f"/console/sites/{site.id}")
    other = browser(world, world.resident())
    assert "每张只能用一次" in other.get(f"/s/{token}")
    assert other.status == 409


def test_without_a_quantity_the_resident_says_how_much(world: World) -> None:
    site = world.site("recycle_glass")
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{site.id}/codes/new")
    me.send("/codes/slips", action_kind="recycle_glass", quantity="", copies="1")
    token = codes.slip_token(world.house.settings, int(me.page.request.args["fresh"]), 1)
    resident = browser(world, world.resident())
    assert 'name="quantity"' in resident.get(f"/s/{token}")
    resident.send("/s/", quantity="1.2")
    assert resident.path.startswith("/me/actions/")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"copies": "0"}, "1 到 2000"),
        ({"copies": "2001"}, "1 到 2000"),
        ({"copies": "many"}, "1 到 2000"),
        ({"copies": "٣"}, "1 到 2000"),
        ({"quantity": "heavy"}, "有效的数字"),
        ({"quantity": "0.0001"}, "三位小数"),
        ({"quantity": "31"}, "超出了"),
        ({"action_kind": ""}, "先选定一种行为"),
        ({"action_kind": "flying"}, "这个点位可以记录的行为"),
        ({"valid_until": "soon"}, "请填写日期"),
        ({"valid_until": "2020-01-01"}, "今天或以后"),
    ],
)
def test_a_wrong_batch_is_refused_in_its_field_and_kept(
    world: World, wrong: dict[str, str], said: str
) -> None:
    site = world.site("recycle_glass")
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{site.id}/codes/new")
    page = me.send(
        "/codes/slips", **{"action_kind": "recycle_glass", "quantity": "0.5", "copies": "7", **wrong}
    )
    assert me.status == 422
    assert said in page
    assert 'aria-invalid="true"' in page
    with world.house.db.reading_session() as session:
        assert not codes.codes_of(session, site.id)


def test_sheets_and_list_say_the_same_and_are_the_same_each_time(world: World) -> None:
    code = batch(world)
    me = browser(world, world.organiser)
    first, rows = pdf(me, code), listed(me, code)
    world.scan(world.resident(), codes.slip_token(world.house.settings, code.id, 1))
    assert (pdf(me, code), listed(me, code)) == (first, rows)
    assert [row[0] for row in rows] == [str(serial) for serial in range(1, 31)]
    with pypdfium2.PdfDocument(io.BytesIO(first)) as document:
        assert len(document) == 2
        found = [
            read.text for page in document for read in zxingcpp.read_barcodes(page.render(scale=3).to_pil())
        ]
    assert sorted(found) == sorted(row[2] for row in rows)
    for _serial, typed, address in rows:
        token = codes.read_token(world.house.settings, typed)
        assert token == codes.read_token(world.house.settings, address)
        assert token.number == code.id


def test_a_large_batch_is_printed_in_parts(world: World) -> None:
    code = batch(world, 250)
    me = browser(world, world.organiser)
    page = me.get(f"/console/sites/{code.site_id}")
    assert f"/console/codes/{code.id}/slips-1.pdf" in page
    with pypdfium2.PdfDocument(io.BytesIO(pdf(me, code, 241))) as document:
        assert len(document) == 1
        text = document[0].get_textpage().get_text_bounded()
    assert "第 250 张" in text.replace("\xa0", " ")
    for first in (0, 251, 10**12):
        assert me.client.get(f"/console/codes/{code.id}/slips-{first}.pdf").status_code == 404


def test_a_batch_is_withdrawn_in_one_tap(world: World) -> None:
    code = batch(world)
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{code.site_id}")
    page = me.send(f"/console/codes/{code.id}/revoke")
    assert me.path == f"/console/sites/{code.site_id}"
    assert "已停用" in page
    resident = browser(world, world.resident())
    assert "已停用" in resident.get(f"/s/{codes.slip_token(world.house.settings, code.id, 5)}")
    for what in ("slips-1.pdf", "slips.csv"):
        assert me.client.get(f"/console/codes/{code.id}/{what}").status_code == 404


def test_slips_end_with_their_last_day(world: World) -> None:
    site = world.site("recycle_glass")
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{site.id}/codes/new")
    me.send("/codes/slips", copies="1", valid_until=clock.today().isoformat())
    with world.house.db.reading_session() as session:
        (code,) = codes.codes_of(session, site.id)
    token = codes.slip_token(world.house.settings, code.id, 1)
    assert code.valid_until == clock.day_bounds(clock.today())[1]
    resident = browser(world, world.resident())
    resident.get(f"/s/{token}")
    assert resident.status == 200
    with clock.pretending(code.valid_until + timedelta(seconds=1)):
        assert "已过有效期" in browser(world).get(f"/s/{token}")


def test_others_neither_print_nor_withdraw_it(world: World) -> None:
    code = batch(world)
    with world.house.db.session() as session:
        school = Organisation(name="学校", division_code=COMMUNITY)
        session.add(school)
    for other in (
        world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY),
        world.colleague(Role.ORGANISER, organisation=school.id),
    ):
        me = browser(world, other)
        for what in ("slips-1.pdf", "slips.csv"):
            assert me.client.get(f"/console/codes/{code.id}/{what}").status_code == 403
        me.get("/console")
        token = re.search(r'name="csrf_token" value="([^"]+)"', me.page.text)[1]  # type: ignore[index]
        form = {"csrf_token": token, "reason": "整批停用"}
        assert me.client.post(f"/console/codes/{code.id}/revoke", data=form).status_code == 403
        assert (
            me.client.post(
                f"/console/sites/{code.site_id}/codes/slips", data={**form, "copies": "3"}
            ).status_code
            == 403
        )
    with world.house.db.reading_session() as session:
        assert [found.revoked_at for found in codes.codes_of(session, code.site_id)] == [None]
