"""What is wrong with a form, said where it is wrong."""

from typing import Any

from tanpuhui.errors import TanpuhuiError
from tanpuhui.web.problems import document


def form_errors(error: TanpuhuiError, field: str = "") -> dict[str, str]:
    """`error` by field, in the language of the page; what belongs to none under `field` ("": above)."""
    problem: dict[str, Any] = document(error)
    listed = [(entry.get("field") or field, entry["reason"]) for entry in problem.get("errors") or ()]
    return dict(listed) or {field: problem["title"]}
