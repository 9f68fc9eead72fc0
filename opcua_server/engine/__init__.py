"""The server front: OPC UA on the wire, over asyncua's address space and types (docs/decisions/0006-own-server-front.md)."""
