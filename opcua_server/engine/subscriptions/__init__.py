"""Subscriptions and monitored items: what changed is found, encoded once, and shared by everybody who asked for it.

    columns, slots --> samplers (per interval) --> items (plain | queued | events) --> panels, messages --> desks (publish requests)

Everything but ``service``, ``items`` and ``events`` is pure.
"""
