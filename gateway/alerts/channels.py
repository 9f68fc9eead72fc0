"""Ways an alert reaches people. Each is a function that returns when it was delivered and raises OSError when it was not.

Adding one: a function here and its line in ``channels_of``.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from cnctwin.errors import ConfigurationError
from cnctwin.settings import Settings

TIMEOUT_S: Final = 3.0
Channel = Callable[[dict[str, Any]], None]


def channels_of(settings: Settings) -> dict[str, Channel]:
    """The channels that the settings name. Raises ConfigurationError for what cannot be used."""
    channels = {"slack": _webhook(settings.slack_webhook_url)} if settings.slack_webhook_url else {}
    problems: list[str] = []
    for number, url in enumerate(settings.alert_urls, 1):
        # Numbered, not named by address: that holds a password or token.
        try:
            channels[f"{urlsplit(url).scheme or 'channel'} {number}"] = _apprise(url)
        except ValueError as error:
            problems.append(f"alert_urls, address {number}: {error}")
    if problems:
        raise ConfigurationError(problems)
    return channels


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None  # a webhook that points elsewhere is a mistake or a trap


def _webhook(url: str) -> Channel:
    """A Slack-compatible incoming webhook: one POST of {"text": ...}."""
    opener = urllib.request.build_opener(_NoRedirects)

    def send(alert: dict[str, Any]) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise OSError("the webhook is no http address")
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            url, json.dumps({"text": text_of(alert)}).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with opener.open(request, timeout=TIMEOUT_S) as response:
                response.read(1024)
        except urllib.error.HTTPError as error:
            with error:
                raise OSError(f"the webhook answered {error.code}") from None
        except ValueError as error:
            raise OSError(str(error)) from error

    return send


def _apprise(url: str) -> Channel:
    """One of the services that Apprise knows. Raises ValueError where it is not installed or does not know the address."""
    try:
        import apprise
    except ImportError as error:
        raise ValueError("needs the extra `alerts`: pip install 'cnctwin[alerts]'") from error
    service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if service is None:
        raise ValueError("is no address that Apprise knows")

    def send(alert: dict[str, Any]) -> None:
        if not service.notify(body=text_of(alert), title=f"{alert['machine_id']}: {alert['severity']}"):
            raise OSError("the service did not take it")

    return send


def text_of(alert: dict[str, Any]) -> str:
    """One line for people."""
    value = f" ({alert['metric']} = {alert['value']:g})" if alert.get("metric") and alert.get("value") is not None else ""
    return f"[{str(alert['severity']).upper()}] {alert['machine_id']}: {alert['message']}{value}"
