"""The people behind a number of participants, as pseudonyms: those who are counted on a day in a community, with their records there."""

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui.bureau import traced_people, tracing
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.bureau.traced_people import Place
from tanpuhui.bureau.tracing import PEOPLE
from tanpuhui.bureau.tracing_pages import ask, asked_number, granted, keep_look, names_of, pseudonym, words
from tanpuhui.errors import NotFound
from tanpuhui.web.auth import house, staff, staff_required

blueprint = Blueprint("traced_people", __name__)

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/bureau/trace/people")
@staff_required(*READERS)
def here() -> Answer:
    """Whoever is counted in a community on a day, each with the records that make a participant."""
    may_read(house(), staff())
    place = Place.parse(request.args.get("at", ""))
    with house().db.snapshot() as connection:
        asked = asked_number(connection)
        grant = granted(asked)
        if grant is None:
            return ask(asked)
        people = (
            traced_people.people_at(connection, asked, place) if place and asked.measure == PEOPLE else []
        )
        if place is None or not people:
            raise NotFound
        first = max(0, request.args.get("first", 0, int))
        called = sorted((pseudonym(grant, place.day, one), one) for one in people)
        listed = called[first : first + tracing.PAGE]
        records = traced_people.records_of(
            connection, house().feeds, asked, place, [one for _, one in listed]
        )
        names = names_of(connection, {place.division_code}, set())
    page = render_template(
        "bureau/trace_people.html",
        asked=asked,
        grant=grant,
        where=place,
        count=len(people),
        listed=[(name, records[one]) for name, one in listed],
        first=first,
        next_first=first + tracing.PAGE if first + tracing.PAGE < len(people) else None,
        names=names,
        **words(asked),
    )
    keep_look(grant, f"figure:{place.day}:{place.division_code}", asked, people=str(len(listed)))
    return page
