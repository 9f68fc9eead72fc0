"""The server front: OPC UA on the wire, over asyncua's address space and types (docs/decisions/0006-own-server-front.md).

contract      what the parts say to each other; ``Core`` and ``Room`` for services that are added
frames        HEL, ACK, ERR, chunks                                     pure
policies      security policies: signing, encrypting, keys              pure
channel       one secure channel: tokens, sequence numbers              pure
connection    one socket, its limits and times; reply: the answer to one request
services      the table: bytes to handler and back
sessions      who is there: create, activate, close
discovery, attributes (values, ranges), view, methods                   the services
subscriptions                                                           a room of its own
engine        all of it on a port: ``Engine.of(server)``
"""
