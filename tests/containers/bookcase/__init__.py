"""An app for tests of whole systems in containers: its answers prove of which release and code each part is."""
