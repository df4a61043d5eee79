"""Settings: what production refuses, and the secret that is made at the first run."""

import stat
import subprocess
import sys
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


PROVIDER = {"oidc_issuer": "https://pass.example", "oidc_client_id": "tanpuhui", "oidc_name": "城市通行证"}


def test_a_log_in_provider_is_set_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    production(monkeypatch, **PROVIDER).check()
    Settings(**{**PROVIDER, "oidc_issuer": "http://127.0.0.1:9"}).check()  # for trying it out
    for changed, told in (
        ({"oidc_issuer": "http://pass.example"}, "OIDC_ISSUER must be https"),
        ({"oidc_client_id": ""}, "OIDC_CLIENT_ID"),
        ({"oidc_name": ""}, "OIDC_NAME"),
    ):
        with pytest.raises(ConfigurationError, match=told) as error:
            production(monkeypatch, **PROVIDER | changed).check()
        assert ";" not in error.value.params["problems"]
    with pytest.raises(ConfigurationError, match="OIDC_NAME"):
        Settings(oidc_issuer="https://pass.example", oidc_client_id="x").check()


WITHOUT_AUTHLIB = """
import sys
sys.modules.update({"authlib": None, "joserfc": None})
from tanpuhui.rooms import build_house
from tanpuhui.web import create_app
app = create_app(build_house())
assert app.test_client().get("/healthz").status_code == 200
print(sorted(app.extensions["tanpuhui"].providers))
"""


def test_without_authlib_it_runs_by_phone_and_says_what_a_provider_needs(tmp_path: Path) -> None:
    def run(**more: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "TANPUHUI_VAR": str(tmp_path), **more}
        command = [sys.executable, "-c", WITHOUT_AUTHLIB]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    assert run().stdout.strip() == "['phone']"
    refused = run(**{f"TANPUHUI_{name.upper()}": value for name, value in PROVIDER.items()})
    assert refused.returncode != 0
    assert "ConfigurationError" in refused.stderr
    assert "install tanpuhui[oidc]" in refused.stderr


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
