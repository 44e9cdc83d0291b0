"""Values that cross the wire: arrays, and the hooks by which users' own types become plain data and back."""
