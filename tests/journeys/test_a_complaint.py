"""A complaint in a browser: written on a phone, answered at a desk, read in the inbox, and closed."""

import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.journeys.conftest import DESK, PHONE, NewPage, Served, go, picture
from tests.journeys.test_first_credit import join, read, set_up_a_canteen

pytestmark = pytest.mark.browser


def test_a_complaint_is_written_answered_read_and_closed(served: Served, new_page: NewPage) -> None:
    officer = new_page(DESK)
    printed = read(Image.open(io.BytesIO(set_up_a_canteen(officer, served))))
    phone = new_page(PHONE, is_mobile=True, has_touch=True)
    phone.goto(printed)
    phone.get_by_role("button", name="登录并记录").click()
    join(phone, served, "13812340007")
    phone.get_by_role("button", name="确认记录").click()
    phone.goto(printed)
    phone.get_by_role("button", name="确认记录").click()  # too soon: refused, with a way to say so
    phone.get_by_role("link", name="不该拒绝？告诉我们").click()
    expect(phone.get_by_text("临汾社区食堂")).to_be_visible()
    expect(phone.get_by_role("radio", name="投诉")).to_be_checked()
    phone.fill("[name=text]", "隔了两个小时再来吃饭，\n还是说太近。")
    picture(phone, "feedback-written")
    phone.get_by_role("button", name="提交").click()
    expect(phone.get_by_text("已经收到", exact=False)).to_be_visible()
    number = phone.get_by_text("编号 TS-", exact=False).inner_text().removeprefix("编号 ")
    thread = phone.url

    officer.goto(f"{served.base}/bureau")
    go(officer, "来信")
    officer.get_by_role("link", name=number).click()
    expect(officer.get_by_text("隔了两个小时再来吃饭", exact=False)).to_be_visible()
    assert "13812340007" not in officer.content()
    officer.fill("[name=text]", "两次光盘之间要隔三个小时，请晚饭时再扫。")
    picture(officer, "feedback-answering")
    officer.get_by_role("button", name="答复").click()
    expect(officer.get_by_text("已答复").first).to_be_visible()

    phone.goto(f"{served.base}/me")
    expect(phone.get_by_text("2 条未读消息").first).to_be_attached()  # the welcome is the other
    phone.get_by_role("link", name="收件箱").click()
    picture(phone, "inbox")
    phone.get_by_role("link", name="您的投诉有答复了").click()
    phone.get_by_role("link", name="看答复").click()
    assert phone.url == thread
    expect(phone.get_by_text("请晚饭时再扫", exact=False)).to_be_visible()
    picture(phone, "feedback-answered")
    phone.get_by_role("button", name="解决了").click()
    expect(phone.get_by_text("办结。", exact=False)).to_be_visible()
    expect(phone.get_by_text("1 条未读消息").first).to_be_attached()
    officer.goto(f"{served.base}/bureau/feedback?state=closed")
    expect(officer.get_by_role("link", name=number)).to_be_visible()
