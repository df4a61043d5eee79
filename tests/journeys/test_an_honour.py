"""An honour in a browser: nominated at a desk, accepted on a phone, decided by another officer, checked by a stranger, revoked."""

import io
import re

import pypdfium2
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.journeys.conftest import DESK, PHONE, NewPage, Served, go, picture
from tests.journeys.test_first_credit import PASSWORD, join, read

pytestmark = pytest.mark.browser


def come_in(page: Page, link: str, name: str) -> None:
    """A member of staff chooses name and password by a one-time link."""
    page.goto(link)
    page.fill("[name=name]", name)
    page.fill("[name=password]", PASSWORD)
    page.click("form button[type=submit], form button:not([type])")
    expect(page.get_by_role("navigation", name="主导航")).to_be_visible()


def test_an_honour_from_nomination_to_revocation(served: Served, new_page: NewPage) -> None:
    nominator, officer = new_page(DESK), new_page(DESK)
    come_in(nominator, served.printed(r"(http\S+/staff/first/\S+)"), "静安碳普惠")
    nominator.goto(f"{served.base}/console/staff")
    nominator.select_option("[name=role]", "officer")
    nominator.select_option("[name=scope]", "division:310106")
    nominator.get_by_role("button", name="生成一次性链接").click()
    come_in(officer, nominator.locator("code", has_text="/staff/first/").inner_text(), "生态环境局甲")

    go(officer, "荣誉评定")
    officer.fill("[name=title]", "低碳之星")
    officer.fill("[name=purpose]", "长期做绿色小事、并带动邻居一起做的居民")
    officer.get_by_role("button", name="设一项荣誉").click()
    expect(officer.get_by_text("低碳之星").first).to_be_visible()

    go(nominator, "荣誉提名")
    nominator.get_by_role("link", name="提名", exact=True).click()
    nominator.get_by_role("radio", name="低碳之星").check()
    nominator.get_by_role("radio", name="一位居民").check()
    nominator.fill("[name=reason]", "每天骑车上班，教楼里的邻居使用会员码。")
    nominator.fill("[name=what-0]", "在登记台帮忙六次")
    nominator.fill("[name=source-0]", "社区登记台的值班表")
    picture(nominator, "honour-nominating")
    nominator.get_by_role("button", name="提交提名").click()
    invitation = nominator.locator("code", has_text="/honours/accept/").inner_text()
    shown = nominator.locator(".qr").screenshot()
    assert read(Image.open(io.BytesIO(shown))) == invitation
    picture(nominator, "honour-invitation")

    phone = new_page(PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    phone.goto(invitation)
    join(phone, served, "13812340019")
    expect(phone.get_by_role("heading", name="有人提名您")).to_be_visible()
    phone.fill("[name=name]", "爱骑车的小林")
    phone.get_by_role("checkbox", name="也列入公开的荣誉名单").check()
    picture(phone, "honour-accepting")
    phone.get_by_role("button", name="同意公开，接受提名").click()
    expect(phone.get_by_text("等待评定").first).to_be_visible()
    picture(phone, "honour-accepted")

    officer.goto(f"{served.base}/bureau/honours")
    picture(officer, "honour-queue")
    officer.get_by_role("link", name="低碳之星").click()
    picture(officer, "honour-deciding")
    officer.get_by_role("button", name="授予", exact=True).click()
    expect(officer.get_by_text("有效", exact=True)).to_be_visible()

    phone.goto(f"{served.base}/me/inbox")
    phone.get_by_role("link", name="您获得了一项荣誉").click()
    picture(phone, "honour-letter")
    phone.get_by_role("link", name="看我的荣誉").click()
    picture(phone, "honour-mine")
    paper = phone.get_by_role("link", name="证书 PDF").get_attribute("href")
    poster = phone.get_by_role("link", name="海报图片").get_attribute("href")
    certificate, image = (phone.request.get(f"{served.base}{href}") for href in (paper, poster))
    sheet = pypdfium2.PdfDocument(certificate.body())[0].render(scale=2).to_pil()
    address = read(Image.open(io.BytesIO(image.body())))
    assert read(sheet) == address

    stranger = new_page(PHONE)
    stranger.goto(f"{served.base}/honours")
    expect(stranger.get_by_role("link", name="爱骑车的小林")).to_be_visible()
    picture(stranger, "honours-list")
    stranger.fill("[name=number]", address.rsplit("/", 1)[1].lower())
    stranger.get_by_role("button", name="核对").click()
    expect(stranger.get_by_text("真实有效", exact=False)).to_be_visible()
    assert stranger.url == address
    picture(stranger, "honour-checked")

    officer.fill("[name=reason]", "值班表核对后，事由不实。")
    officer.locator("summary", has_text="撤销荣誉").click()
    officer.get_by_role("button", name="确认撤销").click()
    expect(officer.get_by_text("不能恢复", exact=False).first).to_be_visible()
    picture(officer, "honour-revoked-desk")
    stranger.reload()
    expect(stranger.get_by_text("已经撤销", exact=False)).to_be_visible()
    expect(stranger.get_by_text("值班表核对后，事由不实。")).to_be_visible()
    picture(stranger, "honour-revoked")
    assert phone.request.get(f"{served.base}{paper}").status == 404

    phone.goto(f"{served.base}/me/honours")
    phone.locator("summary", has_text="不再公开").click()
    phone.get_by_role("button", name="确认，不再公开").click()
    expect(phone.get_by_text("名字已删除", exact=False)).to_be_visible()
    picture(phone, "honour-hidden")
    stranger.reload()
    expect(stranger.get_by_role("heading", name="不公开姓名")).to_be_visible()
    assert not re.search("爱骑车的小林", stranger.content())
