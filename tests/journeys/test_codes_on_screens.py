"""The codes that screens show are decoded on a phone, a tablet and a large screen, light, dark and in the elder view."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from sqlmodel import select

from activities import codes
from activities.codes import CodeKind
from activities.sites import Site
from tanpuhui.sessions import Principal
from tanpuhui.web.views import VIEW_COOKIE
from tests.journeys.conftest import PHONE, NewPage
from tests.journeys.district import District, demo_district
from tests.readers import assert_read_in_every_way

pytestmark = pytest.mark.browser

LARGE = {"width": 1920, "height": 1080}


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    """A small district."""
    with demo_district(tmp_path_factory.mktemp("codes"), residents=5, days=2) as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, LARGE], ids=["phone", "large"])
def test_a_rotating_code_is_read(district: District, new_page: NewPage, size: Any, scheme: str) -> None:
    with district.house.db.reading_session() as session:
        site = session.exec(select(Site).where(Site.kind == "canteen")).first()
    assert site is not None
    staff = Principal("staff", district.people["staff"], district.people["staff"])
    code = codes.issue_code(district.house, staff, site.id, kind=CodeKind.ROTATING)
    page = new_page(size, device_scale_factor=2, color_scheme=scheme)
    page.context.add_cookies(district.cookies("staff"))  # type: ignore[arg-type]
    page.goto(f"{district.base}/console/codes/{code.id}/screen")
    assert_decoded(page.screenshot(), f"{district.base}/s/")


@pytest.mark.parametrize("view", ["", "elder"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_members_code_is_read(district: District, new_page: NewPage, view: str, scheme: str) -> None:
    page = new_page(PHONE, device_scale_factor=2, color_scheme=scheme)
    page.context.add_cookies(district.cookies("resident"))  # type: ignore[arg-type]
    if view:
        page.context.add_cookies([{"name": VIEW_COOKIE, "value": view, "url": district.base}])
    page.goto(f"{district.base}/me/code")
    page.locator(".qr svg").scroll_into_view_if_needed()
    assert_decoded(page.screenshot(), f"{district.base}/s/")


def assert_decoded(picture: bytes, begins: str) -> None:
    image = Image.open(io.BytesIO(picture))
    (code,) = zxingcpp.read_barcodes(image)
    assert code.text.startswith(begins)
    assert_read_in_every_way(image, code.text, level="M")
