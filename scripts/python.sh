#!/bin/sh
# Runs Python for the project's scripts: the one named by PYTHON, else the one of .venv,
# else the first on this machine that is new enough and can make virtual environments,
# unless another one here is faster by a fifth: a distribution's is, beside one that was built
# without profile-guided optimisation, as pyenv builds them.
set -eu

if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ]; then
    exec .venv/bin/python "$@"
fi

tried=""
seen=":"
chosen=""
first=""

# Microseconds of CPU that the Python $1 takes for a loop of what servers do most: calls, attributes, small objects.
pace_of() {
    "$1" -c '
from time import process_time

class Held:
    __slots__ = ("number",)

    def __init__(self, number):
        self.number = number

    def after(self, other):
        return self.number + other

def turn():
    began, found, total = process_time(), {}, 0
    for number in range(5000):
        found[number & 63] = held = Held(number)
        total += held.after(1) + len(b"%d" % number)
        if number in found:
            total -= 1
    return process_time() - began

print(round(1e6 * min(turn() for _ in range(15))))'
}

# Choose the Python $1 if it will do, and none was chosen before or that one is slower.
consider() {
    who='import os, sys; print("%d.%d" % sys.version_info[:2], os.path.realpath(sys.executable))'
    if ! found=$("$1" -c "$who" 2>/dev/null); then
        tried="$tried\n  $1: not found, or it does not start"
        return
    fi
    version=${found%% *}
    case $seen in *":${found#* }:"*) return ;; esac
    seen="$seen${found#* }:"
    if ! "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        tried="$tried\n  $1: is Python $version, needed is 3.11 or newer"
    elif ! "$1" -c 'import venv, ensurepip' 2>/dev/null; then
        tried="$tried\n  $1: lacks venv or pip (Debian and Ubuntu: apt install python$version-venv)"
    else
        its_pace=$(pace_of "$1")
        if [ -z "$chosen" ] || [ $((its_pace * 6)) -lt $((pace * 5)) ]; then
            first=${first:-$1}
            chosen=$1
            pace=$its_pace
        fi
    fi
}

if [ -n "${PYTHON:-}" ]; then
    consider "$PYTHON"
else
    # Python 3.14 comes last: compiled libraries publish wheels for it late.
    for name in python3 python3.13 python3.12 python3.11 python3.14; do
        consider $name
    done
    # Behind a python3 that stands before it on the path there may be the distribution's own.
    IFS=:
    for folder in $PATH; do
        [ ! -x "$folder/python3" ] || consider "$folder/python3"
    done
    unset IFS
fi

if [ -n "$chosen" ]; then
    if [ "$chosen" != "$first" ]; then
        echo "Taking $chosen, which is faster than $first here (built with optimisations, probably);" >&2
        echo "make PYTHON=$first takes that one." >&2
    fi
    exec "$chosen" "$@"
fi

printf "No Python to build with. Needed: Python 3.11 or newer with venv and pip. Tried:$tried\n" >&2
printf 'Install one, or name one you have: make PYTHON=/path/to/python3.11 ...\n' >&2
exit 1
