"""MQTT: what is published (sinks, one file each) and the connection that carries it."""
