"""What residents report themselves: the lowest tier, through the same desk as a scan; a photo is an offer, never a duty."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine

from activities import codes, holdings, photos, places, self_reports, sites
from activities.actions import ActionVoid
from activities.fingerprints import NEAR
from activities.photos import Photo
from activities.review import confirm_action, reject_action, void_action
from tanpuhui import clock, jobs, privacy
from tanpuhui.errors import NotAllowed, NotFound, TanpuhuiError
from tanpuhui.people import leave
from tanpuhui.staff import Role
from tests.browser import browser
from tests.threads import at_once, codes as outcomes
from tests.unit.test_pictures import TELL_TALE, file_of, scene
from tests.world import DISTRICT, STREET, World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)
KINDS = {"walk": "8000", "own_cup": None, "clean_plate": None}
SEEN = Photo(b"\xff\xd8 a picture", 0xF0F0_1234_5678_9ABC)
OTHER = Photo(b"\xff\xd8 another", 0x0F0F_EDCB_A987_6543)
WORD = "看得清"


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def open_world(world: World) -> World:
    """The desk is open for walking, one's own cup and a meal eaten up."""
    world.open_self_reports(*KINDS)
    return world


def refused(code: str, call: Any) -> TanpuhuiError:
    with pytest.raises(TanpuhuiError) as refusal:
        call()
    assert refusal.value.code == code
    return refusal.value


def holds(world: World) -> None:
    assert world.breaches() == []
    assert world.figure_differences() == []


def photo_row(world: World, action: str) -> Any:
    with world.house.db.reading_session() as session:
        return photos.photo_of(session, UUID(action))


def test_each_kind_is_recorded_at_the_lowest_tier_with_half_the_points(open_world: World) -> None:
    world = open_world
    for kind, quantity in KINDS.items():
        told = world.self_report(world.resident(), kind, quantity)
        assert told["action"]["evidence"] == "self_declared"
        code = world.code(kind) if kind != "walk" else None
        if code:
            scanned = world.scan(world.resident(), code, kind=kind)
            assert told["points"]["posted"] == scanned["points"]["posted"] // 2
            assert told["action"]["reduction"] == scanned["action"]["reduction"]
    holds(world)


def test_it_counts_in_the_self_declared_part_alone(open_world: World) -> None:
    world = open_world
    world.self_report(world.resident(), "own_cup")
    world.scan(world.resident(), world.code("own_cup"))
    world.house.relay.drain()
    with world.house.db.reading() as connection:
        rows = connection.execute(
            sa.text("SELECT evidence, count(*) FROM action GROUP BY evidence ORDER BY evidence")
        ).all()
    assert [tuple(row) for row in rows] == [("self_declared", 1), ("site_code", 1)]
    officer = world.token(world.officer, Role.OFFICER)
    day = clock.today().isoformat()
    answer = world.call("GET", f"/statistics?from={day}&to={day}&by=kind&reason=核对", officer)
    total = answer.get_json()["rows"][0]
    assert (total["verified_actions"], total["self_declared_actions"]) == (1, 1)
    assert total["verified_co2e_mg"] == total["self_declared_co2e_mg"] == total["co2e_mg"] // 2


def test_the_limits_are_those_of_any_record(open_world: World, time: Any) -> None:
    world, resident = open_world, open_world.resident()
    world.self_report(resident, "walk", 9000)
    refused("daily_limit_reached", lambda: world.self_report(resident, "walk", 500))
    refused("quantity_out_of_range", lambda: world.self_report(world.resident(), "walk", 499))
    refused("quantity_missing", lambda: world.self_report(world.resident(), "walk"))
    world.self_report(resident, "clean_plate")
    refused("too_soon", lambda: world.self_report(resident, "clean_plate"))
    time.shift(timedelta(hours=6))  # the next meal
    world.self_report(resident, "clean_plate")
    holds(world)


