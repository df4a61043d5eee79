"""Settings: what production refuses, and the secret that is made at the first run."""

import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tanpuhui.config import Settings
from tanpuhui.errors import ConfigurationError
from tests.threads import at_once

GOOD = {
    "env": "production",
    "secret_key": "s" * 32,
    "public_url": "https://tanpuhui.example/",
    "sms_gateway_url": "https://sms.example/send",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.upper().startswith("TANPUHUI_") or name == "FLASK_DEBUG":
            monkeypatch.delenv(name)


def production(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> Settings:
    monkeypatch.setenv("TANPUHUI_DATABASE_URL", "postgresql://tanpuhui@db/tanpuhui")
    return Settings(**{**GOOD, **changed})


def test_production_starts_when_everything_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = production(monkeypatch)
    settings.check()
    assert settings.public_url == "https://tanpuhui.example"
    assert settings.database_url == "postgresql+psycopg://tanpuhui@db/tanpuhui"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"secret_key": ""}, "SECRET_KEY"),
        ({"secret_key": "s" * 31}, "SECRET_KEY"),
        ({"public_url": ""}, "PUBLIC_URL"),
        ({"public_url": "http://tanpuhui.example"}, "PUBLIC_URL"),
        ({"public_url": "https://a-host-name-that-no-code-can-hold.example"}, "PUBLIC_URL"),
        ({"sms_gateway_url": ""}, "SMS_GATEWAY_URL"),
        ({"sms_gateway_url": "http://sms.example"}, "SMS_GATEWAY_URL"),
    ],
)
def test_production_refuses_what_is_meant_for_development(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as error:
        production(monkeypatch, **changed).check()
    assert ";" not in error.value.params["problems"]


def test_production_names_every_problem_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    with pytest.raises(ConfigurationError) as error:
        Settings(env="production").check()
    problems = error.value.params["problems"]
    for name in ("SECRET_KEY", "PUBLIC_URL", "SMS_GATEWAY_URL", "DATABASE_URL", "FLASK_DEBUG"):
        assert name in problems


def test_production_makes_no_secret_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Settings(env="production", var=tmp_path).key("codes")
    assert list(tmp_path.iterdir()) == []


def test_the_secret_is_made_once_and_is_the_owners(tmp_path: Path) -> None:
    var = tmp_path / "var"
    first = Settings(var=var).key("codes")
    (file,) = var.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text()) >= 43
    assert Settings(var=var).key("codes") == first
    assert Settings(var=tmp_path / "other").key("codes") != first


def test_all_who_start_at_once_read_the_same_secret(tmp_path: Path) -> None:
    for round_ in range(20):
        var = tmp_path / str(round_)
        keys = at_once([lambda var=var: Settings(var=var).key("codes")] * 8)
        assert set(keys) == {Settings(var=var).key("codes")}
        assert [path.name for path in var.iterdir()] == ["secret_key"]


def test_each_purpose_has_a_key_of_its_own(tmp_path: Path) -> None:
    settings = Settings(var=tmp_path, secret_key="a" * 32)
    keys = {settings.key(purpose) for purpose in ("codes", "phone", "phone-index", "cookies", "login-code")}
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 5
    assert list(tmp_path.iterdir()) == []


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TANPUHUI_PORT", "8123")
    monkeypatch.setenv("TANPUHUI_VAR", str(tmp_path))
    settings = Settings()
    assert settings.public_url == "http://127.0.0.1:8123"
    assert settings.database_url == f"sqlite:///{tmp_path}/tanpuhui.sqlite3"


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "0"), ("PORT", "http"), ("ENV", "staging"), ("LATE_HOURS", "721"), ("THREADS", "0")],
)
def test_a_setting_out_of_bounds_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"TANPUHUI_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_secrets_are_not_printed(tmp_path: Path) -> None:
    settings = Settings(var=tmp_path, secret_key="very-secret" * 4, sms_gateway_token="token-secret")
    assert "very-secret" not in repr(settings) + str(settings.model_dump())
    assert "token-secret" not in repr(settings)
