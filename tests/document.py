"""Keep the generated tables of the documents: ``python -m tests.document`` writes them from the code.

A generated part stands between ``<!-- name:begin -->`` and ``<!-- name:end -->``; what is around it is written
by hand. `tests/layout/test_docs.py` fails when a file differs from what would be written here.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from inspect import getdoc
from pathlib import Path
from typing import Any, get_args, get_origin

from packaging.requirements import Requirement
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from activities.campaign_templates import shipped
from activities.template_format import Template
from tanpuhui.bureau.open_data import Dataset
from tanpuhui.bureau.sheets import DICTIONARY_HEAD, dictionary
from tanpuhui.config import Settings
from tanpuhui.errors import Refused, TanpuhuiError, all_errors
from tanpuhui.events import Event, event_classes
from tanpuhui.i18n import translated
from tanpuhui.rooms import installed_rooms

ROOT = Path(__file__).parent.parent


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells are made to fit one line."""
    lines = [heads, ["---"] * len(heads), *rows]
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def first_paragraph(of: Any) -> str:
    """The first paragraph of a docstring."""
    return (getdoc(of) or "").split("\n\n")[0]


def ours(found: Iterable[type]) -> list[type]:
    """Without the classes that tests make for themselves."""
    return [one for one in found if not one.__module__.startswith(("tests.", "benchmarks."))]


# --- settings ----------------------------------------------------------------------------------------------


def settings() -> str:
    """A row for every setting: variable, default, meaning."""
    return table(
        ("variable", "default", "meaning"),
        (
            (f"`TANPUHUI_{name.upper()}`", _default(field), field.description or "")
            for name, field in Settings.model_fields.items()
        ),
    )


def _default(field: FieldInfo) -> str:
    value = field.default
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return f"`{text}`" if text else "empty"


# --- events ------------------------------------------------------------------------------------------------


def events() -> str:
    """A section for every event, and one for what several of them share."""
    rooms = installed_rooms()
    concrete = ours(event_classes())
    shared: dict[type, None] = {}
    for event in concrete:
        shared |= dict.fromkeys(_parents(event))
    return "\n\n".join(
        [_fields_of_every_event(), *map(_shared, shared), *(_event(e, rooms) for e in concrete)]
    )


def _parents(event: type) -> list[type]:
    """The classes between an event and `Event`."""
    return [base for base in event.__mro__[1:] if issubclass(base, Event) and base is not Event]


def _fields_of_every_event() -> str:
    return f"## Fields of every event\n\n{_fields(Event)}"


def _shared(parent: type) -> str:
    return f"## {parent.__name__}\n\n{getdoc(parent)}\n\n{_fields(parent)}"


def _event(event: Any, rooms: Iterable[Any]) -> str:
    parents = _parents(event)
    lines = [f"## {event.type}", f"`{event.__module__}.{event.__name__}`", getdoc(event) or ""]
    lines.append(f"Heard by: {_hearers(event, rooms)}.")
    if parents:
        lines.append(f"Carries the fields of {' and '.join(f'`{p.__name__}`' for p in parents)}, above.")
    if own := _fields(event):
        lines.append(own)
    return "\n\n".join(lines)


def _hearers(event: type, rooms: Iterable[Any]) -> str:
    rooms = list(rooms)
    inside = [s.name for room in rooms for s in room.same_transaction if issubclass(event, s.hears)]
    later = [s.name for room in rooms for s in room.later if issubclass(event, s.hears)]
    if any(issubclass(event, feed.hears) for room in rooms for feed in room.feeds):
        later.insert(0, "figures")
    named = [f"{name} (same transaction)" for name in inside] + [f"{name} (later)" for name in later]
    return ", ".join(named) or "nobody yet; it stays in the log"


def _fields(event: Any) -> str:
    own = [name for name in event.__annotations__ if name in event.model_fields]
    rows = [(f"`{name}`", _type(event.model_fields[name].annotation)) for name in own]
    return table(("field", "type"), rows) if rows else ""


def _type(annotation: Any) -> str:
    if get_origin(annotation) is not None:
        parts = [_type(part) for part in get_args(annotation)]
        return " or ".join(parts)
    return "nothing" if annotation is type(None) else str(annotation.__name__)


# --- errors ------------------------------------------------------------------------------------------------


def problems() -> str:
    """A row for every problem that is not the refusal of a scan."""
    return _told(error for error in _errors() if not issubclass(error, Refused))


