"""asyncua's keeper of an address space, with the official NodeSets and ours in it from the beginning.

python -m nodesets.typed    loads them and keeps them beside the compiled modules, as `./cnctwin` does when it installs
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from asyncua.server.internal_server import InternalServer

from nodesets import kept, loader
from nodesets.base_types import define_base
from nodesets.space_access import set_namespace_array


class TypedServer(InternalServer):
    """Namespace 1 is that of the server itself, which has no name before somebody gives it one."""

    async def init(self, shelffile: Path | None = None) -> None:
        """Raises NodesetError or OfficialNodesetMissing."""
        if kept.restore(self.aspace):
            await self.history_manager.init()
        else:
            await self.load(shelffile)

    async def load(
        self, shelffile: Path | None = None, *, keeps: bool = not sys.dont_write_bytecode, place: Path | None = None
    ) -> bool:
        """Load all from the sources. ``keeps``: write them down, at ``place`` or where they are looked for the next time; returns
        whether that was done. Raises as ``init``."""
        begun = datetime.now(UTC)
        await super().init(shelffile)
        set_namespace_array(self.aspace, [loader.BASE_URI, ""])
        return await asyncio.to_thread(self._load, begun, keeps=keeps, place=place)

    def _load(self, begun: datetime, *, keeps: bool, place: Path | None) -> bool:
        loaded = loader.load_into(self.aspace)
        define_base(self.aspace)
        return keeps and loaded.types is not None and kept.keep(self.aspace, loaded.types, begun, place)


async def _keep() -> None:
    server = TypedServer()
    try:
        if not await server.load(keeps=True):
            sys.exit("types are kept nowhere: their folder cannot be written")
    finally:
        server.method_service.stop()


if __name__ == "__main__":
    asyncio.run(_keep())
