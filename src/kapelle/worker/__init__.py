"""The process that runs a service's instances."""
