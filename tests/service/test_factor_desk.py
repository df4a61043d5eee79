"""The bureau's pages of factors and methodologies, as a browser without JavaScript goes through them."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from html import unescape
from html.parser import HTMLParser
from uuid import UUID

import pytest
import time_machine

from activities.catalogue import PACKAGE_DATA
from activities.quantify import proposals, publication
from activities.quantify.factors import FactorValues, FactorVersion, all_versions
from activities.quantify.filing import amend_methodology
from activities.quantify.methodologies import Methodology
from activities.quantify.proposals import FactorProposal, ProposalState, values_in
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.browser import Browser, browser
from tests.world import STREET, World

NEW = "/bureau/factors/kinds/clean_plate/new"
PAGES = [
    "/bureau/factors",
    "/bureau/factors/kinds/clean_plate",
    "/bureau/methodologies",
]
FORMS = [NEW, "/bureau/factors/import", "/bureau/methodologies/catering_savings"]


@pytest.fixture(autouse=True)
def time() -> Iterator[None]:
    with time_machine.travel(datetime(2027, 6, 5, 2, 0, tzinfo=UTC), tick=False):
        yield


@pytest.fixture
def second(world: World) -> Principal:
    """Another officer of the bureau."""
    return world.colleague(Role.OFFICER)


class Fields(HTMLParser):
    """What the fields of a page hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._select = self._area = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "input" and given.get("name"):
            self.values[given["name"]] = given.get("value", "")
        elif tag in {"select", "textarea"}:
            self.values[given["name"]] = ""
            self._select, self._area = (given["name"], "") if tag == "select" else ("", given["name"])
        elif tag == "option" and "selected" in given:
            self.values[self._select] = given["value"]

    def handle_data(self, data: str) -> None:
        if self._area:
            self.values[self._area] += data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""


def fill(me: Browser, **typed: str) -> str:
    """Send the form of this page as it is filled, but for what is `typed`."""
    fields = Fields(me.page.text).values
    return me.send(None, **{**fields, **typed})


def stored(world: World, proposal_id: UUID) -> FactorProposal:
    with world.house.db.reading_session() as session:
        return proposals.get_proposal(session, proposal_id)


def all_proposals(world: World) -> list[FactorProposal]:
    with world.house.db.reading_session() as session:
        return list(proposals.list_proposals(session))


def versions(world: World, kind: str = "clean_plate") -> list[FactorVersion]:
    with world.house.db.reading() as connection:
        return all_versions(connection, kind)


def proposed(world: World, kind: str = "clean_plate", **changed: object) -> FactorProposal:
    values = {**values_in(versions(world, kind)[0]), "valid_from": date(2027, 6, 6), **changed}
    return proposals.propose(world.house, world.officer, FactorValues(**values), "新的研究")


def at(proposal: FactorProposal) -> str:
    return f"/bureau/factors/proposals/{proposal.id}"


def error_at(page: str, field: str) -> str:
    """What is said under a field."""
    found = re.search(rf'id="{field}-error">.*?<span>(.*?)</span>', page, re.S)
    return unescape(found[1]) if found else ""


# --- the way of a factor ------------------------------------------------------------------------------------


def test_two_officers_bring_a_factor_from_proposal_to_publication(world: World, second: Principal) -> None:
    me, other = browser(world, world.officer), browser(world, second)
    page = me.get("/bureau/factors")
    assert "没有等待处理的提案" in page
    assert "clean_plate@1" in page
    page = me.get(NEW)
    filled = Fields(page).values
    assert (filled["co2e_g_low"], filled["co2e_g_mid"], filled["nox_mg"]) == ("144", "340", "")
    assert (filled["confidence"], filled["valid_from"]) == ("B", "2027-06-06")
    assert filled["derivation"] == "high: rate=93, factor=4.83"

    page = fill(
        me,
        co2e_g_low="152.5",
        source="新研究 https://example.org/lca?a=1&b=2",
        so2_mg="-0.5",
        reason="新的研究",
    )
    assert me.status == 200
    proposal = all_proposals(world)[0]
    assert me.path == at(proposal)
    assert (proposal.co2e_low_ng, proposal.so2_ng, proposal.nox_ng) == (152_500_000_000, -500_000, None)
    for text in ("152.5 克/餐", "144 克/餐", "-0.5 毫克/餐", "暂无因子", "有改动", "等待另一位工作人员复核"):
        assert text in page
    assert 'href="https://example.org/lca?a=1&amp;b=2"' in page
    assert page.count("有改动") == 4  # low value, SO2, source, first day
    assert "clean_plate@1 到 2027年6月5日 为止" in page
    assert "复核通过" not in page  # not one's own

    assert "待复核" in other.get("/bureau/factors")
    page = other.get(at(proposal))
    page = other.send("/review", reason="已对照原文第 3 页")
    assert other.path == at(proposal)
    assert "已复核，待发布" in page
    assert "已对照原文第 3 页" in page
    page = other.send("/publish")
    assert other.status == 200
    assert "已作为 clean_plate@2 发布" in page
    assert [version.id for version in versions(world)] == ["clean_plate@1", "clean_plate@2"]
    page = me.get("/bureau/factors/kinds/clean_plate")
    assert "尚未生效" in page
    assert "现行" in page


