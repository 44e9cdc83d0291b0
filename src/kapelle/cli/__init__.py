"""The command line: verbs, thin."""
