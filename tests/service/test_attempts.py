"""Why was I not credited? Refused scans, kept for their resident for a while."""

from datetime import timedelta
from typing import Any

import pytest

from activities import attempts, codes, helping, members, sites
from activities.attempts import Attempt
from activities.codes import CodeKind
from activities.sites import SiteStatus
from tanpuhui import clock, feedback, signing
from tanpuhui.errors import TanpuhuiError
from tanpuhui.people import Resident, leave
from tanpuhui.privacy import keep_to_periods
from tanpuhui.signing import Form, Token
from tests.browser import browser
from tests.world import World


def refused(world: World, resident: Resident, code: str, **more: Any) -> str:
    with pytest.raises(TanpuhuiError) as refusal:
        world.scan(resident, code, **more)
    return refusal.value.code


def attempts_of(world: World, resident: Resident) -> list[Attempt]:
    with world.house.db.reading() as connection:
        return list(attempts.attempts_of(connection, resident.id))


def test_a_refusal_is_kept_with_its_reason(world: World) -> None:
    resident, other = world.residents(2)
    code = world.code("clean_plate", name="大宁食堂")
    world.scan(resident, code)
    assert refused(world, resident, code) == "too_soon"
    (attempt,) = attempts_of(world, resident)
    assert attempt.site.name == "大宁食堂"
    assert attempt.refusal.code == "too_soon"
    assert str(attempt.refusal)  # its sentence can be filled
    assert attempts_of(world, other) == []


