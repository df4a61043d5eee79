"""Near or far of a scan: only by consent, never a position, nobody blocked."""

import io
import json
import re
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import structlog
import time_machine

from activities import codes, place_hints, positions, scans, signals
from activities.bands import read_text
from activities.codes import CodeKind
from activities.sites import Site
from tanpuhui import clock, consents, people, privacy
from tanpuhui.db import insert_statement
from tanpuhui.errors import InvalidField
from tanpuhui.people import PRESENT, Consent, Document, Resident
from tanpuhui.staff import Role
from tanpuhui.web import resume
from tests.browser import browser
from tests.service.test_privacy import everything
from tests.threads import at_once
from tests.unit.test_geodesy import BROKEN
from tests.world import World

#: The site stands in GCJ-02 where the phone says the first of these in WGS-84.
HERE, NEAR, FAR, VAGUE = (
    "31.1774 121.5272 30",
    "31.1820 121.5272 30",
    "31.2774 121.5272 30",
    "31.1774 121.5272 5000",
)


def placed(world: World, *kinds: str, **more: Any) -> Site:
    site = world.site(*(kinds or ("clean_plate",)), **more)
    positions.set_position(
        world.house,
        world.organiser,
        site.id,
        latitude=Decimal("31.175304"),
        longitude=Decimal("121.531542"),
        datum="gcj02",
        reason="在地图上查到",
    )
    return site


def agree(world: World, resident: Resident) -> None:
    consents.give(world.house, resident.id, Document.PLACE_HINTS, PRESENT[Document.PLACE_HINTS])


def scan(world: World, resident: Resident, token: str, position: str = HERE, **more: Any) -> UUID:
    asked = scans.read_request(
        world.house,
        **{"who": resident.id, "key": "key", "code": token, "position": read_text(position), **more},
    )
    return UUID(json.loads(world.house.part(scans.Desk).record(asked).body)["action"]["id"])


def hints(world: World) -> list[str]:
    with world.house.db.reading() as connection:
        return sorted(connection.execute(sa.text("SELECT band FROM place_hint")).scalars())


def flagged(world: World) -> int:
    with world.house.db.reading_session() as session:
        return len(signals.list_signals(session, world.organiser))


@pytest.mark.parametrize(
    ("position", "band"), [(HERE, "here"), (NEAR, "near"), (FAR, "far"), (VAGUE, "unsure")]
)
def test_the_band_is_kept_of_those_who_agreed(world: World, position: str, band: str) -> None:
    resident, token = world.resident(), world.code_at(placed(world))
    agree(world, resident)
    action = scan(world, resident, token, position)
    assert hints(world) == [band]
    assert scan(world, resident, token, HERE) == action  # the same key: the same record, and the same band
    assert scan(world, resident, token, "") == action
    assert hints(world) == [band]
    assert world.breaches() == []


def test_without_consent_nothing_is_kept(world: World) -> None:
    resident, token = world.resident(), world.code_at(placed(world))
    scan(world, resident, token, FAR)
    assert hints(world) == []
    other = world.resident()
    agree(world, other)
    with world.house.db.session() as session:  # a yes to what the text said before is no yes to this
        session.exec(sa.update(Consent).where(Consent.document == "place_hints").values(version="2026-11"))
    scan(world, other, token, FAR)
    assert hints(world) == []


def test_withdrawing_deletes_what_was_kept_of_this_resident_alone(world: World) -> None:
    one, other, token = world.resident(), world.resident(), world.code_at(placed(world))
    for resident, position in ((one, FAR), (other, HERE)):
        agree(world, resident)
        scan(world, resident, token, position)
    world.house.relay.drain()
    assert flagged(world) == 1
    consents.withdraw(world.house, one.id, Document.PLACE_HINTS)
    assert hints(world) == ["here"]
    assert flagged(world) == 0
    people.leave(world.house, other.id)
    assert hints(world) == []
    assert world.breaches() == []


