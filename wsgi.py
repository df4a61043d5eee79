"""The composition root for `gunicorn wsgi:app`: the installed rooms, put together from the environment."""

from tanpuhui.config import Settings
from tanpuhui.logs import configure_logging
from tanpuhui.rooms import build_house
from tanpuhui.web import create_app

settings = Settings()
configure_logging(settings)
app = create_app(build_house(settings))
