"""``python -m kapelle``: the command where its script is not on the path."""

from kapelle.cli.main import main

if __name__ == "__main__":
    main()
