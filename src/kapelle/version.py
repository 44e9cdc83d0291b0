"""The version of the package, for rooms that must not know the package as a whole."""

VERSION = "0.1.0"
