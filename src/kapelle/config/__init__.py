"""Settings: read once, checked, frozen."""