def test_the_same_deed_is_not_scanned_and_reported(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    world.scan(resident, world.code("own_cup"))
    refused("proven_better", lambda: world.self_report(resident, "own_cup"))


def test_a_scan_takes_the_place_of_the_same_deed_reported_before(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    first = world.self_report(resident, "own_cup")
    second = world.scan(resident, world.code("own_cup"))
    assert second["action"]["evidence"] == "site_code"
    assert second["points"]["balance"] == 3  # that of the scan alone: the report's went back
    with world.house.db.reading_session() as session:
        assert session.get(ActionVoid, UUID(first["action"]["id"])) is not None
    holds(world)


def test_of_twenty_at_once_one_is_recorded(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    told = outcomes(at_once([lambda: world.self_report(resident, "walk", 5000)] * 20))
    assert sorted(set(told)) == ["daily_limit_reached", "ok"]
    assert told.count("ok") == 1
    holds(world)


def test_the_same_key_is_the_same_record(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    first = world.self_report(resident, "walk", 5000, key="once")
    assert world.self_report(resident, "walk", 5000, key="once") == first
    refused("idempotency_key_reused", lambda: world.self_report(resident, "walk", 6000, key="once"))


def test_an_earlier_day_within_the_time_that_scans_have(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    for days in (0, 1, 2):
        world.self_report(resident, "walk", 5000, occurred_at=NOON - timedelta(days=days))
    refused(
        "occurred_too_long_ago",
        lambda: world.self_report(resident, "walk", 5000, occurred_at=NOON - timedelta(days=4)),
    )
    refused(
        "occurred_in_future",
        lambda: world.self_report(resident, "own_cup", occurred_at=NOON + timedelta(hours=1)),
    )
    holds(world)


# --- the desk ----------------------------------------------------------------------------------------------


def test_while_it_is_closed_nothing_is_reported(world: World) -> None:
    resident = world.resident()
    refused("self_reports_closed", lambda: world.self_report(resident, "walk", 5000))
    assert self_reports.offer(world.house, resident.id).kinds == ()
    world.open_self_reports("walk")
    world.self_report(resident, "walk", 5000)
    refused("kind_not_at_site", lambda: world.self_report(resident, "own_cup"))
    self_reports.set_desk(world.house, world.officer, ["walk"], is_open=False, reason="停用")
    refused("self_reports_closed", lambda: world.self_report(world.resident(), "walk", 5000))
    holds(world)


def test_only_what_asks_for_no_more_than_a_word_is_offered(world: World) -> None:
    with world.house.db.reading_session() as session:
        allowed = {kind.code for kind in self_reports.allowed_kinds(world.house, session)}
    assert set(KINDS) <= allowed
    assert not allowed & {"recycle_glass", "clothing_reuse", "tree_planting"}
    for kinds in (["recycle_glass"], ["nothing"], []):
        refused("invalid_fields", lambda kinds=kinds: world.open_self_reports(*kinds))


def test_only_an_officer_of_the_district_opens_it(world: World) -> None:
    for who in (
        world.organiser,
        world.colleague(Role.OFFICER, division=STREET),
        world.colleague(Role.HELPER),
    ):
        with pytest.raises(NotAllowed):
            self_reports.set_desk(world.house, who, ["walk"], is_open=True, reason="试行")


def test_two_officers_at_once_make_one_desk(world: World) -> None:
    world.officer, world.resident()
    assert outcomes(at_once([lambda: world.open_self_reports("walk", "own_cup")] * 8)) == ["ok"] * 8
    with world.house.db.reading() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM site WHERE self_reports")) == 1
    with pytest.raises(sa.exc.IntegrityError), world.house.db.session() as session:
        session.add(
            sites.Site(
                name="又一个",
                kind="other",
                division_code=DISTRICT,
                created_by=world.officer.id,
                self_reports=True,
            )
        )


def test_the_desk_is_no_place(open_world: World) -> None:
    world = open_world
    with world.house.db.reading_session() as session:
        desk = self_reports.desk_of(world.house, session)
        assert desk is not None
        code = codes.codes_of(session, desk.id)[0]
        assert desk.id not in {site.id for site in sites.list_sites(session, world.organiser)}
        with pytest.raises(NotFound):
            sites.get_site(session, world.officer, desk.id)
        found = places.find(session.connection(), places.Search(), clock.now())
        assert desk.id not in {place.id for place in found.places}
        with pytest.raises(NotFound):
            places.one(session.connection(), desk.id, clock.now())
    refused(
        "code_invalid",
        lambda: world.scan(world.resident(), codes.token_of(world.house.settings, code.id), kind="walk"),
    )
    with pytest.raises(NotFound):
        codes.issue_code(world.house, world.officer, desk.id)


# --- photos ------------------------------------------------------------------------------------------------


def test_with_a_photo_it_waits_and_counts_more_once_confirmed(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    told = world.self_report(resident, "own_cup", photo=SEEN)
    assert told["action"]["evidence"] == "photo"
    assert (told["points"]["posted"], told["points"]["pending"]) == (0, 2)  # 70 % of 3; without a photo 50 %
    confirm_action(world.house, world.officer, UUID(told["action"]["id"]), WORD)
    assert world.self_report(world.resident(), "own_cup")["points"]["posted"] == 1
    holds(world)


def test_the_photo_is_deleted_after_the_decision_and_the_record_says_so(open_world: World, time: Any) -> None:
    world = open_world
    for decide, photo in ((confirm_action, SEEN), (reject_action, OTHER)):
        action = world.self_report(world.resident(), "own_cup", photo=photo)["action"]["id"]
        tidy(world)
        assert photo_row(world, action).jpeg == photo.jpeg  # it waits
        decide(world.house, world.officer, UUID(action), WORD)
        time.shift(timedelta(hours=1))
        tidy(world)
        row = photo_row(world, action)
        assert (row.jpeg, row.deleted_at) == (None, clock.now())


def tidy(world: World) -> None:
    with world.house.db.transaction() as connection:
        photos.tidy(world.house, connection, clock.now())


def test_the_job_runs_by_itself(open_world: World, time: Any) -> None:
    world = open_world
    action = world.self_report(world.resident(), "own_cup", photo=SEEN)["action"]["id"]
    confirm_action(world.house, world.officer, UUID(action), WORD)
    job = next(job for room in world.house.rooms for job in room.jobs if job.name == "photos")
    time.shift(timedelta(hours=1))
    assert jobs.run_due(world.house, job, clock.now())
    assert photo_row(world, action).jpeg is None


def test_nothing_is_kept_longer_than_a_month_and_deleted_for_good(open_world: World, time: Any) -> None:
    world = open_world
    action = world.self_report(world.resident(), "own_cup", photo=SEEN)["action"]["id"]
    holding = next(one for one in holdings.HOLDINGS if one.key == "photos")
    assert holding.kept == timedelta(days=30)
    time.shift(timedelta(days=31))
    privacy_tidy(world)
    assert photo_row(world, action).jpeg is None
    for change in ("jpeg = 'x', deleted_at = NULL", "deleted_at = received_at"):
        with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
            connection.execute(sa.text(f"UPDATE action_photo SET {change}"))
    with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
        connection.execute(sa.text("DELETE FROM action_photo"))


def privacy_tidy(world: World) -> None:
    with world.house.db.transaction() as connection:
        for one in world.house.holdings:
            if one.purge and one.kept and one.key == "photos":
                one.purge(connection, clock.now() - one.kept)


def test_whoever_leaves_takes_the_photo_along(open_world: World) -> None:
    world, resident, other = open_world, open_world.resident(), open_world.resident()
    action = world.self_report(resident, "own_cup", photo=SEEN)["action"]["id"]
    theirs = world.self_report(other, "own_cup", photo=OTHER)["action"]["id"]
    held = {one.holding.key: one.rows for one in privacy.overview(world.house, resident.id)}
    assert held["photos"] == 1
    assert privacy.rows_of(world.house, resident.id)["photos"][0]["jpeg"] == "/9ggYSBwaWN0dXJl"
    leave(world.house, resident.id)
    assert photo_row(world, action).jpeg is None
    assert photo_row(world, theirs).jpeg == OTHER.jpeg
    refused("photo_seen_before", lambda: world.self_report(world.resident(), "own_cup", photo=SEEN))


def near(photo: Photo, bits: int) -> Photo:
    return Photo(photo.jpeg, photo.fingerprint ^ sum(1 << 6 * place for place in range(bits)))


def test_nearly_the_same_picture_of_anybody_is_refused(open_world: World, time: Any) -> None:
    world, resident = open_world, open_world.resident()
    world.self_report(world.resident(), "own_cup", photo=SEEN)
    for bits in (0, 1, NEAR):
        refused(
            "photo_seen_before",
            lambda bits=bits: world.self_report(resident, "own_cup", photo=near(SEEN, bits)),
        )
    world.self_report(resident, "own_cup", photo=near(SEEN, NEAR + 1))
    time.shift(timedelta(days=367))
    tidy(world)
    world.self_report(resident, "own_cup", photo=SEEN)  # forgotten after a year
    holds(world)


def test_a_record_that_is_refused_leaves_the_picture_free(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    world.scan(resident, world.code("own_cup"))
    refused("proven_better", lambda: world.self_report(resident, "own_cup", photo=SEEN))
    world.self_report(world.resident(), "own_cup", photo=SEEN)


def _race(world: World) -> list[str]:
    crowd = world.residents(8)
    pictures = [near(SEEN, bits) for bits in range(8)]
    return outcomes(
        at_once(
            [
                lambda who=who, picture=picture: world.self_report(who, "own_cup", photo=picture)
                for who, picture in zip(crowd, pictures, strict=True)
            ]
        )
    )


def test_of_eight_who_send_the_same_picture_at_once_one_is_recorded(open_world: World) -> None:
    told = _race(open_world)
    assert (told.count("ok"), told.count("photo_seen_before")) == (1, 7)
    holds(open_world)


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_without_taking_turns_several_would_be(open_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control, on PostgreSQL: writers of SQLite take turns whatever we do."""
    import threading

    from activities import scans

    meet = threading.Barrier(2)

    def both_looked(connection: Any, photo: Photo, day: Any) -> None:
        found = photos._NEAR.run(
            connection,
            **{
                f"near_{n}": list(photos.near_parts(part))
                for n, part in enumerate(photos.parts(photo.fingerprint))
            },
        )
        assert not found
        meet.wait(20)
        row = {f"part_{n}": part for n, part in enumerate(photos.parts(photo.fingerprint))}
        signed = photos._signed(photo.fingerprint)
        connection.execute(sa.insert(photos.PhotoFingerprint).values(fingerprint=signed, day=day, **row))

    monkeypatch.setattr(photos, "remember", both_looked)
    crowd = open_world.residents(2)
    desks = [scans.Desk(open_world.house) for _ in crowd]  # two processes

    def send(number: int) -> None:
        asked = self_reports.read_report(
            open_world.house, who=crowd[number].id, key="k", kind="own_cup", photo=near(SEEN, number)
        )
        desks[number].record(asked)

    assert outcomes(at_once([lambda: send(0), lambda: send(1)])) == ["ok", "ok"]


def test_two_processes_take_turns(open_world: World) -> None:
    from activities import scans

    crowd = open_world.residents(6)
    desks = [scans.Desk(open_world.house) for _ in crowd]

    def send(number: int) -> None:
        asked = self_reports.read_report(
            open_world.house, who=crowd[number].id, key="k", kind="own_cup", photo=near(SEEN, number)
        )
        desks[number].record(asked)

    told = outcomes(at_once([lambda number=number: send(number) for number in range(6)]))
    assert sorted(told) == ["ok"] + ["photo_seen_before"] * 5


def test_what_waits_does_not_take_the_place_of_the_bare_word(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    world.self_report(resident, "own_cup")
    refused("too_soon", lambda: world.self_report(resident, "own_cup", photo=SEEN))
    world.self_report(world.resident(), "own_cup", photo=SEEN)  # the picture is still new
    holds(world)


def test_after_a_rejection_one_may_report_without_a_photo(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    action = world.self_report(resident, "walk", 5000, photo=SEEN)["action"]["id"]
    refused("proven_better", lambda: world.self_report(resident, "walk", 5000))
    reject_action(world.house, world.officer, UUID(action), "看不出来")
    world.self_report(resident, "walk", 5000)
    holds(world)


def test_an_officer_takes_one_back(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    action = world.self_report(resident, "walk", 5000)["action"]["id"]
    void_action(world.house, world.officer, UUID(action), "不是真的")
    world.self_report(resident, "walk", 5000)
    holds(world)


# --- who sees a photo --------------------------------------------------------------------------------------


def test_only_who_may_decide_sees_it_and_it_is_written_down(open_world: World) -> None:
    world, resident = open_world, open_world.resident()
    action = UUID(world.self_report(resident, "own_cup", photo=SEEN)["action"]["id"])
    officer, stranger = world.officer, world.resident()
    others = (
        world.colleague(Role.HELPER),
        world.colleague(Role.AUDITOR),
        world.colleague(Role.ORGANISER, division=STREET),
        world.colleague(Role.OFFICER, division=STREET),
    )
    with world.house.db.session() as session:
        assert photos.look(session, officer, action) == SEEN.jpeg
        for who in others:
            with pytest.raises(NotAllowed):
                photos.look(session, who, action)
        assert photos.own_photo(session, resident.id, action) == SEEN.jpeg
        with pytest.raises(NotFound):
            photos.own_photo(session, stranger.id, action)
    with world.house.db.reading() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM audit_entry WHERE deed = 'photo.seen'")) == 1


# --- pages and API -----------------------------------------------------------------------------------------


def test_the_api_records_and_repeats(open_world: World) -> None:
    world = open_world
    token = world.token(world.resident())
    body, key = {"kind": "walk", "quantity": 7000}, {"Idempotency-Key": "k"}
    told = world.call("POST", "/me/self-reports", token, json=body, headers=key)
    assert told.status_code == 201
    again = world.call("POST", "/me/self-reports", token, json=body, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json() == told.get_json()
    assert (
        world.call(
            "POST", "/me/self-reports", token, json={"kind": "x"}, headers={"Idempotency-Key": "l"}
        ).status_code
        == 422
    )
    assert world.call("POST", "/me/self-reports", None, json=body, headers=key).status_code == 401


def test_a_resident_reports_on_the_page_and_a_second_tap_changes_nothing(open_world: World) -> None:
    world = open_world
    me = browser(world, world.resident())
    assert "没有码？自己报一次" in me.get("/")
    assert "步行" in me.get("/declare") or "走路" in me.page.text
    form = me.get("/declare?kind=walk")
    assert "报这一天的总数" in form
    assert "50%" in form
    assert 'value="7,5x"' in me.send("/declare", quantity="7,5x")  # what was typed is kept
    assert me.status == 422
    page = me.send("/declare", quantity="8000")
    assert me.path.startswith("/me/actions/")
    assert "计入自报的合计" in page
    told = me.path
    me.get(me_key := f"/declare?kind=walk&key={_key(form)}")
    assert me.path == told, me_key
    assert "已记满" in me.get("/declare?kind=walk")


def _key(form: str) -> str:
    found = re.search(r'name="key" value="([^"]+)"', form)
    assert found
    return found[1]


def test_the_page_says_when_it_is_closed(world: World) -> None:
    me = browser(world, world.resident())
    assert "现在不能自报" in me.get("/declare")
    assert "现在不能自报" in me.get("/declare?kind=walk")


def test_a_meal_at_home_says_whose_factor_it_has(open_world: World) -> None:
    me = browser(open_world, open_world.resident())
    assert "借用" in me.get("/declare?kind=clean_plate")
    assert "借用" in me.send("/declare")
    assert me.path.startswith("/me/actions/")


def test_a_photo_on_the_page(open_world: World, time: Any) -> None:
    world = open_world
    picture = file_of(scene(1), comment=TELL_TALE)
    me, other = browser(world, world.resident()), browser(world, world.resident())
    me.get("/declare?kind=own_cup")
    page = me.send("/declare", photo=(io.BytesIO(picture), "a.jpg"))
    action = me.path.rsplit("/", 1)[1]
    assert "附了一张照片" in page
    assert TELL_TALE not in photo_row(world, action).jpeg
    own = me.client.get(f"/me/actions/{action}/photo")
    assert (own.mimetype, own.headers["Cache-Control"]) == ("image/jpeg", "no-store")
    assert own.headers["X-Robots-Tag"] == "noindex"
    assert other.client.get(f"/me/actions/{action}/photo").status_code == 404
    other.get("/declare?kind=own_cup")
    smaller = file_of(scene(1).resize((500, 375)), quality=60)
    assert "几乎一样" in other.send("/declare", photo=(io.BytesIO(smaller), "b.jpg"))
    assert other.status == 409
    other.send("/declare")
    assert other.path.startswith("/me/actions/")  # without it, it is recorded
    staff = browser(world, world.officer)
    assert staff.client.get(f"/console/photos/{action}").data == own.data
    confirm_action(world.house, world.officer, UUID(action), WORD)
    time.shift(timedelta(hours=1))
    tidy(world)
    assert "附过一张照片，已于" in me.get(f"/me/actions/{action}")
    assert staff.client.get(f"/console/photos/{action}").status_code == 404


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"\x00\x00\x00\x18ftypheic" + bytes(300), 422, "HEIC"),
        (b"GIF89a" + bytes(60), 422, "打不开"),
    ],
    ids=["heic", "gif"],
)
def test_what_is_no_photo_is_told_kindly(open_world: World, data: bytes, status: int, words: str) -> None:
    me = browser(open_world, open_world.resident())
    me.get("/declare?kind=own_cup")
    assert words in me.send("/declare", photo=(io.BytesIO(data), "a.heic"))
    assert me.status == status


def test_what_is_too_large_is_told_kindly(open_world: World) -> None:
    me = browser(open_world, open_world.resident())
    told = me.client.post(
        "/declare",
        data=bytes(9 * 1024 * 1024),
        content_type="multipart/form-data; boundary=x",
        headers={"Accept": "text/html", "Accept-Language": "zh"},
    )
    assert told.status_code == 413
    assert "这张照片太大" in told.text
    assert "也可以不附照片" in told.text


def test_other_forms_stay_as_small_as_they_were(world: World) -> None:
    me = browser(world, world.resident())
    me.get("/help")
    answer = me.client.post("/login", data={"phone": "1" * 100_000})
    assert answer.status_code == 413


def test_an_officer_opens_and_closes_it_on_the_page(world: World) -> None:
    staff = browser(world, world.officer)
    assert "现在关闭" in staff.get("/bureau/self-reports")
    assert "recycle_glass" not in staff.page.text
    assert "现在开放" in staff.send("/bureau/self-reports", kinds=["walk"], state="open", reason="试行")
    me = browser(world, world.resident())
    assert "kind=walk" in me.get("/declare")
    assert "现在关闭" in staff.send("/bureau/self-reports", kinds=["walk"], state="closed", reason="停用")
    assert "现在不能自报" in me.get("/declare")
    staff.send("/bureau/self-reports", kinds=["walk"], state="open", reason="")
    assert staff.status == 422
    assert browser(world, world.organiser).client.get("/bureau/self-reports").status_code == 403
