"""The boards of a campaign as a page, as CSV and on paper, and being listed by one's own choice."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext, ngettext
from werkzeug.wrappers import Response as AnyResponse

from activities import teams
from activities.boards import Boards, Measure, PersonRow, boards
from activities.campaigns import Campaign, rules_of
from tanpuhui import clock
from tanpuhui.csvtext import write_sheet
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.people import PRESENT, AccountKind, Document, consent_text
from tanpuhui.web.auth import house, resident, resident_required, visitor
from tanpuhui.web.formatting import kilograms, language, moment, said, span, whole
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("boards", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

#: What teams are ranked by, in words.
MEASURE_NAMES = {
    Measure.CO2E: N_("估算减排"),
    Measure.CO2E_PER_HEAD: N_("人均减排"),
    Measure.PARTICIPANTS: N_("参加的人"),
}

#: What stands in place of a nickname.
_NAMELESS = {
    AccountKind.PERSON: N_("一位居民"),
    AccountKind.CLASS: N_("一个班级"),
    AccountKind.FAMILY: N_("一个家庭"),
}


@blueprint.app_template_filter()
def board_name(row: PersonRow) -> str:
    """What somebody on a board is called."""
    return row.nickname or str(gettext(_NAMELESS[row.kind]))


@blueprint.get("/campaigns/<uuid:campaign_id>/board")
def one(campaign_id: UUID) -> Answer:
    """The teams by one of the measures, the people who chose to be listed, and one's own choice."""
    return _one(campaign_id)


def _one(campaign_id: UUID, error: InvalidField | None = None) -> Answer:
    who, asked = visitor(), request.args.get("by", "")
    measure = Measure(asked) if asked in set(Measure) else Measure.CO2E
    with house().db.snapshot() as connection, session_on(connection) as session:
        found = boards(connection, campaign_id, clock.now())
        rules = rules_of(session, session.get_one(Campaign, campaign_id))
        part = teams.part_of(session, campaign_id, rules, who.id) if who else None
    page = render_template(
        "activities/board.html",
        found=found,
        occasion=found.occasion,
        rows=found.teams_by(measure),
        measure=measure,
        measures=[(one, gettext(name)) for one, name in MEASURE_NAMES.items()],
        part=part,
        notes=_notes(found),
        consent=consent_text(language(), PRESENT[Document.BOARDS], Document.BOARDS),
        version=PRESENT[Document.BOARDS],
        given_up=found.occasion.cancelled_at is not None,
        errors=form_errors(error) if error else {},
    )
    return (page, error.status) if error else page


@blueprint.post("/campaigns/<uuid:campaign_id>/board/listing")
@resident_required
def list_me(campaign_id: UUID) -> Answer:
    """Be listed, with the consent that the page asked for, if it did. A second tap finds it done."""
    try:
        teams.list_me(house(), resident().id, campaign_id, version=request.form.get("version"))
    except InvalidField as error:
        return _one(campaign_id, error)
    return redirect(url_for("boards.one", campaign_id=campaign_id, listed="on", _anchor="people"), 303)


@blueprint.post("/campaigns/<uuid:campaign_id>/board/listing/end")
@resident_required
def hide_me(campaign_id: UUID) -> Answer:
    """Be listed no more; a second tap finds it done."""
    teams.hide_me(house(), resident().id, campaign_id)
    return redirect(url_for("boards.one", campaign_id=campaign_id, listed="off", _anchor="people"), 303)


# --- to take along -------------------------------------------------------------------------------------------


def _notes(found: Boards) -> list[str]:
    """How a board counts, in sentences."""
    notes = [
        gettext("估算减排按较低值计，舍去 10 克以下；市级核算的部分不计入。显示的数字相同，名次就并列。"),
    ]
    if found.teams is not None:
        notes.append(
            gettext(
                "参加的人，是加入这个队、并且在这次活动里有有效记录的人；一个班级或家庭账户算一位。"
                "人均减排，是队的估算减排除以参加的人。"
            )
        )
    if found.teams_hidden:
        notes.append(gettext("有的队参加的人不到 5 位，或者会被推算出来，数字不公布。"))
    if found.people_hidden:
        notes.append(gettext("没上榜的人不到 5 位，会被推算出来，个人榜单暂不公布。"))
    return [str(note) for note in notes]


def _cut(mg: int) -> str:
    """Milligrams as kilograms with two places, for machines: what a board states has no more."""
    return f"{mg // 1_000_000}.{mg // 10_000 % 100:02}"


@blueprint.get("/campaigns/<uuid:campaign_id>/board.csv")
def csv(campaign_id: UUID) -> Response:
    """The boards as a table: teams with their ranks by each measure, then the people."""
    with house().db.snapshot() as connection:
        found = boards(connection, campaign_id, clock.now())
    header = [
        gettext("榜单"),
        gettext("名称"),
        gettext("估算减排（千克）"),
        gettext("人均减排（千克）"),
        gettext("参加的人"),
        *(gettext("名次：%(measure)s", measure=gettext(name)) for name in MEASURE_NAMES.values()),
    ]
    headers = {"Content-Disposition": f'attachment; filename="board-{campaign_id}.csv"'}
    return Response(write_sheet(header, _lines(found)), mimetype="text/csv", headers=headers)


def _lines(found: Boards) -> Iterator[list[str | int | None]]:
    for team in found.teams or ():
        yield [
            gettext("队"),
            team.name,
            _cut(team.co2e_mg),
            _cut(team.co2e_per_head_mg),
            team.participants,
            *(team.ranks[measure] for measure in Measure),
        ]
    for person in found.people:
        yield [gettext("个人"), board_name(person), _cut(person.co2e_mg), None, None, person.rank, None, None]


def paper(found: Boards, now: datetime) -> Response:
    """The boards to hang up, as they are `now`."""
    # late: the type-setting would slow every start
    from activities.board_print import Section, Sheet, board_pdf

    sections = []
    if found.teams:
        names = (gettext("名次"), gettext("队"), *map(gettext, MEASURE_NAMES.values()))
        rows = [
            (
                whole(team.ranks[Measure.CO2E]),
                team.name,
                str(kilograms(team.co2e_mg)),
                str(kilograms(team.co2e_per_head_mg)),
                str(ngettext("%(num)s 人", "%(num)s 人", team.participants)),
            )
            for team in found.teams
        ]
        sections.append(Section(gettext("队伍榜"), names, rows))
    if found.people:
        names = (gettext("名次"), gettext("昵称"), gettext("估算减排"))
        people = [(whole(one.rank), board_name(one), str(kilograms(one.co2e_mg))) for one in found.people]
        sections.append(Section(gettext("个人榜"), names, people))
    sheet = Sheet(
        title=found.occasion.title,
        subtitle=_subtitle(found, now),
        sections=tuple(sections),
        empty=gettext("现在还没有可以公布的名次。"),
        notes=said(*_notes(found)),
        issuer=gettext("碳普惠"),
    )
    headers = {
        "Content-Disposition": f'inline; filename="board-{found.occasion.id}.pdf"',
        "Cache-Control": "no-store",
    }
    return Response(board_pdf(sheet), mimetype="application/pdf", headers=headers)


def _subtitle(found: Boards, now: datetime) -> str:
    counted = gettext("数到 %(moment)s", moment=moment(now))
    starts_at, ends_at = found.occasion.starts_at, found.occasion.ends_at
    return f"{span(starts_at, ends_at)} · {counted}" if starts_at and ends_at else counted
