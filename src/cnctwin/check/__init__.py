"""Conformance of an OPC UA server, ours or another's, seen by a client: `cnctwin check-server opc.tcp://...`."""