def test_a_withdrawal_at_once_with_a_scan_leaves_nothing(world: World) -> None:
    token = world.code_at(placed(world))
    residents = world.residents(8)
    for resident in residents:
        agree(world, resident)
    calls: list[Any] = []
    for resident in residents:
        calls.append(lambda who=resident: scan(world, who, token, FAR))
        calls.append(world.house.relay.drain)
        calls.append(lambda who=resident: consents.withdraw(world.house, who.id, Document.PLACE_HINTS))
    at_once(calls)
    world.house.relay.drain()
    assert hints(world) == []
    assert flagged(world) == 0
    with world.house.db.reading() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM action")) == len(residents)
    assert world.breaches() == []


def test_the_same_without_asking_for_the_consent_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: were the consent not looked at in the scan's own transaction, this would be kept, and be found."""
    careless = insert_statement(
        Site.metadata.tables["place_hint"], {"action_id": "uuid", "band": "text", "noted_at": "time"}
    )
    monkeypatch.setattr(
        place_hints._KEEP,
        "run",
        lambda link, rows, **_: careless.run(
            link, [{k: v for k, v in row.items() if k != "resident_id"} for row in rows]
        ),
    )
    scan(world, world.resident(), world.code_at(placed(world)), FAR)
    assert hints(world) == ["far"]
    assert [line for line in world.breaches() if "standing consent" in line]


def test_a_far_scan_is_credited_and_people_see_it(world: World) -> None:
    resident, site = world.resident(), placed(world, name="临汾社区食堂")
    plain, marked = world.resident(), resident
    agree(world, marked)
    token, answers = world.code_at(site), []
    for who in (plain, marked):
        asked = scans.read_request(world.house, who=who.id, key="key", code=token, position=read_text(FAR))
        answers.append(json.loads(world.house.part(scans.Desk).record(asked).body))
    for _ in range(2):
        world.house.relay.drain()
        with world.house.db.reading_session() as session:
            (listed,) = signals.list_signals(session, world.organiser)
    assert (listed[0].kind, listed[0].count, str(listed[0].action_id)) == (
        "far",
        1,
        answers[1]["action"]["id"],
    )
    assert [answer["points"] for answer in answers] == [answers[0]["points"]] * 2
    assert answers[0]["action"]["reduction"] == answers[1]["action"]["reduction"]
    action = answers[1]["action"]["id"]
    page = browser(world, resident).get(f"/me/actions/{action}")
    assert "离点位较远" in page
    assert "照样给积分" in page
    staff = browser(world, world.organiser)
    assert staff.get(f"/console/sites/{site.id}").count("离得较远") == 1
    assert "离得较远（1 公里以外）" in staff.get(f"/console/actions/{action}/void")
    assert "离点位" not in staff.get(f"/console/actions/{answers[0]['action']['id']}/void")


def test_only_codes_that_hang_at_their_site_tell(world: World) -> None:
    site, house = placed(world), world.house
    rotating = codes.issue_code(
        house, world.organiser, site.id, kind=CodeKind.ROTATING, action_kind="clean_plate"
    )
    slips = codes.issue_code(house, world.organiser, site.id, kind=CodeKind.SLIPS, copies=2)
    tokens = {
        "printed": (world.code_at(site), 1),
        "staffed": (world.code_at(site, staffed=True), 1),
        "rotating": (codes.rotating_token(house.settings, rotating.id, clock.now()), 1),
        "slip": (codes.slip_token(house.settings, slips.id, 1), 0),
        "nobody said where": (world.code("clean_plate"), 0),
    }
    for name, (token, kept) in tokens.items():
        before = len(hints(world))
        resident = world.resident()
        agree(world, resident)
        scan(world, resident, token, FAR)
        assert len(hints(world)) - before == kept, name


def test_what_happened_earlier_has_no_hint(world: World) -> None:
    resident, token = world.resident(), world.code_at(placed(world))
    agree(world, resident)
    scan(world, resident, token, FAR, occurred_at=clock.now())
    assert hints(world) == []


@pytest.mark.parametrize(
    "broken", [*BROKEN, {"latitude": 31.2, "longitude": 121.4, "accuracy_m": 1e300, "x": [1]}]
)
def test_a_broken_hint_costs_nobody_the_record(world: World, broken: Any) -> None:
    resident, token = world.resident(), world.code_at(placed(world))
    agree(world, resident)
    body = json.dumps({"code": token, "position": broken}, default=lambda odd: float("nan"))
    answer = world.call(
        "POST",
        "/scans",
        world.token(resident),
        data=body,
        content_type="application/json",
        headers={"Idempotency-Key": "key"},
    )
    assert answer.status_code == 201, answer.get_data(as_text=True)
    assert set(hints(world)) <= {"unsure"}


