"""The menu of staff: every entry opens, few stand plainly, many stand in groups with the daily ones in the bar."""

import re
from typing import Any

import pytest

from tanpuhui.staff import Role
from tanpuhui.web.staff_menu import FEW, MENU
from tests.browser import browser
from tests.world import DISTRICT, STREET, World


def parts(page: str) -> tuple[str, str]:
    """The bar of the menu, and what stands behind 全部 (nothing, if there is no such thing)."""
    nav = re.search(r'<nav class="places".*?</nav>', page, re.S)
    assert nav
    bar, _, rest = nav[0].partition("<details")
    return bar, rest


def addresses(part: str) -> list[str]:
    """Where links lead."""
    return re.findall(r'href="([^"]+)"', part)


@pytest.mark.parametrize("division", [DISTRICT, STREET])
def test_every_entry_opens_for_everybody_who_sees_it(world: World, division: str) -> None:
    for role in Role:
        person = browser(world, world.colleague(role, division=division))
        bar, behind = parts(person.get("/desk"))
        assert person.status == 200, role
        wanted = sum(
            role in entry.roles and (division == DISTRICT or not entry.whole)
            for _, entries in MENU
            for entry in entries
        )
        links: Any = addresses(behind or bar)
        assert len(links) == wanted, role
        assert bool(behind) == (wanted > FEW), role
        for link in links:
            assert 'aria-current="page"' in parts(person.get(link))[0], (role, link)
            assert (person.status, person.path) == (200, link)


def test_whoever_does_everything_has_the_daily_work_in_the_bar_and_the_rest_in_groups(world: World) -> None:
    person = browser(world, world.colleague(*Role))
    bar, behind = parts(person.get("/bureau/parked"))
    assert len(addresses(bar)) < len(addresses(behind)) == sum(len(entries) for _, entries in MENU)
    assert behind.count("<ul aria-labelledby=") == len(MENU)
    for part in (bar, behind):
        assert re.search(r'href="/bureau/parked" aria-current="page"', part)
    assert "/bureau/parked" not in addresses(parts(person.get("/bureau"))[0])
    english = parts(browser(world, world.colleague(Role.OFFICER), "en").get("/bureau"))[1]
    assert "Decisions and answers" in english
    assert not re.search(r"[一-鿿]", english)