def test_trying_again_and_again_fills_nothing(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    world.scan(resident, code)
    for _ in range(5):
        refused(world, resident, code)
    (attempt,) = attempts_of(world, resident)
    assert attempt.row.times == 5
    assert attempt.row.last_at > attempt.row.first_at


def test_what_is_mended_in_the_form_is_not_kept(world: World) -> None:
    resident, code = world.resident(), world.code("clothing_reuse", "recycle_glass")
    assert refused(world, resident, code) == "kind_required"
    assert refused(world, resident, code, kind="clothing_reuse") == "quantity_missing"
    assert refused(world, resident, code, kind="clothing_reuse", quantity="99") == "quantity_out_of_range"
    assert attempts_of(world, resident) == []


def test_a_code_that_nobody_issued_leaves_no_trace(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    assert refused(world, resident, code[:-1] + ("A" if code[-1] != "A" else "B")) == "code_invalid"
    assert attempts_of(world, resident) == []


def test_refusals_for_different_reasons_stand_apart_the_latest_first(world: World) -> None:
    resident = world.resident()
    site = world.site("clean_plate")
    code = world.code_at(site)
    world.scan(resident, code)
    refused(world, resident, code)
    sites.set_status(world.house, world.organiser, site.id, SiteStatus.CLOSED, "放假")
    refused(world, resident, code)
    assert [attempt.refusal.code for attempt in attempts_of(world, resident)] == ["site_closed", "too_soon"]


def test_a_refusal_can_be_looked_up_for_thirty_days_and_is_then_deleted(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    world.scan(resident, code)
    refused(world, resident, code)
    with clock.pretending(clock.now() + timedelta(days=29)):
        assert len(attempts_of(world, resident)) == 1
    later = clock.now() + timedelta(days=31)
    with clock.pretending(later):
        assert attempts_of(world, resident) == []
    with world.house.db.transaction() as connection:
        keep_to_periods(world.house, connection, later)
    assert attempts_of(world, resident) == []


def test_leaving_deletes_them(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate")
    world.scan(resident, code)
    refused(world, resident, code)
    leave(world.house, resident.id)
    assert attempts_of(world, resident) == []


# --- the page ----------------------------------------------------------------------------------------------


def test_the_page_says_where_why_and_what_to_do_in_both_languages(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate", name="大宁食堂")
    world.scan(resident, code)
    refused(world, resident, code)
    refused(world, resident, code)
    page = browser(world, resident).get("/me/attempts")
    for words in ("大宁食堂", "距离上一次“光盘行动”记录时间太近", "稍后再扫一次即可。", "当天试了 2 次"):
        assert words in page
    english = browser(world, resident, "en").get("/me/attempts")
    assert "Clean plate" in english
    assert "tried 2 times that day" in english


def test_the_page_of_who_was_never_refused_leads_on(world: World) -> None:
    page = browser(world, world.resident()).get("/me/attempts")
    assert "没有被拒绝的扫码" in page
    assert "/me/statement" in page


def test_a_refusal_leads_to_the_page(world: World) -> None:
    resident = world.resident()
    site = world.site("clean_plate")
    sites.set_status(world.house, world.organiser, site.id, SiteStatus.CLOSED, "放假")
    me = browser(world, resident)
    assert "/me/attempts" in me.get(f"/s/{world.code_at(site)}")
    assert "/me/attempts" in me.get("/me/statement")
    assert 'name="phone"' in browser(world).get("/me/attempts")


def test_one_tap_leads_to_an_appeal_that_the_bureau_reads(world: World) -> None:
    resident, code = world.resident(), world.code("clean_plate", name="大宁食堂")
    world.scan(resident, code)
    refused(world, resident, code)
    (attempt,) = attempts_of(world, resident)
    me = browser(world, resident)
    assert f"attempt={attempt.row.id}" in me.get("/me/attempts")
    me.get(f"/feedback?attempt={attempt.row.id}&kind=complaint")
    me.send("/feedback", kind="complaint", text="我确实是第二顿饭")
    with world.house.db.reading_session() as session:
        (appeal,) = feedback.own(session, resident.id)
    desk = browser(world, world.officer).get(f"/bureau/feedback/{appeal.id}")
    for words in ("大宁食堂", "too_soon", "我确实是第二顿饭"):
        assert words in desk
    stranger = browser(world, world.resident())
    stranger.get(f"/feedback?attempt={attempt.row.id}")
    assert stranger.status == 404


# --- whatever the way -----------------------------------------------------------------------------------------


def test_a_refusal_on_opening_a_code_is_kept_for_who_is_logged_in(world: World) -> None:
    """Most people never get as far as the button: what they scanned was closed, withdrawn, or used up."""
    resident, site = world.resident(), world.site("clean_plate")
    issued = codes.issue_code(world.house, world.organiser, site.id)
    address = f"/s/{codes.token_of(world.house.settings, issued.id)}"
    me = browser(world, resident)
    me.get(address)
    assert attempts_of(world, resident) == []
    sites.set_status(world.house, world.organiser, site.id, SiteStatus.CLOSED, "放假")
    me.get(address)
    me.get(address)
    browser(world).get(address)  # nobody's
    sites.set_status(world.house, world.organiser, site.id, SiteStatus.OPEN, "开了")
    codes.revoke_code(world.house, world.organiser, issued.id, "海报破损")
    me.get(address)
    kept = attempts_of(world, resident)
    assert [(one.refusal.code, one.row.times) for one in kept] == [("code_revoked", 1), ("site_closed", 2)]
    assert "/feedback?attempt=" in me.get("/me/attempts").replace("&amp;", "&")


def test_a_slip_that_was_used_is_kept_on_opening_it(world: World) -> None:
    first, second = world.residents(2)
    slips = codes.issue_code(
        world.house,
        world.organiser,
        world.site("clean_plate").id,
        kind=CodeKind.SLIPS,
        action_kind="clean_plate",
        copies=1,
    )
    token = codes.slip_token(world.house.settings, slips.id, 1)
    world.scan(first, token)
    browser(world, second).get(f"/s/{token}")
    assert [one.refusal.code for one in attempts_of(world, second)] == ["slip_used"]
    assert attempts_of(world, first) == []


def test_a_receipt_that_was_used_is_kept(world: World) -> None:
    first, second = world.residents(2)
    scale = codes.issue_code(
        world.house,
        world.organiser,
        world.site("recycle_glass").id,
        kind=CodeKind.MEASURED,
        action_kind="recycle_glass",
    )
    key = signing.keyring(world.house.settings).partner_key(scale.id)
    token = signing.sign_measured(key, 0, Token(Form.MEASURED, scale.id, (1000, 5)))
    world.scan(first, token)
    assert refused(world, second, token) == "slip_used"
    assert [one.refusal.code for one in attempts_of(world, second)] == ["slip_used"]


def test_what_a_helper_could_not_record_is_kept_for_the_member(world: World) -> None:
    """Also that the code they showed had been replaced: they would wait for the points in vain."""
    resident, site = world.resident(), world.site("clean_plate")
    card = members.own_card(world.house, resident.id)
    old = members.token_of(world.house.settings, card.number)

    def record(member: str, key: str) -> str:
        try:
            helping.record_for(world.house, world.organiser, site.id, key=key, member=member)
        except TanpuhuiError as refusal:
            return refusal.code
        return "recorded"

    assert record(old, "1") == "recorded"
    assert record(old, "2") == "too_soon"
    fresh = members.replace_own(world.house, resident.id, card.number)
    assert record(old, "3") == "card_revoked"
    sites.set_status(world.house, world.organiser, site.id, SiteStatus.CLOSED, "检修")
    assert record(members.token_of(world.house.settings, fresh.number), "4") == "site_closed"
    kept = [one.refusal.code for one in attempts_of(world, resident)]
    assert kept == ["site_closed", "card_revoked", "too_soon"]
    assert "这张会员码已停用。" in browser(world, resident).get("/me/attempts")
