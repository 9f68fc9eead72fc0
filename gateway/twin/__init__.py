"""The twin: what the gateway knows of every machine. Pure: no event loop, no sockets, no clock; time comes in with the data."""

from gateway.twin.recent import Recent
from gateway.twin.telemetry import Document, document
from gateway.twin.twin import MachineTwin, Twin, Update

__all__ = ["Document", "MachineTwin", "Recent", "Twin", "Update", "document"]
