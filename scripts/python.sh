#!/bin/sh
# Runs Python for the project's scripts: the one named by PYTHON, else the one of .venv,
# else the first on this machine that is new enough and can make virtual environments.
set -eu

if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ]; then
    exec .venv/bin/python "$@"
fi

# Python 3.14 comes last: compiled libraries publish wheels for it late.
tried=""
for python in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
    if ! version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then
        tried="$tried\n  $python: not found, or it does not start"
    elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        tried="$tried\n  $python: is Python $version, needed is 3.11 or newer"
    elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        tried="$tried\n  $python: lacks venv or pip (Debian and Ubuntu: apt install python$version-venv)"
    else
        exec "$python" "$@"
    fi
done

printf "No Python to build with. Needed: Python 3.11 or newer with venv and pip. Tried:$tried\n" >&2
printf 'Install one, or name one you have: make PYTHON=/path/to/python3.11 ...\n' >&2
exit 1
