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

from cnctwin.settings import Settings

TIMEOUT_S: Final = 3.0
Channel = Callable[[dict[str, Any]], None]


def channels_of(settings: Settings) -> dict[str, Channel]:
    """The channels that the settings name."""
    return {"slack": _webhook(settings.slack_webhook_url)} if settings.slack_webhook_url else {}


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


def text_of(alert: dict[str, Any]) -> str:
    """One line for people."""
    value = f" ({alert['metric']} = {alert['value']:g})" if alert.get("metric") and alert.get("value") is not None else ""
    return f"[{str(alert['severity']).upper()}] {alert['machine_id']}: {alert['message']}{value}"
