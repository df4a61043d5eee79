"""An offer's picture: made anew, shown with words and its size, and part of what the bureau approves."""

import io
import re
from uuid import UUID

import pytest
import sqlalchemy as sa
from PIL import Image

from rewards import offer_desk, offer_pictures, offers
from rewards.offer_pictures import MOST_LARGE, MOST_SMALL, SIDE, Picture
from tanpuhui.errors import InvalidField, OfferMovedOn, PhotoTooLarge
from tanpuhui.staff import Role
from tests.browser import browser
from tests.unit.test_pictures import TELL_TALE, bomb, file_of, scene
from tests.world import OTHER_COMMUNITY, World


def put(world: World, offer_id: UUID, words: str = "一只布袋") -> str:
    """Give it a picture; its digest."""
    picture = offer_pictures.read(file_of(scene(7)))
    offer_desk.set_picture(world.house, world.organiser, offer_id, picture, words)
    return offer_pictures.digest_of(picture)


def test_a_picture_is_kept_small_and_tells_nothing_of_where_it_was_taken() -> None:
    exif = Image.Exif()
    exif[0x010E] = TELL_TALE.decode()
    data = file_of(scene(7, (2400, 1200)), exif=exif, comment=TELL_TALE) + TELL_TALE
    read = offer_pictures.read(data)
    assert (read.width, read.height) == (1280, 640)
    for kept, size, most in (
        (read.large, (1280, 640), MOST_LARGE),
        (read.small, (SIDE, SIDE), MOST_SMALL),
    ):
        assert len(kept) <= most
        assert TELL_TALE not in kept
        with Image.open(io.BytesIO(kept)) as seen:
            assert (seen.format, seen.size, dict(seen.getexif())) == ("JPEG", size, {})
    assert offer_pictures.read(data) == read
    with pytest.raises(PhotoTooLarge):
        offer_pictures.read(bytes(offer_pictures.MOST_FILE + 1))


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_wrong_file_is_refused_beside_the_field_and_a_right_one_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offer_pictures, "MOST_FILE", 200_000)
    monkeypatch.setattr(world.app.view_functions["offer_desk.put_picture"], "most_body", 300_000)
    offer_id = offer_desk.draft(world.house, world.organiser, world.offer_in())
    desk, everybody = browser(world, world.organiser), browser(world)
    address = f"/console/offers/{offer_id}"
    for file, said in (
        ((io.BytesIO(b"GIF89a" + bytes(60)), "a.gif"), "这张照片打不开"),
        ((io.BytesIO(bomb(12_000, 8000)), "a.png"), "这张照片太大"),
        ((io.BytesIO(bytes(offer_pictures.MOST_FILE + 1)), "a.jpg"), "这张照片太大"),
        (None, "请先选一张图片"),
    ):
        desk.get(address)
        page = desk.send("/picture", picture_words="一只布袋", **({"picture": file} if file else {}))
        assert desk.status in (413, 422), said
        assert re.search(rf'id="picture-error">.*?{said}', page, re.S)
        assert 'value="一只布袋"' in page  # what was typed is kept
    desk.get(address)
    desk.send("/picture", picture=(io.BytesIO(bytes(300_000)), "a.jpg"))
    assert desk.status == PhotoTooLarge.status
    desk.get(address)
    desk.send("/picture", picture=(io.BytesIO(file_of(scene(7))), "布袋.jpg"), picture_words="一只“布袋”")
    picture = seen(world, offer_id).picture
    assert picture is not None
    image = desk.client.get(f"{address}/picture.jpg")
    assert (image.status_code, image.mimetype) == (200, "image/jpeg")

    small, large = (f"/rewards/offers/{offer_id}/{size}-{picture.digest}.jpg" for size in ("small", "large"))
    assert everybody.client.get(large).status_code == 404  # nobody approved it yet
    world.approve_offer(offer_id)
    catalogue, page = everybody.get("/rewards"), everybody.get(f"/rewards/offers/{offer_id}")
    assert re.search(rf'<img src="{small}" width="64" height="64" alt="一只“布袋”" loading="lazy"', catalogue)
    assert re.search(rf'src="{large}" width="800" height="600" alt="一只“布袋”" loading="lazy"', page)
    for address in (small, large):
        answer = everybody.client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
    assert everybody.client.get(large.replace(picture.digest, "0" * 16)).status_code == 404
    (told,) = world.call("GET", "/offers").json["offers"]
    assert told["picture"]["large"].endswith(large)
    assert (told["picture"]["width"], told["picture"]["words"]) == (800, "一只“布袋”")
    officer = browser(world, world.officer)
    assert "一只“布袋”" in officer.get(f"/bureau/rewards/offers/{offer_id}")


