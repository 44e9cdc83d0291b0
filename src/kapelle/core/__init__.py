"""Decisions without I/O: events and ``now`` in, effects out. No clock, no randomness, no sockets, no logging here."""
