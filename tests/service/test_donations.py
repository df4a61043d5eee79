"""Whoever gives points for a donation has a certificate that names nobody, is the same each time, and is checked by its number."""

import re
from uuid import UUID

import pypdfium2
import pytest
import sqlalchemy as sa

from rewards import donation_papers, donations, offer_desk, redemptions
from rewards.donations import DonationCertificate
from rewards.medal_posters import poster_png
from tanpuhui import people, privacy
from tanpuhui.certificates import certificate_pdf
from tanpuhui.errors import InvalidField
from tests.browser import browser
from tests.world import World

SHAPE = re.compile(r"D\d{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}")


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_donation_has_a_certificate_that_anybody_checks_and_that_names_nobody(world: World) -> None:
    resident = world.resident()
    world.earn(resident)
    offer = world.offer(
        kind="donation", title="给苏州河边种一丛芦苇", words="春天由志愿者种下。", price="20", per_person="3"
    )
    voucher = world.redeem(resident, offer)["voucher"]
    number = voucher["certificate"]
    assert SHAPE.fullmatch(number)
    assert world.redeem(resident, offer)["voucher"]["certificate"] != number
    (listed, _) = world.call("GET", "/me/vouchers", world.token(resident)).json["vouchers"][::-1]
    assert listed["certificate"] == number
    me, everybody = browser(world, resident), browser(world)
    assert f"/donations/{number}" in me.get(f"/me/vouchers/{voucher['id']}")
    assert f'href="/donations/{number}"' in me.get("/me/vouchers")
    assert f"/donations/{number}" not in everybody.get("/rewards")

    for typed in (number, number.lower().replace("-", " "), f" {number.replace('-', '')} "):
        page = everybody.get(f"/donations?number={typed}")
        assert (everybody.path, everybody.status) == (f"/donations/{number}", 200)
    assert "真实有效" in page
    assert "给苏州河边种一丛芦苇" in page
    papers = [everybody.client.get(f"/donations/{number}/{name}") for name in FILES for _ in range(2)]
    assert [one.status_code for one in papers] == [200] * 4
    assert papers[0].data == papers[1].data
    assert papers[2].data == papers[3].data
    english = browser(world, language="en").client.get(f"/donations/{number}/certificate.pdf")
    assert english.data == papers[0].data
    with pypdfium2.PdfDocument(papers[0].data) as document:
        said = document[0].get_textpage().get_text_bounded()
    for words in ("捐出 20 积分", "给苏州河边种一丛芦苇", number, "静安区"):
        assert words in said
    assert papers[2].mimetype == "image/png"

    for wrong in ("D2026-0000-0000-0000", "D", "T" + number[1:], "x" * 90, "编号"):
        assert "没有编号为" in everybody.get(f"/donations/{wrong}")
        assert everybody.status == 404
        assert everybody.client.get(f"/donations/{wrong}/certificate.pdf").status_code == 404
    held = privacy.rows_of(world.house, resident.id)["vouchers"]
    assert number in {row["certificate"] for row in held}
    people.leave(world.house, resident.id)
    assert "真实有效" in everybody.get(f"/donations/{number}")  # it never said whose it was
    assert world.breaches() == []


FILES = ("certificate.pdf", "poster.png")


def test_a_donation_that_came_back_says_so_and_only_donations_have_certificates(world: World) -> None:
    """Points of a donation do not come back by any button; should they all the same, its certificate says it."""
    resident = world.resident()
    world.earn(resident)
    given = world.redeem(resident, world.offer(kind="donation", price="20"))["voucher"]
    bag = world.redeem(resident, world.offer())["voucher"]
    assert bag["certificate"] is None
    with pytest.raises(sa.exc.DBAPIError), world.house.db.session() as session:
        session.add(DonationCertificate(number="D2026-1", redemption_id=UUID(bag["id"]), held_by="静安区"))
    for statement in ("UPDATE donation_certificate SET held_by = 'x'", "DELETE FROM donation_certificate"):
        with pytest.raises(sa.exc.DBAPIError), world.house.db.transaction() as connection:
            connection.execute(sa.text(statement))
    assert world.breaches() == []
    with world.house.db.transaction() as connection:
        for change in (
            "state = 'open', settled_at = NULL",
            "state = 'cancelled', ended_at = made_at, reason = '没有种成'",
        ):
            connection.execute(
                sa.text(f"UPDATE redemption SET {change} WHERE id = :id").bindparams(
                    sa.bindparam("id", UUID(given["id"]), sa.Uuid())
                )
            )
    everybody, number = browser(world), given["certificate"]
    page = everybody.get(f"/donations/{number}")
    assert "这次捐赠已经取消" in page
    assert "没有种成" in page
    assert [everybody.client.get(f"/donations/{number}/{name}").status_code for name in FILES] == [404, 404]
    with world.house.db.reading_session() as session:
        assert not donations.donated(session, number).stands


@pytest.mark.parametrize("engine", ["sqlite"])
def test_what_no_certificate_can_print_is_refused_while_it_is_drafted_and_the_longest_is_printed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in ("title", "words"):
        said = world.offer_in(kind="donation", **{field: "种一丛芦苇 \N{SEEDLING}"})
        with pytest.raises(InvalidField) as error:
            offer_desk.draft(world.house, world.organiser, said)
        assert [one["field"] for one in error.value.params["errors"]] == [field]
    offer_desk.draft(world.house, world.organiser, world.offer_in(title="布袋 \N{SEEDLING}"))
    resident = world.resident()
    world.earn(resident)
    longest = world.offer(kind="donation", title="给" * 40, words="苇" * 400)
    number = world.redeem(resident, longest)["voucher"]["certificate"]
    with world.house.db.reading_session() as session:
        found = donations.donated(session, number)
    found.certificate.held_by = "由" * 80
    for draw in (
        lambda: certificate_pdf(donation_papers.certificate_of(world.house.settings, found, "静安区")),
        lambda: poster_png(donation_papers.poster_of(world.house.settings, found, "静安区")),
    ):
        assert draw()
    offer = world.offer(kind="donation")
    monkeypatch.setattr(redemptions.donations, "certify", lambda *_: None)
    world.redeem(resident, offer)
    assert "without a certificate" in "\n".join(world.breaches())