def refusals() -> str:
    """A row for every refusal of a scan."""
    return _told(error for error in _errors() if issubclass(error, Refused))


def _told(errors: Iterable[type[TanpuhuiError]]) -> str:
    return table(
        ("code", "status", "sentence", "next step", "when"),
        (
            (f"`{error.code}`", str(error.status), error.text, error.next_step, first_paragraph(error))
            for error in errors
        ),
    )


def _errors() -> list[type[TanpuhuiError]]:
    return list(dict.fromkeys(ours(all_errors())))


# --- tables ------------------------------------------------------------------------------------------------


def tables() -> str:
    """A row for every table: the room it belongs to, the class, what a row is."""
    return table(
        ("room", "table", "class", "a row is"),
        (
            (room.name, f"`{one.__tablename__}`", f"`{one.__module__}.{one.__name__}`", first_paragraph(one))
            for room in installed_rooms()
            for one in sorted(room.tables, key=lambda one: str(one.__tablename__))
        ),
    )


# --- licences ----------------------------------------------------------------------------------------------

_EXTRAS = ("postgres", "prod", "oidc")
_TROVE = {"BSD License": "BSD", "MIT License": "MIT", "Zope Public License": "ZPL"}


def licences() -> str:
    """A row for every package that the platform asks for at run time, with the licence it states."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [(text, "always") for text in project["dependencies"]]
    asked += [(text, f"`{extra}`") for extra in _EXTRAS for text in extras[extra]]
    rows = ((Requirement(text).name, used) for text, used in asked)
    return table(("package", "installed", "licence"), ((name, used, _licence(name)) for name, used in rows))


def _licence(package: str) -> str:
    stated = metadata.metadata(package)
    expression = stated.get("License-Expression") or ""
    short = (stated.get("License") or "").split("(")[0].strip()
    trove = [
        line.rsplit(" :: ", 1)[-1] for line in stated.get_all("Classifier") or [] if "License ::" in line
    ]
    if expression or (short and len(short) < 30):
        return expression or short.removesuffix(" License").removesuffix(" license")
    return " or ".join(_TROVE.get(name, name) for name in trove) or "see the package"


# --- campaign templates ------------------------------------------------------------------------------------


def template_schema() -> str:
    """The JSON Schema of a campaign template, from the model that reads it."""
    return f"```json\n{json.dumps(Template.model_json_schema(), ensure_ascii=False, indent=1)}\n```"


def template_example() -> str:
    """A template that comes with the platform, as its file is."""
    return f"```json\n{shipped()['tree-planting'].text}```"


# --- open data ---------------------------------------------------------------------------------------------


def open_datasets() -> str:
    """A section for every dataset: what it is, and what its columns mean."""
    found = [dataset for room in installed_rooms() for dataset in room.datasets]
    return "\n\n".join(map(_dataset, found))


def _dataset(dataset: Dataset) -> str:
    about, rhythm = translated(dataset.about, "en"), translated(dataset.rhythm, "en")
    rows = [(f"`{key}`", *texts) for key, *texts in dictionary(dataset.table, "en")]
    columns = table([translated(head, "en").lower() for head in DICTIONARY_HEAD], rows)
    return f"### `{dataset.key}`\n\n{about} Updated: {rhythm[0].lower()}{rhythm[1:]}.\n\n{columns}"


# --- files -------------------------------------------------------------------------------------------------

#: file -> the parts of it that are generated.
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "docs/settings.md": {"settings": settings},
    "docs/events.md": {"events": events},
    "docs/errors.md": {"problems": problems, "refusals": refusals},
    "docs/architecture.md": {"tables": tables},
    "docs/third-party.md": {"licences": licences},
    "docs/open-data.md": {"datasets": open_datasets},
    "docs/campaign-templates.md": {"example": template_example, "schema": template_schema},
}


def written(file: str) -> str:
    """The text of `file` with its generated parts renewed. Raises ValueError where a marker is missing."""
    text = (ROOT / file).read_text(encoding="utf-8")
    for name, make in PARTS[file].items():
        pattern = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        body = make()
        text, found = pattern.subn(lambda match, body=body: f"{match[1]}\n{body}\n\n{match[2]}", text)
        if found != 1:
            raise ValueError(f"{file}: expected one part called {name}, found {found}")
    return text


if __name__ == "__main__":
    for name in PARTS:
        (ROOT / name).write_text(written(name), encoding="utf-8")
