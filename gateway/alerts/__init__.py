"""Alerts to people: what is sent, what waits, what is left out."""

from gateway.alerts.alerts import Alert, Alerts, Outcome

__all__ = ["Alert", "Alerts", "Outcome"]