def test_a_proposer_amends_and_withdraws_and_others_decline(world: World, second: Principal) -> None:
    proposal = proposed(world)
    me, other = browser(world, world.officer), browser(world, second)
    me.get(f"{at(proposal)}/edit")
    assert Fields(me.page.text).values["reason"] == "新的研究"
    page = fill(me, note="按勘误", reason="按勘误补充")
    assert me.path == at(proposal)
    assert "改动：备注" in page
    other.get(f"{at(proposal)}/edit")
    assert other.status == 403
    other.get(at(proposal))
    page = other.send("/decline", reason="好")
    assert other.status == 422
    assert error_at(page, "reason-decline")
    page = other.send("/decline", reason="来源不可靠")
    assert "未采纳" in page
    assert "来源不可靠" in page
    assert stored(world, proposal.id).state is ProposalState.DECLINED
    assert 'method="post" action="/bureau' not in page  # nothing more can be done
    mine = proposed(world)
    me.get(at(mine))
    assert "撤回提案" in me.page.text
    assert "撤回" in me.send("/decline", reason="等新的研究")


def test_a_reviewer_is_told_that_the_proposal_has_changed(world: World, second: Principal) -> None:
    proposal = proposed(world)
    other = browser(world, second)
    other.get(at(proposal))
    values = FactorValues(**{**values_in(proposal), "note": "后来改的"})
    proposals.amend(world.house, world.officer, proposal.id, values, "补充说明")
    page = other.send("/review", reason="已对照原文")
    assert other.status == 409
    assert "提案在您打开之后有改动" in page
    assert "后来改的" in page
    other.send("/review", reason="已对照原文")  # having seen it now
    assert stored(world, proposal.id).state is ProposalState.REVIEWED


def test_a_step_that_comes_too_late_is_explained(world: World, second: Principal) -> None:
    proposal = proposed(world)
    me, other = browser(world, second), browser(world, world.colleague(Role.OFFICER))
    me.get(at(proposal))
    other.get(at(proposal))
    me.send("/review", reason="已对照原文")
    page = other.send("/review", reason="已对照原文")
    assert other.status == 409
    assert "状态已经变了" in page
    assert "已复核，待发布" in page
    rival = proposed(world)
    proposals.review(world.house, second, rival.id, "已对照原文")
    me.get(at(rival))
    publication.publish(world.house, second, proposal.id)
    page = me.send("/publish")
    assert me.status == 409
    assert "有效期与已发布的版本重叠" in page


def test_a_proposer_who_sends_the_review_all_the_same_is_told_why_not(world: World) -> None:
    proposal = proposed(world)
    me = browser(world, world.officer)
    me.get(at(proposal))
    page = me.send("/decline")  # for its token
    token = Fields(page).values["csrf_token"]
    answer = me.client.post(
        f"{at(proposal)}/review",
        data={"csrf_token": token, "reason": "没问题"},
        headers={"Accept": "text/html"},
    )
    assert answer.status_code == 403
    assert "提案人不能复核自己的提案" in answer.text


def test_a_past_first_day_tells_beforehand_how_many_records_stay(world: World, second: Principal) -> None:
    code = world.code("clean_plate")
    for resident in world.residents(2):
        world.scan(resident, code)
    page = browser(world, second).get(at(proposed(world, valid_from=date(2027, 6, 1))))
    assert "自那天起已有 2 条记录，它们保留原来的版本和数值" in page
    page = browser(world, second).get(at(proposed(world, valid_from=date(2027, 6, 6))))
    assert "它们保留原来的版本" not in page