def test_the_api_keeps_the_band(world: World) -> None:
    resident, token = world.resident(), world.code_at(placed(world))
    agree(world, resident)
    position = {"latitude": 31.2774, "longitude": 121.5272, "accuracy_m": 30}
    answer = world.post_scan(world.token(resident), {"code": token, "position": position})
    assert answer.status_code == 201
    assert hints(world) == ["far"]
    again = world.post_scan(world.token(resident), {"code": token})
    assert again.headers["Idempotent-Replayed"] == "true"


def test_the_page_asks_only_with_consent_and_offers_once(world: World) -> None:
    resident, token = world.resident(), world.code_at(placed(world, "clean_plate", "own_cup"))
    me = browser(world, resident)
    address = f"/s/{token}?kind=own_cup"
    assert "data-place-offer" not in me.get(address)  # the first time there is enough to read
    scan(world, resident, token, "", kind="clean_plate")
    assert "data-place-offer" in me.get(address)
    assert "data-place-offer" not in me.get(address)  # not again this month
    me.client.delete_cookie("place_offer")
    me.get(address)
    me.send("/me/place-hints", wanted="off")
    assert me.path == f"/s/{token}"
    assert "data-place-offer" not in me.page.get_data(as_text=True)
    assert me.client.get_cookie("place_offer").value == "no"
    me.client.delete_cookie("place_offer")
    page = me.get(address)
    assert 'name="position"' not in page
    me.client.delete_cookie("place_offer")
    me.get(address)
    hidden = {"wanted": "on", "version": PRESENT[Document.PLACE_HINTS], "next": address}
    page = me.send("/me/place-hints", **hidden)
    assert 'name="position"' in page
    me.send("/s/", position=FAR)
    assert me.path.startswith("/me/actions/")
    assert hints(world) == ["far"]


def test_where_a_site_stands_is_said_by_its_organisers(world: World) -> None:
    site = world.site("clean_plate")
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{site.id}/position")
    typed = {"latitude": "31.175304", "longitude": "121.531542", "datum": "gcj02", "reason": "查过地图"}
    for wrong in (
        {"latitude": "x"},
        {"latitude": "91"},
        {"longitude": ""},
        {"datum": "bd09"},
        {"latitude": "NaN"},
    ):
        me.get(f"/console/sites/{site.id}/position")
        assert "查过地图" in me.send("/position", **{**typed, **wrong})
        assert me.status == 422, wrong
    me.get(f"/console/sites/{site.id}/position")
    me.send("/position", **typed)
    assert me.path == f"/console/sites/{site.id}"
    assert "31.175304" in me.get(f"/console/sites/{site.id}/position")
    stranger = browser(world, world.colleague(Role.ORGANISER, division="310106011"))
    stranger.get(f"/console/sites/{site.id}/position")
    assert stranger.status == 403
    with pytest.raises(InvalidField):
        positions.set_position(
            world.house,
            world.organiser,
            site.id,
            latitude=None,
            longitude=Decimal(1),
            datum="",
            reason="不完整",
        )


# --- no position is kept -----------------------------------------------------------------------------------

#: Far outside of where anything of ours has numbers: no seconds, no ids of the time of the test.
TELLTALE = ("67.8912", "-141.7385")


def traces(text: str) -> list[str]:
    """Where the tell-tale position shows: in any rounding from two decimals on, or as an integer."""
    found = []
    for degrees in TELLTALE:
        number = Decimal(degrees.lstrip("-"))
        for digits in range(2, 8):
            step = Decimal(1).scaleb(-digits)
            needles = set()
            for way in (ROUND_DOWN, ROUND_HALF_UP):
                rounded = number.quantize(step, rounding=way)
                needles |= {str(rounded), str(rounded.normalize()), str(int(rounded * 10**digits))}
            for needle in needles:
                alone = (
                    rf"(?<![0-9a-fA-F]){re.escape(needle)}(?![0-9a-fA-F])"
                    if "." not in needle
                    else re.escape(needle)
                )
                found += [
                    f"{needle}: {text[m.start() - 20 : m.end() + 20]!r}" for m in re.finditer(alone, text)
                ]
    return found


