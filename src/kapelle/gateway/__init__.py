"""The process that speaks HTTP, runs the app and calls the services."""
