"""Static files are kept for a year, pages travel compressed, and the app finds what it needs to live on a phone."""

import gzip
import json
import re
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlmodel import col, select
from werkzeug.test import TestResponse

from activities.actions import Action
from tanpuhui import clock
from tanpuhui.people import Resident
from tanpuhui.sessions import new_session
from tanpuhui.web import assets, offline
from tanpuhui.web.assets import asset
from tanpuhui.web.auth import COOKIES
from tests.browser import browser
from tests.world import World

sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
GZIP = {"Accept-Encoding": "gzip, deflate, br"}
PLAIN = {"Accept-Encoding": "identity"}
SHELL = ("/scan", "/offline", "/waiting")


def files_of(page: str) -> list[str]:
    """The static files that a page names."""
    return re.findall(r'(?:src|href)="(/static/[^"]+)"', page)


# --- static files ------------------------------------------------------------------------------------------


@sqlite
def test_a_file_under_its_own_address_is_kept_for_a_year(world: World) -> None:
    client = world.client()
    addresses = {name for path in ("/", "/login", *SHELL) for name in files_of(client.get(path).text)}
    assert len(addresses) >= 7
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert re.match(r"/static/[0-9a-f]{12}/", address)


@sqlite
@pytest.mark.parametrize("address", ["/static/app.css", "/static/000000000000/app.css"])
def test_any_other_address_of_a_file_is_asked_for_again(world: World, address: str) -> None:
    """An old page may still name an old content; it must not keep the new one under the old name for a year."""
    client = world.client()
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"
    again = client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@sqlite
