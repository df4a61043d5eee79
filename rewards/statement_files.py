"""A resident's statement to take away: a table for a spreadsheet, and on paper. Of one and the same day it is always the same.

A statement of a day tells what was recorded until its end, with the balance as it was then.
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, request
from flask_babel import gettext as _

from activities.events import ActionConfirmed, ActionRejected
from rewards import ledger, statements
from rewards.events import PointsExpired
from rewards.statement_papers import PaperRow, StatementPaper, statement_pdf
from rewards.statements import BonusLine, Line, Row, SpendingLine
from tanpuhui import clock
from tanpuhui.csvtext import write_sheet
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, resident, resident_required
from tanpuhui.web.formatting import day, moment, plain_quantity, signed, unit_name, whole

blueprint = Blueprint("statement_files", __name__)

_NO_DAY = N_("请选一个日期。")


def day_asked(text: str) -> date | None:
    """The day that a form asks for; None for none. Raises InvalidField for what is no day."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidField(errors=[{"field": "on", "reason": _NO_DAY}]) from None


@blueprint.get("/me/statement.csv")
@resident_required
def as_csv() -> Response:
    """Every row until the end of a day, as a spreadsheet opens it."""
    on, rows, _balance = _asked()
    header = [
        _("时间"),
        _("事项"),
        _("数量"),
        _("单位"),
        _("积分"),
        _("其中加分"),
        _("余额"),
        _("说明"),
    ]
    body = write_sheet(header, [list(_cells(row)) for row in rows])
    return _file(body, "text/csv", f"tanpuhui-points-{on}.csv", "attachment")


@blueprint.get("/me/statement.pdf")
@resident_required
def as_pdf() -> Response:
    """The same on paper."""
    on, rows, balance = _asked()
    paper = StatementPaper(
        title=_("碳积分明细"),
        facts=(
            _("截至 %(day)s，余额 %(points)s 分", day=day(on), points=whole(balance)),
            _("积分没有货币价值，不能转让。"),
        ),
        columns=(_("时间"), _("事项"), _("积分"), _("余额")),
        footer=f"{_('碳普惠')} · {urlsplit(house().settings.public_url).netloc}",
        nothing=_("到这一天为止没有记录。"),
        rows=[
            PaperRow(
                when=moment(row.recorded_at),
                what=_what(row, with_quantity=True),
                note=note_of(row),
                points=signed(row.points),
                balance="" if row.balance_after is None else whole(row.balance_after),
            )
            for row in rows
        ],
    )
    return _file(statement_pdf(paper), "application/pdf", f"tanpuhui-points-{on}.pdf", "inline")


def _asked() -> tuple[date, list[Row], int]:
    """The day asked for (today, if none), the rows until its end, and the balance then."""
    on = day_asked(request.args.get("on", "").strip()[:10]) or clock.today()
    if on > clock.today():
        raise InvalidField(errors=[{"field": "on", "reason": N_("请选今天或以前的日期。")}])
    until = clock.day_bounds(on)[1]
    with house().db.snapshot() as connection:
        rows = list(statements.all_rows(connection, resident().id, until))
        return on, rows, ledger.balance_on(connection, resident().id, on)


def _file(body: bytes, kind: str, name: str, how: str) -> Response:
    headers = {"Content-Disposition": f'{how}; filename="{name}"', "Cache-Control": "no-store"}
    return Response(body, mimetype=kind, headers=headers)


# --- words -----------------------------------------------------------------------------------------------------


def _cells(row: Row) -> Iterator[str | int | None]:
    deed = row.first.deed if isinstance(row.first, Line) else None
    yield clock.local(row.recorded_at).strftime("%Y-%m-%d %H:%M")
    yield _what(row)
    yield plain_quantity(deed.quantity_milli) if deed else None
    yield unit_name(deed.unit, 1 if deed.quantity_milli == 1000 else 2) if deed else None
    yield row.points
    yield row.bonus or None
    yield row.balance_after
    yield note_of(row)


def _what(row: Row, *, with_quantity: bool = False) -> str:
    if not isinstance(row.first, Line):
        return points_name(row)
    deed = row.first.deed
    name: str = _word("kind_name")(deed.kind)
    return f"{name} {_word('quantity')(deed.quantity_milli, deed.unit)}" if with_quantity else name


@blueprint.app_template_filter()
def points_name(row: Row) -> str:
    """What a row that belongs to no deed is: points that expired, were given or taken back by staff."""
    if isinstance(row.first, Line | BonusLine):
        return ""
    if isinstance(row.first, SpendingLine):
        words = _("抽奖“%(title)s”") if row.first.of_draw else _("兑换“%(title)s”")
        return str(words % {"title": row.first.title})
    if isinstance(row.first.event, PointsExpired):
        return str(_("积分到期"))
    return str(_("工作人员补发积分") if row.points > 0 else _("工作人员收回补发的积分"))


def note_of(row: Row) -> str:
    """What is to be said of a row, in one line."""
    return str(_("；")).join(_notes(row))


def _notes(row: Row) -> Iterator[str]:
    if row.held:
        yield _("待审核 %(points)s 分", points=whole(row.held))
    for line in row.lines[1:] if isinstance(row.first, Line) else row.lines:
        if isinstance(line, BonusLine):
            words = _("“%(title)s”加分退回") if line.returned else _("“%(title)s”加分")
            yield f"{words % {'title': line.title}} {signed(line.points)}"
        elif isinstance(line, Line):
            yield _of_a_decision(line)
        elif isinstance(line, SpendingLine):
            if line.returned:
                yield f"{_('积分已退回')} {signed(line.points)}"
        elif isinstance(line.event, PointsExpired):
            yield _("有效期到 %(day)s", day=day(line.event.expires_on))
        elif line.reason:
            yield line.reason


def _of_a_decision(line: Line) -> str:
    if isinstance(line.deed, ActionConfirmed):
        return str(_("审核通过"))
    if line.replaced:
        return str(_("同一次行为有了更可靠的证明，以后者为准。"))
    word = _("审核未通过") if isinstance(line.deed, ActionRejected) else _("已撤销")
    return f"{word}{_('：')}{_word('review_reason')(line.reason)}" if line.reason else str(word)


def _word(name: str) -> Callable[..., Any]:
    """A filter that another room teaches the templates."""
    found: Callable[..., Any] = current_app.jinja_env.filters[name]
    return found
