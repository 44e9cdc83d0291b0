"""What the Makefile runs. Standard library only: these scripts make the environment that everything else lives in."""
