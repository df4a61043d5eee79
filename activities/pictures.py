"""A photo that somebody offers: made anew, and what it is known again by."""

from PIL import Image

from activities.fingerprints import SIDE, fingerprint, is_flat
from activities.photos import MOST_BYTES, Photo
from tanpuhui.errors import PhotoBlank
from tanpuhui.pictures import as_jpeg, seen_in


def read_photo(data: bytes) -> Photo:
    """The photo in an uploaded file, upright, without anything that was written into the file.

    Raises PhotoUnreadable, PhotoTooLarge, PhotoBlank.
    """
    picture = seen_in(data)
    greys = list(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX).tobytes())
    if is_flat(greys):
        raise PhotoBlank
    return Photo(as_jpeg(picture, MOST_BYTES), fingerprint(greys))
