"""The form of a campaign: from a template or from rules to its fields, and from its fields to rules.

A field is named after its place in the rules (``when.dates.starts_at``), so whatever is refused is shown beside it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict

from activities.campaign_desk import ChangeIn
from activities.campaign_rules import ByDates, ByObservance, Rules
from activities.observances import Ahead
from activities.sites import Site
from activities.template_format import AroundObservance, ForDays, Template
from tanpuhui import clock
from tanpuhui.divisions import street_of
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.reasons import findings

Form = MultiDict[str, Any]

#: Fields of the form that stand for several of the rules, or that count the other way.
_SHOWN_AS = {
    "when.observance.key": "when.observance.day",
    "when.observance.year": "when.observance.day",
    "when.observance.from_offset": "when.observance.before",
}

#: What is chosen in an empty form.
_EMPTY = {"when.by": "dates", "which": "ticked", "who": "all", "bonus.by": "percent", "announce_days": "7"}

_LISTS = ("site_ids", "kinds", "divisions", "accounts", "when.weekly.weekdays", "teams.names")


# --- from the form -------------------------------------------------------------------------------------------


def read_change(form: Form, sites: Sequence[Site]) -> ChangeIn:
    """Title and rules as they were filled in. Raises InvalidField, by the names of the form's fields."""
    rules = {
        "words": form.get("words", ""),
        "when": _WHEN.get(form.get("when.by", ""), _no_way)(form),
        "site_ids": [str(site.id) for site in chosen_sites(form, sites)],
        "kinds": form.getlist("kinds"),
        "divisions": form.getlist("divisions") if form.get("who") == "some" else [],
        "accounts": form.getlist("accounts"),
        "goals": _filled(form, "goals", ("participants", "actions", "kg")),
        "bonus": _bonus(form),
        "teams": _teams(form),
        "announce_days": _number(form, "announce_days"),
    }
    if form.get("who") == "some" and not rules["divisions"]:
        raise InvalidField(
            errors=[
                {"field": "divisions", "reason": N_("请选至少一个街镇或居（村）委会，或者选“所有居民”。")}
            ]
        )
    try:
        return ChangeIn.model_validate({"title": form.get("title", ""), "rules": rules})
    except ValidationError as error:
        raise InvalidField(
            errors=[{"field": _field(where), **why} for where, why in findings(error)]
        ) from error


def _field(where: tuple[int | str, ...]) -> str:
    """The form's field of a place in the rules."""
    parts = where[1:] if where[:1] == ("rules",) else where
    name = ".".join(str(part) for part in parts)
    name = next((found for found in _LISTS if name.startswith(f"{found}.")), name)
    return _SHOWN_AS.get(name, name)


def chosen_sites(form: Form, sites: Sequence[Site]) -> list[Site]:
    """The sites that are ticked, one by one or by kind and 街镇, of those that one may choose."""
    which, kinds, streets = form.get("which"), form.getlist("site_kinds"), form.getlist("streets")
    if which == "all":
        return list(sites)
    if which == "kinds":
        return [
            site
            for site in sites
            if (kinds or streets)
            and (not kinds or site.kind.value in kinds)
            and (not streets or street_of(site.division_code) in streets)
        ]
    ticked = set(form.getlist("site_ids"))
    return [site for site in sites if str(site.id) in ticked]


def _number(form: Form, name: str) -> Any:
    """A whole number; what is none is left as it was typed, to be refused; None for nothing."""
    text = form.get(name, "").strip()
    return int(text) if re.fullmatch(r"-?\d{1,12}", text) else text or None


def _filled(form: Form, name: str, fields: Sequence[str]) -> dict[str, Any] | None:
    """A part of the rules that is left out where nothing was filled in."""
    found = {field: _number(form, f"{name}.{field}") for field in fields}
    return found if any(value is not None for value in found.values()) else None


def _bonus(form: Form) -> dict[str, Any] | None:
    found = _filled(form, "bonus", ("amount", "cap", "budget"))
    if found is None:
        return None
    return {
        "by": form.get("bonus.by", ""),
        **{name: value for name, value in found.items() if value is not None},
    }


def _teams(form: Form) -> dict[str, Any] | None:
    """The teams, one name a line; communities have theirs already."""
    kind = form.get("teams.kind", "")
    lines = [line.strip() for line in form.get("teams.names", "").splitlines() if line.strip()]
    return {"kind": kind, "names": [] if kind == "community" else lines} if kind else None


def _by_dates(form: Form) -> dict[str, Any]:
    return {
        "by": "dates",
        **{name: _moment(form.get(f"when.dates.{name}", "")) for name in ("starts_at", "ends_at")},
    }