def test_a_version_is_retired_with_a_last_day(world: World, second: Principal) -> None:
    me = browser(world, second)
    me.get("/bureau/factors/kinds/own_cup")
    page = me.send("/retire", last_day="2027-06-04", reason="来源已撤回")
    assert me.status == 422
    assert error_at(page, "last_day-1") == "最后有效日不能早于今天。"
    assert 'value="来源已撤回"' in page
    assert error_at(me.send("/retire", last_day="soon", reason="来源已撤回"), "last_day-1")
    before = me.page
    page = me.send("/retire", last_day="2027-06-30", reason="来源已撤回")
    assert me.path == "/bureau/factors/kinds/own_cup"
    assert "2027年6月30日" in page
    assert "停用这个版本" not in page
    assert versions(world, "own_cup")[0].valid_to == date(2027, 6, 30)
    me.page = before
    me.send("/retire", last_day="2027-07-30", reason="来源已撤回")
    assert me.status == 409


# --- what is wrong with a form ------------------------------------------------------------------------------


def test_each_field_says_what_is_wrong_and_keeps_what_was_typed(world: World) -> None:
    me = browser(world, world.officer)
    me.get(NEW)
    page = fill(me, co2e_g_low="viel", nox_mg="1e3", source_year="24", valid_from="morgen", reason="新的研究")
    assert me.status == 422
    for field in ("co2e_g_low", "nox_mg", "source_year", "valid_from"):
        assert error_at(page, field), field
    assert Fields(page).values["co2e_g_low"] == "viel"
    assert page.count('aria-invalid="true"') == 4
    page = fill(
        me,
        co2e_g_low="400",
        nox_mg="",
        source_year="2024",
        valid_from="",
        derivation="high: rate=93, factor=5",
    )
    assert me.status == 422
    assert error_at(page, "co2e_g_low") == "较低值不应大于居中值。"
    assert "重叠" in error_at(page, "valid_from")
    assert "算不出" in error_at(page, "derivation")
    assert "465 克/餐" in page  # what the parameters give
    assert all_proposals(world) == []
    fill(me, co2e_g_low="150", valid_from="2027-07-01", derivation="high: rate=93, factor=4.83")
    assert me.status == 200
    assert len(all_proposals(world)) == 1


def test_parameters_of_another_form_are_shown_beside_those_there_are(world: World) -> None:
    me = browser(world, world.officer)
    me.get(NEW)
    page = fill(me, derivation="low: baseline=2, project=1", reason="新的研究")
    assert me.status == 422
    assert "参数与方法学不符" in page
    assert "<code>rate</code>" in page


def test_a_form_without_its_token_is_refused(world: World, second: Principal) -> None:
    proposal = proposed(world)
    me = browser(world, second)
    for path in (NEW, f"{at(proposal)}/review", f"{at(proposal)}/publish", "/bureau/factors/import"):
        answer = me.client.post(path, data={"reason": "已对照原文"}, headers={"Accept": "text/html"})
        assert answer.status_code == 400
    assert len(all_proposals(world)) == 1
    assert stored(world, proposal.id).state is ProposalState.PROPOSED


# --- who ----------------------------------------------------------------------------------------------------


def test_only_the_bureau_sees_these_pages(world: World, second: Principal) -> None:
    proposal = proposed(world)
    for who in (world.organiser, world.colleague(Role.OFFICER, division=STREET)):
        for path in (*PAGES, *FORMS, at(proposal)):
            me = browser(world, who)
            me.get(path)
            assert me.status == 403, path
    me = browser(world)
    me.get("/bureau/factors")
    assert me.path == "/staff/login"
    assert (
        "因子" not in re.findall(r"<nav.*?</nav>", browser(world, world.organiser).get("/console"), re.S)[0]
    )


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.ADMIN])
def test_auditors_and_admins_look_and_change_nothing(world: World, role: Role) -> None:
    proposal = proposed(world)
    me = browser(world, world.colleague(role))
    for path in (*PAGES, at(proposal)):
        page = me.get(path)
        assert me.status == 200
        assert "/bureau/factors" in page
        assert not re.findall(r'<form[^>]*action="/bureau', page)
        assert "改一个新版本" not in page
    for path in FORMS:
        me.get(path)
        assert me.status == 403


@pytest.mark.parametrize("path", ["kinds/flying", "kinds/flying/new", f"proposals/{UUID(int=1)}"])
def test_what_does_not_exist_is_not_found(world: World, path: str) -> None:
    me = browser(world, world.officer)
    me.get(f"/bureau/factors/{path}")
    assert me.status == 404


def test_names_of_officers_are_not_for_the_public(world: World, second: Principal) -> None:
    proposal = proposed(world)
    proposals.review(world.house, second, proposal.id, "已对照原文")
    publication.publish(world.house, second, proposal.id)
    assert "staff " in browser(world, second).get(at(proposal))
    assert "staff " not in browser(world).get("/factors")


