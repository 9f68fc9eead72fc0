"""Queues of items on columns tell what a queue of the item's own would: values, order, overflows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from rig import Rig

from cnctwin.wire.scalars import ua
from opcua_server.engine.subscriptions.columns import Column, ColumnSlot

ROWS = 3
START = 133_000_000_000_000_000


class OwnQueue:
    """The slot of a row in another's clothes: items on it have a queue of their own, as those on nodes have."""

    def __init__(self, slot: ColumnSlot) -> None:
        self._slot = slot
        self.node_id, self.attribute = slot.node_id, slot.attribute

    @property
    def value(self) -> Any:
        return self._slot.value

    def encoded(self) -> bytes:
        return self._slot.encoded()

    def watch(self, changed: Any) -> None:
        self._slot.watch(lambda _slot: changed(self))

    def unwatch(self, changed: Any) -> None: ...


class Both:
    """Two subscriptions of the same rows: one with backlogs, one whose items have queues of their own."""

    def __init__(self, size: int, interval: float) -> None:
        self.rig = Rig()
        self.column = Column(ua.VariantType.Double, [ua.NodeId(row, 2) for row in range(ROWS)], self.rig.changes)
        self.time = START
        self.write([0.0] * ROWS)
        self.other = self.rig.subscribe()
        self.lazy = [self.rig.item(self.column.slot(row), row, interval=interval, queue_size=size) for row in range(ROWS)]
        self.own = [
            self.rig.item(OwnQueue(self.column.slot(row)), row, interval=interval, on=self.other, queue_size=size)
            for row in range(ROWS)
        ]
        self.interval = interval

    def write(self, values: list[float]) -> None:
        self.time += 10
        self.column.write(values, 0, self.time, self.time)

    def sample(self) -> None:
        if self.interval:
            self.rig.samplers[self.interval].sample()

    def told(self) -> list[list[tuple[int, Any, int]]]:
        """What each subscription says now, row by row: the order within a row is what matters."""
        said = []
        for subscription in (self.rig.subscription, self.other):
            found = []
            if subscription.has_news():
                more, message = subscription.message(0)
                assert not more
                found = _values(message)
            said.append(sorted(found, key=lambda one: one[0]))
        return said


def _values(message: tuple[bytes, ...]) -> list[tuple[int, Any, int]]:
    from cnctwin.wire import decode

    told = decode(ua.NotificationMessage, b"".join(message))
    return [
        (one.ClientHandle, one.Value.Value.Value, one.Value.StatusCode.value)
        for data in told.NotificationData
        for one in data.MonitoredItems
    ]


steps = st.lists(
    st.one_of(st.lists(st.integers(0, 3).map(float), min_size=ROWS, max_size=ROWS), st.sampled_from(["sample", "publish"])),
    max_size=30,
)


@settings(deadline=None)
@given(steps, st.integers(2, 5), st.sampled_from([0.0, 100.0]))
def test_a_backlog_tells_what_a_queue_tells(script: list[Any], size: int, interval: float) -> None:
    both = Both(size, interval)
    for step in script:
        if step == "sample":
            both.sample()
        elif step == "publish":
            lazy, own = both.told()
            assert lazy == own
        else:
            both.write(step)
    both.sample()
    lazy, own = both.told()
    assert lazy == own


def test_who_is_served_after_every_sample_needs_no_backlog() -> None:
    both = Both(16, 100.0)
    both.told()
    for number in range(1, 4):
        both.write([float(number)] * ROWS)
        both.sample()
        assert not any(item.backlog.entries for item in both.lazy)
        assert both.told()[0] == [(row, float(number), 0) for row in range(ROWS)]


def test_a_late_subscription_loses_the_oldest_and_says_so() -> None:
    both = Both(3, 100.0)
    both.told()
    for number in range(1, 7):
        both.write([float(number), 0.0, 0.0])
        both.sample()
    lazy, own = both.told()
    assert lazy == own == [(0, 4.0, 0x480), (0, 5.0, 0), (0, 6.0, 0)]


@pytest.mark.parametrize("size", [1, 2, 9])
def test_a_queue_that_is_made_longer_or_shorter_keeps_what_fits(size: int) -> None:
    both = Both(4, 100.0)
    both.told()
    for number in range(1, 4):
        both.write([float(number), 0.0, 0.0])
        both.sample()
    item = both.lazy[0]
    item.queue_size = size
    item.fit_backlog()
    kept = [(0, float(number), 0) for number in range(1, 4)][-size:]
    if size == 2:
        kept[0] = (0, 2.0, 0x480)
    assert both.told()[0] == kept
