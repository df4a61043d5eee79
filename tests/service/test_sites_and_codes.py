"""Sites and codes: who says what of a place, and what a printed code is good for."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from sqlmodel import SQLModel

from activities import codes, sites
from activities.campaign_desk import cancel as cancel_campaign
from activities.sites import SiteIn, SiteStatus
from tanpuhui import clock, ids, signing
from tanpuhui.errors import CodeInvalid, InvalidField, NotFound, TanpuhuiError
from tanpuhui.rooms import build_house
from tanpuhui.staff import Organisation
from tests.browser import browser
from tests.tables import contents, written
from tests.threads import at_once
from tests.world import COMMUNITY, DISTRICT, STREET, World


def site_in(**changed: object) -> SiteIn:
    return SiteIn.model_validate(
        {"name": "食堂", "kind": "canteen", "division_code": COMMUNITY, "kinds": ["clean_plate"]} | changed
    )


def test_a_site_is_kept_as_told(world: World) -> None:
    with world.house.db.session() as session:
        school = Organisation(name="学校", division_code=COMMUNITY)
        session.add(school)
    wanted = site_in(
        name=" 一楼食堂 ",
        hours="11:00-13:00",
        organisation_id=school.id,
        kinds=["own_cup", "clean_plate", "own_cup"],
    )
    site = sites.create_site(world.house, world.organiser, wanted)
    assert (site.name, site.hours, site.status, site.organisation_id) == (
        "一楼食堂",
        "11:00-13:00",
        SiteStatus.OPEN,
        school.id,
    )
    with world.house.db.reading_session() as session:
        assert [kind.code for kind in sites.kinds_of(session, site.id)] == ["clean_plate", "own_cup"]
        assert [found.id for found in sites.list_sites(session, world.organiser)] == [site.id]


def test_a_site_of_unknown_parts_is_refused(world: World) -> None:
    organiser = world.organiser
    before = contents(world.house)
    for changed, field in (
        ({"division_code": STREET}, "division_code"),
        ({"division_code": DISTRICT + "999999"}, "division_code"),
        ({"organisation_id": ids.new_id()}, "organisation_id"),
        ({"kinds": ["clean_plate", "flying"]}, "kinds"),
    ):
        with pytest.raises(InvalidField) as error:
            sites.create_site(world.house, organiser, site_in(**changed))
        assert [bad["field"] for bad in error.value.params["errors"]] == [field]
    assert written(before, contents(world.house)) == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"name": " x "},
        {"name": "名" * 61},
        {"kind": "palace"},
        {"kinds": ["walk"] * 21},
        {"colour": "red"},
        {"hours": "x" * 81},
    ],
)
def test_a_site_out_of_shape_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        site_in(**changed)


def test_a_code_is_read_back_however_it_was_scanned_or_typed(world: World) -> None:
    site = world.site("clean_plate")
    code = codes.issue_code(world.house, world.organiser, site.id)
    settings = world.house.settings
    token = codes.token_of(settings, code.id)
    assert codes.address_of(settings, token) == f"{settings.public_url}/s/{token}"
    for form in (
        token,
        token.lower(),
        f" {token}\n",
        signing.typed_form(token),
        codes.address_of(settings, token) + "?from=wx",
    ):
        assert codes.read_token(settings, form).number == code.id
    with pytest.raises(CodeInvalid):
        codes.read_token(settings, f"{settings.public_url}/x/{token}")


def test_a_code_withdrawn_is_refused_at_once_by_every_process(world: World) -> None:
    second = build_house(world.house.settings)
    elsewhere = World(second)
    site = world.site("clean_plate")
    token = world.code_at(site)
    elsewhere.scan(world.resident(), token, key="a")  # the other process knows the code now
    codes.revoke_code(
        world.house, world.organiser, codes.read_token(world.house.settings, token).number, "丢失"
    )
    with pytest.raises(TanpuhuiError) as refusal:
        elsewhere.scan(world.resident(), token, key="b")
    assert refusal.value.code == "code_revoked"
    sites.set_status(world.house, world.organiser, site.id, SiteStatus.CLOSED, "停业")
    with pytest.raises(TanpuhuiError):
        elsewhere.scan(world.resident(), world.code_at(site), key="c")
    second.db.dispose()


def test_withdrawing_twice_changes_nothing(world: World) -> None:
    second = build_house(world.house.settings)
    code = codes.issue_code(world.house, world.organiser, world.site("clean_plate").id)
    organiser = world.organiser
    calls = [lambda h=h: codes.revoke_code(h, organiser, code.id, "丢失") for h in [world.house, second] * 3]
    moments = {found.revoked_at for found in at_once(calls)}
    second.db.dispose()
    assert len(moments) == 1
    before = contents(world.house)
    codes.revoke_code(world.house, organiser, code.id, "再次")
    assert written(before, contents(world.house)) == {}
    notes = [row for row in before["audit_entry"].values() if "code.revoked" in row]
    assert len(notes) == 1


def test_a_staffed_code_needs_a_window_of_three_days_at_most(world: World) -> None:
    site, now = world.site("tree_planting"), clock.now()
    organiser = world.organiser
    before = contents(world.house)
    for start, end in (
        (now, None),
        (None, now),
        (now, now),
        (now, now - timedelta(hours=1)),
        (now, now + timedelta(days=3, seconds=1)),
    ):
        with pytest.raises(InvalidField):
            codes.issue_code(world.house, organiser, site.id, valid_from=start, valid_until=end)
    assert written(before, contents(world.house)) == {}
    code = codes.issue_code(
        world.house, organiser, site.id, valid_from=now, valid_until=now + timedelta(days=3)
    )
    assert code.evidence == "staff_confirmed"
    with world.house.db.reading_session() as session:
        assert [found.id for found in codes.codes_of(session, site.id)] == [code.id]


def test_what_is_not_there_is_not_found(world: World) -> None:
    for deed in (
        lambda: codes.issue_code(world.house, world.organiser, ids.new_id()),
        lambda: codes.revoke_code(world.house, world.organiser, 7, "海报丢失"),
        lambda: sites.set_status(world.house, world.organiser, ids.new_id(), SiteStatus.OPEN, "恢复开放"),
    ):
        with pytest.raises(NotFound):
            deed()


def test_what_takes_something_from_people_needs_a_reason(world: World) -> None:
    site = world.site("clean_plate")
    code = codes.issue_code(world.house, world.organiser, site.id)
    campaign = world.campaign(site)
    before = contents(world.house)
    for reason in ("", " \n", "短", "长" * 201):
        for deed in (
            lambda text: codes.revoke_code(world.house, world.organiser, code.id, text),
            lambda text: sites.set_status(world.house, world.organiser, site.id, SiteStatus.CLOSED, text),
            lambda text: cancel_campaign(world.house, world.organiser, campaign.id, text),
        ):
            with pytest.raises(InvalidField):
                deed(reason)
    assert written(before, contents(world.house)) == {}


def test_the_database_itself_guards_sites_and_codes(world: World) -> None:
    site = world.site("clean_plate")
    code = codes.issue_code(world.house, world.organiser, site.id)
    table, now = SQLModel.metadata.tables["code"], clock.now()
    row = {
        "id": 7,
        "site_id": site.id,
        "evidence": "site_code",
        "issued_at": now,
        "issued_by": world.organiser.id,
    }
    wrong = [
        sa.insert(table).values(row | {"id": 0}),
        sa.insert(table).values(row | {"id": code.id}),
        sa.insert(table).values(row | {"evidence": "hearsay"}),
        sa.insert(table).values(row | {"evidence": "staff_confirmed"}),
        sa.insert(table).values(row | {"valid_from": now, "valid_until": now}),
        sa.insert(table).values(row | {"site_id": ids.new_id()}),
        sa.text("UPDATE site SET kind = 'palace'"),
        sa.text("UPDATE site SET status = 'asleep'"),
        sa.text("UPDATE site SET division_code = 'x'"),
        sa.text("UPDATE site_credits SET kind = 'flying'"),
        sa.text("DELETE FROM site"),
    ]
    for change in wrong:
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(change)


def test_a_code_is_replaced_whole_and_once(world: World) -> None:
    site = world.site("clean_plate")
    old = codes.issue_code(world.house, world.organiser, site.id)
    results = at_once(
        [lambda: codes.replace_code(world.house, world.organiser, old.id, "海报破损") for _ in range(2)]
    )
    assert sorted(getattr(result, "code", "replaced") for result in results) == [
        "already_revoked",
        "replaced",
    ]
    with world.house.db.reading_session() as session:
        now_there = codes.codes_of(session, site.id)
    assert [code.id for code in now_there if code.revoked_at is None] == [
        result.id for result in results if isinstance(result, codes.Code)
    ]
    assert len(now_there) == 2


def test_a_name_that_no_poster_can_show_is_refused(world: World) -> None:
    with pytest.raises(InvalidField) as refused:
        sites.create_site(world.house, world.organiser, site_in(name="快乐食堂😀"))
    assert [error["field"] for error in refused.value.params["errors"]] == ["name"]


# --- a second tap --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", "rotating", "slips", "measured"])
def test_a_second_tap_issues_no_second_code(world: World, kind: str) -> None:
    """Another page, or other words in the same one, make another."""
    site = world.site("recycle_glass")
    me = browser(world, world.organiser)
    opened = f"/console/sites/{site.id}/codes/new" if kind else f"/console/sites/{site.id}"
    action = f"/codes/{kind}" if kind else "/codes"
    words = {"action_kind": "recycle_glass"} if kind else {}
    words |= {"copies": "24"} if kind == "slips" else {}

    def issued() -> int:
        with world.house.db.reading_session() as session:
            return len(codes.codes_of(session, site.id))

    me.get(opened)
    shown = me.page
    me.send(action, **words)
    me.page = shown
    me.send(action, **words)
    assert issued() == 1
    me.get(opened)
    me.send(action, **words)
    assert issued() == 2
    me.page = shown
    path, hidden = me._form(action)
    del hidden["once"]
    assert me.client.post(path, data={**hidden, **words}).status_code == 303  # an old page of before
    assert issued() == 3