# --- a file -------------------------------------------------------------------------------------------------

PUBLISHED = (PACKAGE_DATA / "factors.csv").read_text(encoding="utf-8")


def upload(me: Browser, content: bytes, **fields: str) -> str:
    me.get("/bureau/factors/import")
    return me.send(None, file=(io.BytesIO(content), "本区因子.csv"), **fields)


def test_a_file_is_imported_and_counted(world: World) -> None:
    me = browser(world, world.officer)
    content = PUBLISHED.replace(",144,", ",150,").encode("gb18030")
    page = upload(me, content, begins="2027-07-01", reason="年度更新")
    assert me.path == "/bureau/factors"
    assert "已提出 1 项提案" in page
    assert f"与已发布的版本相同：{len(PUBLISHED.splitlines()) - 2} 行" in page
    assert all_proposals(world)[0].valid_from == date(2027, 7, 1)


def test_a_bad_file_is_told_line_by_line(world: World) -> None:
    me = browser(world, world.officer)
    page = upload(me, PUBLISHED.replace(",144,", ",viel,").encode(), begins="2027-07-01", reason="年度更新")
    assert me.status == 422
    row = re.findall(r"<tr><td.*?</tr>", page, re.S)
    assert len(row) == 1
    for text in (">2<", "co2e_g_low", "应是 0 到 9000000 之间的数", "&#39;viel&#39; is not a number"):
        assert text in row[0]
    assert Fields(page).values["reason"] == "年度更新"
    assert all_proposals(world) == []


@pytest.mark.parametrize(
    ("content", "fields", "field"),
    [
        (b"", {"reason": "年度更新"}, "file"),
        (PUBLISHED.encode(), {"reason": ""}, "reason"),
        (PUBLISHED.encode(), {"reason": "年度更新", "begins": "soon"}, "begins"),
    ],
    ids=["no file", "no reason", "no day"],
)
def test_what_an_upload_lacks_is_said_at_its_field(
    world: World, content: bytes, fields: dict[str, str], field: str
) -> None:
    me = browser(world, world.officer)
    assert error_at(upload(me, content, **fields), field)
    assert me.status == 422


def test_a_file_that_is_no_table_or_far_too_large_is_refused(world: World) -> None:
    me = browser(world, world.officer)
    page = upload(me, b"PK\x03\x04\xff\xff\x00\x81\x00", reason="年度更新")
    assert me.status == 422
    assert "UTF-8 或 GB18030" in page
    upload(me, b"x" * 100_000, reason="年度更新")
    assert me.status == 413


# --- methodologies ------------------------------------------------------------------------------------------


def test_an_officer_files_a_methodology(world: World, second: Principal) -> None:
    me = browser(world, second)
    page = me.get("/bureau/methodologies")
    assert "未向市级备案，只作估算" in page
    assert "R = Q × w × f" in page
    me.get("/bureau/methodologies/catering_savings")
    page = fill(me, filing_status="filed", reason="市里批复了")
    assert me.status == 422
    assert error_at(page, "city_reference")
    page = fill(me, city_reference="沪环〔2027〕12号", title_en="Plates eaten clean")
    assert me.path == "/bureau/methodologies"
    assert "沪环〔2027〕12号" in page
    with world.house.db.reading_session() as session:
        found = session.get_one(Methodology, "catering_savings")
    assert (found.filing_status.value, found.title_en) == ("filed", "Plates eaten clean")
    assert len(found.sources.splitlines()) == 3  # as they were
    me.get("/bureau/methodologies/no_such_rule")
    assert me.status == 404


def test_what_the_city_took_over_is_not_counted_on_unnoticed(world: World) -> None:
    """The factor of today still counts for the district: the desk says so until a city-credited one is in force."""
    me = browser(world, world.officer)
    assert "本区还在计" not in me.get("/bureau/methodologies")
    filed = {"filing_status": "city_method", "city_reference": "沪环气〔2027〕1号"}
    amend_methodology(world.house, world.officer, "single_use_avoided", filed, "市级新发布了方法学")
    page = me.get("/bureau/methodologies")
    assert "市级已有方法学，本区还在计" in page
    world.publish_factor("own_cup", valid_from=date(2027, 6, 5), city_credited=True)
    world.publish_factor("no_cutlery", valid_from=date(2027, 6, 5), city_credited=True)
    assert "本区还在计" not in me.get("/bureau/methodologies")
