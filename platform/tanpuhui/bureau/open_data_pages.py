"""The public pages of open data: what there is, what each column means, and the files."""

from flask import Blueprint, Response, render_template

from tanpuhui import clock
from tanpuhui.bureau import open_data
from tanpuhui.bureau.open_data import KEPT, Files
from tanpuhui.bureau.sheets import DICTIONARY_HEAD, dictionary
from tanpuhui.web.auth import house
from tanpuhui.web.formatting import language

blueprint = Blueprint("open_data", __name__)

_KINDS = {
    "csv": "text/csv",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@blueprint.get("/open-data")
def index() -> str:
    """Every dataset, the licence, and how to read the files."""
    return render_template(
        "bureau/open_data.html", datasets=open_data.datasets(house()), **open_data.licence(house())
    )


@blueprint.get("/open-data/<key>")
def one(key: str) -> str:
    """A dataset with its dictionary."""
    found = open_data.dataset(house(), key)
    return render_template(
        "bureau/open_dataset.html",
        dataset=found,
        head=DICTIONARY_HEAD,
        dictionary=dictionary(found.table, language()),
        language=language(),
        **open_data.licence(house()),
    )


@blueprint.get("/open-data/<key>.<any(csv, json, 'zh.xlsx', 'en.xlsx'):form>")
def download(key: str, form: str) -> Response:
    """A dataset as a file."""
    file = house().part(Files).of(key, form)
    day = clock.day_of(file.read_at)
    answer = Response(file.body, mimetype=_KINDS[form.rpartition(".")[2]])
    answer.headers["Content-Disposition"] = f'attachment; filename="tanpuhui-{key}-{day}.{form}"'
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.cache_control.public = True
    answer.cache_control.max_age = int(KEPT.total_seconds())
    answer.last_modified = file.read_at
    return answer
