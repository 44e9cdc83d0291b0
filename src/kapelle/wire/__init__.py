"""Frames, messages and payloads as bytes; no sockets here. Never pickle on a wire."""
