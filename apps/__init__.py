"""Applications built with Kapelle, each in a folder of its own."""