def _moment(text: str) -> str:
    """A form's local time with its offset; what is none as it was typed."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=clock.SHANGHAI).isoformat()
    except (ValueError, OverflowError):
        return text


def _by_observance(form: Form) -> dict[str, Any]:
    key, _, year = form.get("when.observance.day", "").partition(":")
    if not key:
        raise InvalidField(errors=[{"field": "when.observance.day", "reason": N_("请选择一个节日。")}])
    before = _number(form, "when.observance.before")
    return {
        "by": "observance",
        "key": key,
        "year": int(year) if re.fullmatch(r"\d{4}", year) else year,
        "from_offset": -before if isinstance(before, int) else before or 0,
        "until": form.get("when.observance.until") or None,
        "until_offset": _number(form, "when.observance.until_offset") or 0,
    }


def _weekly(form: Form) -> dict[str, Any]:
    days = [int(text) for text in form.getlist("when.weekly.weekdays") if text in "1234567" and text]
    fields = {name: form.get(f"when.weekly.{name}", "") for name in ("first", "last", "from_time", "to_time")}
    return {"by": "weekly", "weekdays": days, **fields}


def _no_way(form: Form) -> dict[str, Any]:
    return {"by": form.get("when.by", "")}


_WHEN: Mapping[str, Callable[[Form], dict[str, Any]]] = {
    "dates": _by_dates,
    "observance": _by_observance,
    "weekly": _weekly,
}


# --- to the form ---------------------------------------------------------------------------------------------


def form_of(title: str, rules: Rules) -> Form:
    """The form as it was filled in to say this."""
    form: Form = MultiDict(
        {
            "title": title,
            "words": rules.words,
            "when.by": rules.when.by,
            "which": "ticked",
            "who": "some" if rules.divisions else "all",
            "announce_days": str(rules.announce_days),
        }
    )
    form.setlist("site_ids", [str(site_id) for site_id in rules.site_ids])
    form.setlist("kinds", list(rules.kinds))
    form.setlist("divisions", list(rules.divisions))
    form.setlist("accounts", [kind.value for kind in rules.accounts])
    _fill_part(form, "goals", rules.goals)
    _fill_part(form, "bonus", rules.bonus)
    if rules.teams:
        _fill(form, "teams", {"kind": rules.teams.kind, "names": "\n".join(rules.teams.names)})
    _fill_when(form, rules)
    return form


def _fill(form: Form, name: str, values: Mapping[str, Any]) -> None:
    for field, value in values.items():
        form[f"{name}.{field}"] = str(value)


def _fill_part(form: Form, name: str, part: BaseModel | None) -> None:
    """A part of the rules that may be left out."""
    if part:
        _fill(form, name, part.model_dump(exclude_none=True))


def _fill_when(form: Form, rules: Rules) -> None:
    when = rules.when
    if isinstance(when, ByDates):
        moments = {"starts_at": when.starts_at, "ends_at": when.ends_at}
        _fill(form, "when.dates", {name: f"{clock.local(at):%Y-%m-%dT%H:%M}" for name, at in moments.items()})
    elif isinstance(when, ByObservance):
        form["when.observance.day"] = f"{when.key}:{when.year}"
        _fill_offsets(form, when)
    else:
        _fill(form, "when.weekly", when.model_dump(mode="json", exclude={"by", "weekdays"}))
        form.setlist("when.weekly.weekdays", [str(day) for day in when.weekdays])


def _fill_offsets(form: Form, when: ByObservance | AroundObservance) -> None:
    form["when.observance.before"] = str(-when.from_offset)
    form["when.observance.until"] = when.until or ""
    form["when.observance.until_offset"] = str(when.until_offset)


def form_from(
    template: Template | None, calendar: Sequence[Ahead], sites: Sequence[Site], today: date
) -> Form:
    """The form as a template fills it in, with the next days of the calendar; an empty one without a template."""
    form: Form = MultiDict(_EMPTY)
    if template is None:
        return form
    form.update({"title": template.title.zh, "words": template.words.zh})
    form["announce_days"] = str(template.announce_days)
    form.setlist("kinds", list(template.kinds))
    form.setlist("accounts", [kind.value for kind in template.accounts])
    _fill_part(form, "goals", template.goals)
    _fill_part(form, "bonus", template.bonus)
    fitting = sorted({site.kind.value for site in sites if site.kind in template.site_kinds})
    if fitting:
        form["which"] = "kinds"
        form.setlist("site_kinds", fitting)
    _propose_when(form, template, calendar, today)
    return form


def _propose_when(form: Form, template: Template, calendar: Sequence[Ahead], today: date) -> None:
    """The next time that this can be: the next observance (known days before unknown ones), or from next week's Monday."""
    when, monday = template.when, today + timedelta(days=7 - today.weekday())
    if isinstance(when, AroundObservance):
        form["when.by"] = "observance"
        _fill_offsets(form, when)
        coming = next((one for one in calendar if one.key == when.key), None)
        form["when.observance.day"] = f"{coming.key}:{coming.year}" if coming else ""
    elif isinstance(when, ForDays):
        last = monday + timedelta(days=when.days)
        _fill(form, "when.dates", {"starts_at": f"{monday}T00:00", "ends_at": f"{last}T00:00"})
    else:
        form["when.by"] = "weekly"
        last = monday + timedelta(days=7 * when.weeks - 1)
        fields = {"first": monday, "last": last, "from_time": when.from_time, "to_time": when.to_time}
        _fill(form, "when.weekly", fields)
        form.setlist("when.weekly.weekdays", [str(day) for day in when.weekdays])