def seen(world: World, offer_id: UUID) -> offers.Seen:
    with world.house.db.reading_session() as session:
        return offers.one(session, offer_id)


def test_what_was_approved_of_a_picture_stands(world: World) -> None:
    """Changed while it waits, it has to be submitted again; approved, neither the desk nor the database changes it."""
    house, run_by = world.house, world.organiser
    offer_id = offer_desk.draft(house, run_by, world.offer_in())
    put(world, offer_id)
    offer_desk.submit(house, run_by, offer_id)
    read = offer_desk.mark_of(seen(world, offer_id).offer)
    other = offer_pictures.read(file_of(scene(8)))
    with pytest.raises(InvalidField):
        offer_desk.set_picture(house, run_by, offer_id, other, "字" * 81)
    offer_desk.set_picture(house, run_by, offer_id, other, "")
    for _ in range(2):
        with pytest.raises(OfferMovedOn):
            offer_desk.approve(house, world.officer, offer_id, read)
        offer_desk.submit(house, run_by, offer_id)
    offer_desk.remove_picture(house, run_by, offer_id)
    offer_desk.remove_picture(house, run_by, offer_id)  # twice is once
    assert seen(world, offer_id).picture is None
    digest = put(world, offer_id)
    world.approve_offer(offer_id)
    for change in (
        lambda: put(world, offer_id),
        lambda: offer_desk.remove_picture(house, run_by, offer_id),
    ):
        with pytest.raises(OfferMovedOn):
            change()
    bare = world.offer()
    for statement in (
        "UPDATE offer_picture SET words = 'x'",
        "DELETE FROM offer_picture",
        f"UPDATE offer_picture SET offer_id = '{bare}'",
    ):
        with pytest.raises(sa.exc.DBAPIError), house.db.transaction() as connection:
            connection.execute(sa.text(statement))
    with pytest.raises(sa.exc.DBAPIError), house.db.session() as session:
        session.add(
            offer_pictures.OfferPicture(offer_id=bare, digest="x", width=1, height=1, large=b"x", small=b"x")
        )
    found = seen(world, offer_id).picture
    assert found is not None
    assert (found.digest, found.words) == (digest, "一只布袋")


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_stranger_neither_puts_nor_sees_a_picture(world: World) -> None:
    offer_id = offer_desk.draft(world.house, world.organiser, world.offer_in())
    put(world, offer_id)
    stranger = browser(world, world.colleague(*Role, division=OTHER_COMMUNITY[:9]))
    world.app.config["WTF_CSRF_ENABLED"] = False
    address = f"/console/offers/{offer_id}"
    assert stranger.client.get(f"{address}/picture.jpg").status_code == 403
    for step in ("picture", "picture/remove"):
        data = {"picture": (io.BytesIO(file_of(scene(8))), "a.jpg")}
        assert stranger.client.post(f"{address}/{step}", data=data).status_code == 403
    assert seen(world, offer_id).picture == offers.PictureSeen(
        offer_pictures.digest_of(offer_pictures.read(file_of(scene(7)))), 800, 600, "一只布袋"
    )
    assert Picture(b"", b"", 1, 1) != offer_pictures.read(file_of(scene(7)))
