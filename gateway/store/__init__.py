"""What the gateway remembers: frames of all numbers, samples of the rest, rollups, events, records, and the audit of commands."""

from gateway.store.store import Store

__all__ = ["Store"]
