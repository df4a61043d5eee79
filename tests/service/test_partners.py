"""A scale is registered, gets its key once, and signs what residents scan."""

import re
import runpy
from pathlib import Path

from activities import codes
from activities.codes import CodeKind
from tanpuhui import signing
from tanpuhui.config import Settings
from tanpuhui.staff import Organisation, Role
from tests.browser import Browser, browser
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

sign_receipt = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "examples" / "sign_receipt.py"))[
    "sign_receipt"
]


def registered(world: World, me: Browser) -> tuple[int, bytes]:
    """A new scale for clothes; its number and key as its page shows them."""
    site = world.site("clothing_reuse", kind="clothes_bin", name="旧衣回收箱")
    me.get(f"/console/sites/{site.id}/codes/new")
    return shown(me.send("/codes/measured", action_kind="clothing_reuse"))


def shown(page: str) -> tuple[int, bytes]:
    number = re.search(r"<dt>码号</dt><dd><code>(\d+)<", page)
    key = re.search(r"<code>([0-9a-f]{64})<", page)
    assert number
    assert key
    return int(number[1]), bytes.fromhex(key[1])


def test_the_key_is_shown_once_and_signs_what_a_resident_scans(world: World) -> None:
    me = browser(world, world.organiser)
    number, key = registered(world, me)
    assert me.path == f"/console/codes/{number}/key"
    assert "只显示这一次" in me.page.text
    again = me.get(me.path)
    assert key.hex() not in again
    assert "之后不再显示" in again
    token = sign_receipt(key, 0, number, 2500, 1)
    resident = browser(world, world.resident())
    page = resident.get(f"/s/{token}")
    assert "码上写明：2.5" in page
    assert 'name="quantity"' not in page
    page = resident.send("/s/")
    assert resident.path.startswith("/me/actions/")
    assert "称重或合作方数据" in page
    other = browser(world, world.resident())
    other.get(f"/s/{token}")
    assert other.status == 409


def test_another_browser_does_not_see_the_key(world: World) -> None:
    number, key = registered(world, browser(world, world.organiser))
    elsewhere = browser(world, world.organiser)
    assert key.hex() not in elsewhere.get(f"/console/codes/{number}/key")
    assert elsewhere.status == 200


def test_a_receipt_outside_the_limits_says_so(world: World) -> None:
    number, key = registered(world, browser(world, world.organiser))
    resident = browser(world, world.resident())
    resident.get(f"/s/{sign_receipt(key, 0, number, 31_000, 1)}")
    assert "数量应在" in resident.send("/s/")
    assert resident.status == 422


def test_a_scale_measures_one_kind_that_its_site_credits(world: World) -> None:
    site = world.site("clothing_reuse")
    me = browser(world, world.organiser)
    for wrong in ("", "clean_plate"):
        me.get(f"/console/sites/{site.id}/codes/new")
        assert "请选择这个点位可以记录的行为" in me.send("/codes/measured", action_kind=wrong)
        assert me.status == 422


def test_a_lost_key_is_replaced_and_the_old_one_ends(world: World) -> None:
    me = browser(world, world.organiser)
    number, key = registered(world, me)
    with world.house.db.reading_session() as session:
        code = session.get_one(codes.Code, number)
    me.get(f"/console/sites/{code.site_id}")
    fresh, fresh_key = shown(me.send(f"/console/codes/{number}/reissue", reason="密钥泄露"))
    assert (fresh, fresh_key) != (number, key)
    resident = browser(world, world.resident())
    assert "已停用" in resident.get(f"/s/{sign_receipt(key, 0, number, 2500, 1)}")
    assert "码上写明：2.5" in resident.get(f"/s/{sign_receipt(fresh_key, 0, fresh, 2500, 1)}")


def test_others_do_not_register_scales_nor_see_their_pages(world: World) -> None:
    number, _key = registered(world, browser(world, world.organiser))
    poster = codes.issue_code(world.house, world.organiser, world.site("clean_plate").id)
    with world.house.db.session() as session:
        school = Organisation(name="学校", division_code=COMMUNITY)
        session.add(school)
        site_id = session.get_one(codes.Code, number).site_id
    for other in (
        world.colleague(Role.ORGANISER, division=OTHER_COMMUNITY),
        world.colleague(Role.ORGANISER, organisation=school.id),
    ):
        me = browser(world, other)
        for path in (f"/console/codes/{number}/key", f"/console/sites/{site_id}/codes/new"):
            me.get(path)
            assert me.status == 403
    me = browser(world, world.organiser)
    me.get(f"/console/codes/{poster.id}/key")
    assert me.status == 404


def test_the_key_follows_that_of_the_deployment(world: World) -> None:
    site = world.site("clothing_reuse")
    code = codes.issue_code(
        world.house, world.organiser, site.id, kind=CodeKind.MEASURED, action_kind="clothing_reuse"
    )
    before, during, after = (
        signing.keyring(Settings(env="test", secret_key=b"k" * 40, code_keys=keys))
        for keys in ("0", "1,0", "1")
    )
    old = sign_receipt(before.partner_key(code.id), 0, code.id, 2500, 1)
    new = sign_receipt(during.partner_key(code.id), 1, code.id, 2500, 2)
    assert old[:2] != new[:2]
    assert during.read(old).more == (2500, 1)
    assert during.read(new).more == after.read(new).more == (2500, 2)
