"""The simulated mill held against real mills: statistics of its telemetry, and the command that prints them."""
