"""A whole system in one process: what tests run, and what another ASGI application mounts."""
