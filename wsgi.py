"""The composition root for `gunicorn wsgi:app`: the installed rooms, put together from the environment."""

from tanpuhui.rooms import build_house
from tanpuhui.web import create_app

app = create_app(build_house())
