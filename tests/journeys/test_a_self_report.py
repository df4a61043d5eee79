"""Self-reports on a phone: an officer opens them; walking without a photo, one's own cup with one, and the same photo again."""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.journeys.conftest import DESK, PHONE, NewPage, Served, go, picture
from tests.journeys.test_first_credit import join, read, set_up_a_canteen
from tests.unit.test_pictures import file_of, scene

pytestmark = pytest.mark.browser


def test_walking_and_a_cup_are_reported(served: Served, new_page: NewPage, tmp_path: Path) -> None:
    officer = new_page(DESK)
    printed = read(Image.open(io.BytesIO(set_up_a_canteen(officer, served))))
    officer.goto(f"{served.base}/bureau")
    go(officer, "自报")
    expect(officer.get_by_text("现在关闭")).to_be_visible()
    for value in ("walk", "own_cup", "clean_plate"):
        officer.check(f"[value={value}]")
    officer.fill("[name=reason]", "试行")
    officer.get_by_role("button", name="保存").click()
    expect(officer.get_by_text("现在开放")).to_be_visible()
    picture(officer, "self-report-desk")

    phone = new_page(PHONE, is_mobile=True, has_touch=True)
    phone.goto(printed)
    phone.get_by_role("button", name="登录并记录").click()
    join(phone, served, "13812340008")
    phone.goto(served.base)
    phone.get_by_role("link", name="没有码？自己报一次").click()
    picture(phone, "self-report-kinds")
    walking = phone.locator("a.row[href*='kind=walk']")
    walking.click()
    phone.fill("[name=quantity]", "8000")
    picture(phone, "self-report-walk")
    phone.get_by_role("button", name="确认记录").click()
    expect(phone.get_by_text("计入自报的合计", exact=False)).to_be_visible()
    picture(phone, "self-report-result")

    photo, again = tmp_path / "cup.jpg", tmp_path / "again.webp"
    photo.write_bytes(file_of(scene(3)))
    again.write_bytes(file_of(scene(3).resize((500, 375)), "WEBP", quality=60))
    phone.goto(f"{served.base}/declare?kind=own_cup")
    phone.get_by_text("愿意附一张照片").click()
    phone.set_input_files("[name=photo]", photo)
    picture(phone, "self-report-photo")
    phone.get_by_role("button", name="确认记录").click()
    expect(phone.get_by_text("只有审核的人看得到", exact=False)).to_be_visible()
    picture(phone, "self-report-waits")
    phone.get_by_role("link", name="看我的照片").click()

    other = new_page(PHONE, is_mobile=True, has_touch=True)
    other.goto(printed)
    other.get_by_role("button", name="登录并记录").click()
    join(other, served, "13812340009")
    other.goto(f"{served.base}/declare?kind=own_cup")
    other.get_by_text("愿意附一张照片").click()
    other.set_input_files("[name=photo]", again)
    other.get_by_role("button", name="确认记录").click()
    expect(other.get_by_text("几乎一样", exact=False).first).to_be_visible()
    picture(other, "self-report-seen-before")
    other.get_by_role("button", name="确认记录").click()
    expect(other.get_by_text("计入自报的合计", exact=False)).to_be_visible()