def test_a_file_comes_compressed_to_who_accepts_it(world: World) -> None:
    client = world.client()
    plain, packed = (client.get("/static/app.css", headers=asked) for asked in (PLAIN, GZIP))
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["ETag"] != plain.headers["ETag"]
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert int(answer.headers["Content-Length"]) == len(answer.data)
        assert answer.mimetype == "text/css"
    refused = client.get("/static/app.css", headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in refused.headers
    head = client.head("/static/app.css", headers=GZIP)
    assert (head.data, head.headers["Content-Length"]) == (b"", packed.headers["Content-Length"])


@sqlite
def test_pictures_are_small_as_they_are(world: World) -> None:
    answer = world.client().get("/static/icons/app-192.png", headers=GZIP)
    assert answer.mimetype == "image/png"
    assert "Content-Encoding" not in answer.headers


@sqlite
@pytest.mark.parametrize(
    "name",
    [
        "",
        "nothing.css",
        "../assets.py",
        "%2e%2e/assets.py",
        "vendor",
        "vendor/qr/",
        "..%5cassets.py",
        "a" * 3000,
    ],
)
def test_only_files_of_the_folder_are_served(world: World, name: str) -> None:
    assert world.client().get(f"/static/{name}").status_code == 404


@sqlite
def test_scripts_are_allowed_from_here_alone(world: World) -> None:
    policy = world.client().get("/").headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "camera=(self)" in world.client().get("/scan").headers["Permissions-Policy"]


# --- pages -------------------------------------------------------------------------------------------------


@sqlite
def test_a_page_comes_compressed_to_who_accepts_it(world: World) -> None:
    client = world.client()
    plain, packed = (client.get("/factors", headers=asked) for asked in (PLAIN, GZIP))
    assert gzip.decompress(packed.data).decode().startswith("<!doctype html>")
    assert len(packed.data) < len(plain.data) / 3
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert int(answer.headers["Content-Length"]) == len(answer.data)
        assert answer.headers["Cache-Control"] == "no-store"
    missing = client.get("/nowhere", headers=GZIP)
    assert missing.status_code == 404
    assert missing.headers["Content-Encoding"] == "gzip"


@sqlite
def test_the_length_of_a_page_tells_little(world: World) -> None:
    """The same page has many lengths, so that a guess that fits cannot be told by a byte that is saved."""
    client = world.client()
    pages = [client.get("/privacy", headers=GZIP).data for _ in range(12)]
    assert len({gzip.decompress(page) for page in pages}) == 1
    assert len({len(page) for page in pages}) > 4


@sqlite
def test_the_token_of_a_form_is_signed_anew(world: World) -> None:
    """A token that stayed the same could be guessed piece by piece from the lengths of compressed pages."""
    client = world.client()
    signatures = set()
    for pause in (0, 1.1):  # the time in it is counted in seconds
        time.sleep(pause)
        found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").text)
        assert found is not None
        signatures.add(found[1].rpartition(".")[2])
    assert len(signatures) == 2


@sqlite
def test_what_machines_get_is_sent_as_it_is(world: World) -> None:
    answer = world.client().get("/api/v1/factors", headers=GZIP)
    assert answer.status_code == 200
    assert "Content-Encoding" not in answer.headers


# --- the installed app -------------------------------------------------------------------------------------


@sqlite
@pytest.mark.parametrize(("language", "lang"), [("zh", "zh-Hans"), ("en", "en")])
def test_the_manifest_speaks_the_language_of_its_address(world: World, language: str, lang: str) -> None:
    client = world.client()
    named = re.search(r'rel="manifest" href="([^"]+)"', browser(world, language=language).get("/"))
    assert named is not None
    answer = client.get(named[1])
    assert answer.mimetype == "application/manifest+json"
    manifest = json.loads(answer.data)
    assert manifest["lang"] == lang
    assert (manifest["display"], manifest["start_url"], manifest["scope"]) == ("standalone", "/", "/")
    assert manifest["background_color"] == offline.token_colour("paper")
    assert {(icon["sizes"], icon["purpose"]) for icon in manifest["icons"]} == {
        ("192x192", "any"),
        ("512x512", "any"),
        ("512x512", "maskable"),
    }
    for icon in manifest["icons"]:
        assert client.get(icon["src"]).mimetype == "image/png"
    assert client.get("/manifest.webmanifest?lang=xx").status_code == 200


@sqlite
def test_the_worker_lists_what_there_is(world: World) -> None:
    client = world.client()
    answer = client.get("/sw.js")
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("text/javascript", "no-cache")
    shell = json.loads(answer.text.splitlines()[0].removeprefix("const SHELL = ").removesuffix(";"))
    assert set(shell["pages"]) == set(SHELL)
    for address in (*shell["pages"], *shell["files"]):
        assert client.get(address).status_code == 200
    for page in SHELL:
        kept = {*shell["files"], *[name for name in files_of(client.get(page).text) if "/icons/" in name]}
        assert set(files_of(client.get(page).text)) <= kept, page


def shell_version(world: World, **settings: str) -> Any:
    """The version of what phones keep of a district that differs from `world` in `settings` alone."""
    changed = replace(world.house, settings=world.house.settings.model_copy(update=settings), extras={})
    first = World(changed).client().get("/sw.js").text.splitlines()[0]
    return json.loads(first.removeprefix("const SHELL = ").removesuffix(";"))["version"]


@sqlite
@pytest.mark.parametrize("setting", [{"help_phone": "021 5555 0100"}, {"public_url": "https://tph.example"}])
def test_phones_keep_their_pages_anew_when_a_setting_in_them_changes(
    world: World, setting: dict[str, str]
) -> None:
    assert shell_version(world) == shell_version(world)
    assert shell_version(world) != shell_version(world, **setting)


@sqlite
def test_the_worker_is_put_together_without_reading_files_again(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = world.client()
    first = client.get("/sw.js").text
    monkeypatch.setattr(assets, "FOLDER", tmp_path)  # where there are none
    assert client.get("/sw.js").text == first


@sqlite
@pytest.mark.parametrize("path", SHELL)
def test_a_kept_page_is_alike_for_everybody(world: World, path: str) -> None:
    someone = browser(world, world.resident())
    assert someone.get(path) == browser(world).get(path)
    assert "csrf_token" not in someone.page.text


# --- scans that were confirmed without network -------------------------------------------------------------


class Phone:
    """What the service worker of a resident's phone does, by hand."""

    def __init__(self, world: World, who: Resident) -> None:
        self.world = world
        self.client: FlaskClient = world.client()
        self.enter(who)
        self.mark = self.state()["resident"]

    def enter(self, who: Resident) -> None:
        """Log somebody in."""
        self.client.set_cookie(
            COOKIES["resident"], new_session(self.world.house, kind="resident", subject_id=who.id)
        )

    def state(self) -> Any:
        """What the server says of this phone."""
        answer = self.client.get("/offline/state")
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.json

    def send(self, code: str, **fields: str) -> TestResponse:
        """Send a confirmation as the worker does, and follow where it leads."""
        form = {"key": "k1", "resident": self.mark, "csrf_token": self.state()["csrf"], **fields}
        return self.client.post(
            f"/s/{code}", data=form, headers={"Accept": "application/json"}, follow_redirects=True
        )

    def actions(self) -> list[Action]:
        """Everything recorded, the latest first."""
        with self.world.house.db.reading_session() as session:
            return list(session.exec(select(Action).order_by(col(Action.recorded_at).desc())))


def test_it_counts_when_it_happened_and_once_however_often_it_is_sent(world: World) -> None:
    resident = world.resident()
    phone = Phone(world, resident)
    code = world.code("clean_plate")
    with clock.pretending(clock.now() + timedelta(hours=5)):
        happened = (clock.now() - timedelta(hours=4)).isoformat()
        answers = [phone.send(code, occurred_at=happened) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.request.path for answer in answers}) == 1
    assert answers[0].request.path.startswith("/me/actions/")
    (action,) = phone.actions()
    assert action.occurred_at.isoformat() == happened
    assert action.recorded_at - action.occurred_at == timedelta(hours=4)
    assert action.resident_id == resident.id


def test_what_arrived_although_the_answer_was_lost_is_found_again(world: World) -> None:
    """The first try was sent without a time, for it was now; the second has one. The key tells that it is the same."""
    phone = Phone(world, world.resident())
    code = world.code("clean_plate")
    first = phone.send(code)
    second = phone.send(code, occurred_at=clock.now().isoformat())
    assert second.status_code == 200
    assert second.request.path == first.request.path
    assert len(phone.actions()) == 1


def test_what_another_confirmed_on_this_phone_is_not_credited(world: World) -> None:
    first, second = world.residents(2)
    phone = Phone(world, first)
    code = world.code("clean_plate")
    phone.enter(second)
    assert phone.state()["resident"] not in {"", phone.mark}
    refused = phone.send(code)
    assert (refused.status_code, refused.json["code"]) == (409, "other_resident")  # type: ignore[index]
    assert phone.actions() == []
    # Without the mark it would have been: this is what the mark is for.
    assert phone.send(code, resident="").status_code == 200
    assert phone.actions()[0].resident_id == second.id


@sqlite
@pytest.mark.parametrize("mark", ["x", "标记", "0" * 20])
def test_a_made_up_mark_is_no_mark(world: World, mark: str) -> None:
    phone = Phone(world, world.resident())
    assert phone.send(world.code("clean_plate"), resident=mark).status_code == 409
    assert phone.actions() == []


@sqlite
def test_only_leaving_tells_the_phone_whose_scans_to_forget(world: World) -> None:
    resident = world.resident()
    phone, me = Phone(world, resident), browser(world, resident)
    assert "data-forget" not in browser(world).get("/left")
    me.get("/me/leave")
    assert f'data-forget="{phone.mark}"' in me.send("/me/leave")
    assert me.path == "/left"
    assert "data-forget" not in me.get("/left")


@sqlite
def test_the_mark_says_nothing_and_stays(world: World) -> None:
    resident = world.resident()
    one, other = Phone(world, resident), Phone(world, resident)
    assert one.mark == other.mark
    assert resident.id.hex not in one.mark
    assert len({one.mark, Phone(world, world.resident()).mark}) == 2
    assert world.client().get("/offline/state").json["resident"] == ""  # type: ignore[index]


@sqlite
def test_what_cannot_be_recorded_is_said_as_a_problem(world: World) -> None:
    resident = world.resident()
    phone = Phone(world, resident)
    meal, glass = world.code("clean_plate"), world.code("recycle_glass", "recycle_paper")
    world.scan(resident, meal)
    cases = {
        "too_soon": phone.send(meal),
        "kind_required": phone.send(glass, key="k2"),
        "quantity_missing": phone.send(glass, key="k3", kind="recycle_glass"),
        "occurred_too_long_ago": phone.send(
            meal, key="k4", occurred_at=(clock.now() - timedelta(days=9)).isoformat()
        ),
        "invalid_fields": phone.send(meal, key="k5", occurred_at="yesterday"),
    }
    assert {answer.json["code"] for answer in cases.values()} == set(cases)  # type: ignore[index]
    phone.client.delete_cookie(COOKIES["resident"])
    assert phone.send(meal, key="k6").json["code"] == "not_authenticated"  # type: ignore[index]
    assert len(phone.actions()) == 1


def test_made_up_addresses_leave_nothing_behind(world: World) -> None:
    client = world.client()
    client.get("/static/app.css")
    before = asset.cache_info().currsize
    for number in range(20):
        assert client.get(f"/static/{number:012d}/no-such-{number}.css").status_code == 404
    assert asset.cache_info().currsize == before


@sqlite
def test_what_was_missing_is_added_for_the_time_it_happened(world: World) -> None:
    me = browser(world, world.resident())
    code = world.code("recycle_glass", "recycle_paper")
    with clock.pretending(clock.now() + timedelta(hours=3)):
        happened = (clock.now() - timedelta(hours=1)).isoformat()
        page = me.client.get(f"/s/{code}", query_string={"key": "k1", "occurred_at": happened}).text
        choice = re.search(r'href="([^"]*kind=recycle_glass[^"]*)"', page)
        assert choice is not None
        page = me.get(choice[1].replace("&amp;", "&"))
        assert "按您扫码的时间记录" in page
        assert "请填写数量" in me.send(f"/s/{code}", quantity="")
        me.send(f"/s/{code}", quantity="2")
    assert me.path.startswith("/me/actions/")
    with world.house.db.reading_session() as session:
        action = session.exec(select(Action)).one()
    assert action.occurred_at.isoformat() == happened
    assert me.client.get(f"/s/{code}?key=k2&occurred_at=yesterday").status_code == 422


@sqlite
def test_a_page_left_open_does_not_credit_who_logged_in_since(world: World) -> None:
    first, second = world.residents(2)
    me = browser(world, first)
    me.get(f"/s/{world.code('clean_plate')}")
    token = new_session(world.house, kind="resident", subject_id=second.id)
    me.client.set_cookie(COOKIES["resident"], token)
    assert "另一个账号" in me.send("/s/")
    assert me.status == 409
