"""Sending one-time codes: to the console in development, through an HTTP gateway in a district."""

import sys
import time
from collections.abc import Callable
from typing import Protocol

import httpx
import structlog

from tanpuhui.config import Settings
from tanpuhui.errors import SmsFailed

log = structlog.get_logger(__name__)


class SmsSender(Protocol):
    """Delivers a text to a phone."""

    def send(self, phone: str, text: str) -> None:
        """Send `text` to the normalised number `phone`. Raises SmsFailed if it cannot be handed over."""


class ConsoleSender:
    """Prints the message: for development, where nobody should pay for a text."""

    def send(self, phone: str, text: str) -> None:
        """Print the message with all but the last four digits of the number hidden."""
        print(f"[SMS to ***{phone[-4:]}] {text}", file=sys.stderr, flush=True)  # noqa: T201


class GatewaySender:
    """Posts ``{"phone", "text"}`` as JSON to a gateway, three times at most, with back-off."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        client: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self._token, self._sleep = url, token, sleep
        self._client = client or httpx.Client(timeout=5)

    def send(self, phone: str, text: str) -> None:
        """Hand the message to the gateway. A 4xx answer is final; 5xx and lost connections are tried again."""
        for pause in (0.3, 1.0, None):
            try:
                answer = self._client.post(
                    self._url,
                    json={"phone": phone, "text": text},
                    headers={"Authorization": f"Bearer {self._token}"} if self._token else {},
                )
            except httpx.TransportError as error:
                reason = type(error).__name__
            else:
                if answer.is_success:
                    return
                reason = f"HTTP {answer.status_code}"
                if answer.is_client_error and answer.status_code != 429:
                    pause = None  # noqa: PLW2901 - asking again would not help
            if pause is None:
                break
            self._sleep(pause)
        log.error("sms_failed", reason=reason)
        raise SmsFailed


def sender_for(settings: Settings) -> SmsSender:
    """The sender that `settings` ask for."""
    if settings.sms_gateway_url:
        return GatewaySender(settings.sms_gateway_url, settings.sms_gateway_token.get_secret_value())
    return ConsoleSender()
