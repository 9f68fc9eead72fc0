"""What the applications share, in one place, so that all of them are wired alike."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.alerts import Alerts
from gateway.commands import Commands
from gateway.core import Gateway
from gateway.detector import Detector
from gateway.records import Records
from gateway.store import Store


@dataclass(frozen=True, slots=True)
class Parts:
    gateway: Gateway
    store: Store
    commands: Commands
    records: Records
    alerts: Alerts
    detector: Detector
