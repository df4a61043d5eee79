"""Settings: `TANPUHUI_*` variables, secrets kept in the data folder, and what production refuses."""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tanpuhui.errors import ConfigurationError

#: A longer host would need a QR code larger than version 5, which old phones read badly from afar.
LONGEST_HOST = 31

_SECRET_FILE = "secret_key"  # noqa: S105 - a file's name


class Settings(BaseSettings):
    """Everything a deployment can set. Each field is the variable ``TANPUHUI_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="TANPUHUI_", frozen=True, extra="forbid")

    env: Literal["development", "test", "production"] = Field(
        "development", description="`production` refuses to start with anything meant for development."
    )
    var: Path = Field(Path("var"), description="Folder of the data: the SQLite file and the secret key.")
    database_url: str = Field(
        "", description="`postgresql+psycopg://user@host/name`; empty: SQLite in the data folder."
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="At least 32 characters. Keys for codes, phones and cookies derive from it; "
        "empty: made at the first run and kept in the data folder (not in production).",
    )
    code_keys: str = Field(
        "0",
        pattern=r"^([0-9]|1[0-5])(,([0-9]|1[0-5]))*$",
        description="Numbers (0 to 15) of the keys of codes: the first signs, all are accepted. To replace a key put a "
        "new number in front, print anew, then take the old one away.",
    )
    public_url: str = Field(
        "",
        description="Address that printed codes carry, at most 31 characters after `https://`; "
        "empty: `http://127.0.0.1:<port>` of `serve`.",
    )
    port: int = Field(8000, ge=1, le=65535, description="Port of `tanpuhui serve`.")
    host: str = Field("127.0.0.1", description="Address that `tanpuhui serve` listens on.")
    threads: int = Field(24, ge=1, le=256, description="Request threads of `tanpuhui serve`.")
    sms_gateway_url: str = Field(
        "", description="HTTP gateway for one-time codes; empty: codes are printed on the console."
    )
    sms_gateway_token: SecretStr = Field(SecretStr(""), description="Bearer token sent to the SMS gateway.")
    oidc_issuer: str = Field(
        "",
        description="Issuer of an OpenID Connect provider by which residents may log in, too; empty: by phone only. "
        "Needs the extra `oidc`.",
    )
    oidc_client_id: str = Field("", description="What the provider calls this platform.")
    oidc_client_secret: SecretStr = Field(
        SecretStr(""), description="What the provider knows it by; empty for a client without a secret."
    )
    oidc_name: str = Field("", max_length=20, description="What people call the provider, for its button.")
    oidc_name_en: str = Field("", max_length=30, description="The same on English pages; empty: as above.")
    district_code: str = Field("310106", description="Statistical code of the district.")
    late_hours: int = Field(
        72, ge=0, le=720, description="How far back a late or offline record may lie, in hours."
    )
    signal_burst_accounts: int = Field(
        30, ge=2, description="Signals: so many accounts on one printed code within ten minutes are unusual."
    )
    signal_burst_streets: int = Field(
        6,
        ge=2,
        description="Signals: accounts of so many 街镇 on one printed code within ten minutes are unusual.",
    )
    signal_times_usual: int = Field(
        3,
        ge=1,
        description="Signals: and only if it is at least so many times the most of the seven days before.",
    )
    signal_hours_accounts: int = Field(
        5,
        ge=1,
        description="Signals: so many accounts on one code outside the hours, or at night, are unusual.",
    )
    signal_replay_accounts: int = Field(
        5,
        ge=1,
        description="Signals: so many accounts a day with used or expired codes of one site are unusual.",
    )
    signal_device_accounts: int = Field(
        5, ge=1, description="Signals: more accounts than this on one phone in a day are unusual."
    )
    review_days: int = Field(
        5, ge=1, le=60, description="Working days within which a record that waits for review is decided."
    )
    spot_checks_per_site: int = Field(
        5,
        ge=1,
        le=100,
        description="Records of a site that are drawn at random each month to be looked into.",
    )
    spot_checks_per_campaign: int = Field(
        10, ge=1, le=200, description="Records of a campaign that are drawn at random each month."
    )
    open_data_licence: str = Field(
        "CC BY 4.0", max_length=40, description="Under which licence the open data may be used."
    )
    open_data_licence_url: str = Field(
        "https://creativecommons.org/licenses/by/4.0/",
        pattern=r"^https?://[^\s\"<>]+$",
        max_length=200,
        description="Where that licence can be read.",
    )
    help_phone: str = Field(
        "",
        pattern=r"^(\+?[0-9][0-9 -]{3,18}[0-9])?$",
        description="Telephone number for help, shown on every page of the elder view; empty: none is shown.",
    )
    session_days: int = Field(90, ge=1, le=365, description="Days until a resident has to log in again.")
    staff_session_minutes: int = Field(
        120, ge=5, le=1440, description="Minutes without activity after which staff have to log in again."
    )
    trusted_proxies: int = Field(
        0, ge=0, le=5, description="How many reverse proxies stand in front and set X-Forwarded-*."
    )
    log_json: bool = Field(False, description="Logs as JSON lines instead of readable text.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.database_url:
            file = (self.var / "tanpuhui.sqlite3").resolve()
            object.__setattr__(self, "database_url", f"sqlite:///{file}")
        if self.database_url.startswith(("postgres://", "postgresql://")):
            object.__setattr__(
                self, "database_url", "postgresql+psycopg://" + self.database_url.split("://", 1)[1]
            )
        if not self.public_url and self.env != "production":
            object.__setattr__(self, "public_url", f"http://127.0.0.1:{self.port}")
        object.__setattr__(self, "public_url", self.public_url.rstrip("/"))
        return self

    @property
    def production(self) -> bool:
        """Whether people's real data is at stake."""
        return self.env == "production"

    @cached_property
    def code_key_numbers(self) -> tuple[int, ...]:
        """The numbers of the keys of codes; the first signs."""
        return tuple(dict.fromkeys(int(number) for number in self.code_keys.split(",")))

    def check(self) -> None:
        """Refuse to start with half a log-in provider, and in production with anything meant for development.

        Raises ConfigurationError naming every problem at once.
        """
        problems = self._of_the_provider()
        if self.production:
            problems += self._of_development()
        if problems:
            raise ConfigurationError(problems="; ".join(problems))

    def _of_the_provider(self) -> list[str]:
        if not self.oidc_issuer:
            return []
        problems = []
        if find_spec("authlib") is None or find_spec("joserfc") is None:
            problems.append("TANPUHUI_OIDC_ISSUER is set without Authlib: install tanpuhui[oidc]")
        if self.production and not self.oidc_issuer.startswith("https://"):
            problems.append("TANPUHUI_OIDC_ISSUER must be https://")
        if not self.oidc_client_id:
            problems.append("TANPUHUI_OIDC_CLIENT_ID is not set")
        if not self.oidc_name:
            problems.append("TANPUHUI_OIDC_NAME is not set: the button needs words")
        return problems

    def _of_development(self) -> list[str]:
        problems = []
        if len(self.secret_key.get_secret_value()) < 32:
            problems.append("TANPUHUI_SECRET_KEY is missing or shorter than 32 characters")
        if not self.public_url.startswith("https://"):
            problems.append("TANPUHUI_PUBLIC_URL must be the public https:// address that codes carry")
        if len(self.public_url.removeprefix("https://")) > LONGEST_HOST:
            problems.append(f"TANPUHUI_PUBLIC_URL has more than {LONGEST_HOST} characters after https://")
        if not self.sms_gateway_url:
            problems.append("TANPUHUI_SMS_GATEWAY_URL is not set: the console sender is for development")
        elif not self.sms_gateway_url.startswith("https://"):
            problems.append("TANPUHUI_SMS_GATEWAY_URL must be https://")
        if not os.environ.get("TANPUHUI_DATABASE_URL"):
            problems.append("TANPUHUI_DATABASE_URL must be set, also when it is SQLite")
        if os.environ.get("FLASK_DEBUG", "0") not in {"", "0"}:
            problems.append("FLASK_DEBUG is on")
        return problems

    @cached_property
    def _keys(self) -> dict[str, bytes]:
        return {}

    @cached_property
    def _master(self) -> bytes:
        given = self.secret_key.get_secret_value()
        if given:
            return given.encode()
        self.check()
        return _kept_secret(self.var / _SECRET_FILE)

    def key(self, purpose: str) -> bytes:
        """A 32-byte key for one `purpose` (HKDF-Expand of RFC 5869 over the master secret)."""
        if purpose not in self._keys:
            extracted = hmac.digest(b"tanpuhui", self._master, hashlib.sha256)
            self._keys[purpose] = hmac.digest(extracted, purpose.encode() + b"\x01", hashlib.sha256)
        return self._keys[purpose]


def _kept_secret(file: Path) -> bytes:
    """The secret in `file`, made at the first run, readable by its owner alone.

    Written beside and linked into place, so that processes and threads starting at once read the same one.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_urlsafe(48))
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):
            os.link(draft, file)
        draft.unlink()
    return file.read_bytes().strip()