def test_no_trace_of_a_position_is_left(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    token = world.code_at(placed(world, "clean_plate", "own_cup"))
    text = " ".join((*TELLTALE, "25"))
    position = {"latitude": float(TELLTALE[0]), "longitude": float(TELLTALE[1]), "accuracy_m": 25}
    seen: list[str] = []
    with structlog.testing.capture_logs() as logged:
        for agreed in (True, False):
            resident = world.resident()
            if agreed:
                agree(world, resident)
            me = browser(world, resident)
            me.get(f"/s/{token}?kind=own_cup")
            me.send("/s/", position=text)
            seen.append(me.page.get_data(as_text=True) + me.address)
            me.get(f"/s/{token}?kind=own_cup")
            me.send("/s/", position=text)  # refused: kept as an attempt
            seen.append(me.page.get_data(as_text=True) + me.address)
            bearer = world.token(resident)
            body = {"code": token, "kind": "clean_plate", "position": position}
            for key, asked in (("k1", body), ("k1", body), ("k2", body), ("k3", {**body, "kind": "nothing"})):
                seen.append(world.post_scan(bearer, asked, key).get_data(as_text=True))
            archive = zipfile.ZipFile(io.BytesIO(b"".join(privacy.download(world.house, resident.id))))
            seen += [archive.read(name).decode() for name in archive.namelist()]
            staff = browser(world, world.organiser)
            seen.append(staff.get("/console"))
            for cookie in me.client._cookies.values():
                seen.append(str(cookie))
        anonymous = world.client()
        answer = anonymous.post(f"/s/{token}", data={"key": "k", "kind": "own_cup", "position": text})
        seen.append(answer.get_data(as_text=True) + str(answer.headers))
        world.house.relay.drain()
    assert "far" in hints(world)
    assert traces(everything(world)) == []
    assert traces("\n".join(seen)) == []
    assert traces(json.dumps(logged, default=str)) == []
    out = capsys.readouterr()
    assert traces(out.out + out.err) == []


@pytest.mark.parametrize("form", ["67.89", "67.8912", "678912", "67891200", "-141.74", "141739", "1417385"])
def test_the_search_finds_what_it_looks_for(world: World, form: str) -> None:
    """The control: a position in any such form, in any table, is found."""
    world.scan(world.resident(), world.code("clean_plate"))
    assert traces(everything(world)) == []
    with world.house.db.session() as session:
        site = session.exec(sa.select(Site)).scalars().first()
        assert site is not None
        site.hours = f"x {form} y"
        session.add(site)
    assert traces(everything(world)) != []


def test_a_form_that_is_offered_again_holds_no_position(world: World) -> None:
    """What was typed is repeated when a form has expired, and travels in a cookie when the session has ended."""
    resident, token = world.resident(), world.code_at(placed(world))
    agree(world, resident)
    with world.app.test_request_context(
        f"/s/{token}",
        method="POST",
        data={"key": "k", "quantity": "2", "position": FAR},
        headers={"Sec-Fetch-Site": "same-origin"},
    ):
        kept = resume.typed()
    assert kept is not None
    assert ("quantity", "2") in kept["fields"]
    assert "31.2774" not in str(kept)


def test_bands_are_deleted_in_time(world: World) -> None:
    with time_machine.travel(datetime(2027, 6, 7, 4, 0, tzinfo=UTC), tick=False) as time:
        resident, token = world.resident(), world.code_at(placed(world))
        agree(world, resident)
        scan(world, resident, token, FAR)
        world.house.relay.drain()
        held = {kind.holding.key: kind.rows for kind in privacy.overview(world.house, resident.id)}
        assert held["place_hints"] == 1
        for days, left in ((90, ["far"]), (1, [])):
            time.shift(timedelta(days=days))
            with world.house.db.transaction() as connection:
                privacy.keep_to_periods(world.house, connection, clock.now())
            assert hints(world) == left
            assert flagged(world) == len(left)
