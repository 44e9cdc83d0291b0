"""The controller: starts, watches, restarts and drains the processes of a system. The data plane goes on without it."""
