"""What the address space says about commands and results: which method is which command, and which nodes are results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua

from nodesets.methods import Method


@dataclass(slots=True)
class Rights:
    """Filled when the machines are built.

    ``methods``: (object, method) -> its machine and the command it is. ``results``: nodes only the Analytics role writes -> their
    machine. ``on_results``: told which machine's results were written, and by which session, for the watchdog.

    ``private``: nodes whose values only administrators read. ``admin_methods``: methods of the server that only they call, and
    encrypted; ``secret_arguments``: those of them whose arguments no audit event may carry. ``operator_methods``: methods of
    conditions, for those who may command a machine.
    """

    methods: dict[tuple[ua.NodeId, ua.NodeId], tuple[str, Method]] = field(default_factory=dict)
    results: dict[ua.NodeId, str] = field(default_factory=dict)
    on_results: Callable[[str, Any], None] | None = None
    private: set[ua.NodeId] = field(default_factory=set)
    admin_methods: set[ua.NodeId] = field(default_factory=set)
    secret_arguments: set[ua.NodeId] = field(default_factory=set)
    plate: set[ua.NodeId] = field(default_factory=set)
    """What of name plates engineers write."""
    user_writable: set[ua.NodeId] = field(default_factory=set)
    """UserWritable of NC programs: false for those who may not change them."""
    operator_methods: set[ua.NodeId] = field(default_factory=set)
    switches: set[ua.NodeId] = field(default_factory=set)
    """What administrators turn on and off."""

    def add_machine(
        self, machine_id: str, methods: Mapping[Method, tuple[ua.NodeId, ua.NodeId]], results: Iterable[ua.NodeId]
    ) -> None:
        self.add_methods(machine_id, methods)
        self.results.update(dict.fromkeys(results, machine_id))

    def add_methods(self, machine_id: str, methods: Mapping[Method, tuple[ua.NodeId, ua.NodeId]]) -> None:
        """Methods that act on a machine, each by the role that it names."""
        self.methods.update({nodes: (machine_id, method) for method, nodes in methods.items()})
