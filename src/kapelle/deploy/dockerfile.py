"""The text of the Dockerfile: one function per stage. What each is for stands above it, for whoever owns the file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from kapelle.deploy.requirements import ALONE
from kapelle.deploy.stages import Stage

MOMENT = 315532800
"""1980-01-01, the time of every file that is made here: the same input is to give the same bytes."""
INSTALLER = "install.sh"
REQUIREMENTS = "requirements"
USER = 10001

INSTALL = """\
#!/bin/sh
# Installs Python packages, in the stages that make images: install.sh FOLDER FILE...
# Into /opt/venv, or what is not there yet into another folder. Files called *-nodeps.txt are installed without what their
# packages declare to need; a wheel is installed by itself.
set -eu
folder=$1
shift

# How pip reaches packages may be private to where this runs: `docker build --secret id=ca,src=...` lends it certificates,
# `--secret id=pip,src=...` its configuration. No image keeps them.
if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi
if [ -f /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi

pip() {
    python3 -m pip --python /opt/venv/bin/python --disable-pip-version-check --no-input "$@"
}

# Byte code is compiled below, to be the same each time.
options="--no-compile"
if [ "$folder" != /opt/venv ]; then
    # Beside what is there, and without changing it: a version that does not suit is an error.
    pip list --format=freeze --exclude kapelle >/build/there.txt
    options="$options --prefix $folder --constraint /build/there.txt"
fi
together=""
for file in "$@"; do
    case $file in
        *-nodeps.txt | *.whl) ;;
        *) together="$together --requirement $file" ;;
    esac
done
# Word splitting is meant: these are lists of options.
if [ -n "$together" ]; then pip install $options $together; fi
for file in "$@"; do
    case $file in
        *-nodeps.txt) pip install $options --no-deps --requirement "$file" ;;
        *.whl) pip install $options --no-deps --no-index "$file" ;;
    esac
done

# Files of old Pythons, which some packages bring, do not compile; nobody imports them.
mkdir -p "$folder"
/opt/venv/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash -s "$folder" -p /opt/venv "$folder" || true
find "$folder" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
"""


def head(place: str, base: str) -> str:
    """What stands above all stages."""
    return f"""\
# The images of {place}. `kapelle build {place}` writes this file, builds all of them, and gives
# them their names; `docker build --target gateway .` builds one. Copy the folder before you edit it: it is written anew.
#
# Dependencies come before Kapelle, Kapelle before the app: a change of code makes one small layer anew. What builds and
# compiles stays in stages that no image is made from.
ARG BASE={base}"""


def builder() -> Stage:
    """The tools that the others install with."""
    text = f"""\
# Where packages are installed: an empty environment, and the base's pip to fill it.
FROM ${{BASE}} AS builder
ARG SOURCE_DATE_EPOCH={MOMENT}
ENV SOURCE_DATE_EPOCH=${{SOURCE_DATE_EPOCH}} PIP_CACHE_DIR=/var/cache/pip PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /opt/venv
WORKDIR /build
COPY {INSTALLER} ./"""
    return Stage("builder", text, copies=(INSTALLER,))


def dependencies(name: str, files: Sequence[str], read: Sequence[str]) -> Stage:
    """A stage with these requirement files installed; ``read`` are all that pip reads."""
    text = f"""\
# The dependencies: {_for(name)}. pip's cache stays with the engine that builds.
FROM builder AS {name}
{_copy(read)}
{_install("/opt/venv", files)}"""
    return Stage(name, text, takes=("builder",), copies=tuple(read))


def beyond(name: str, below: str, folder: str, files: Sequence[str], read: Sequence[str]) -> Stage:
    """A stage with what these files need beyond what another stage has, in a folder to lay over that."""
    text = f"""\
# What {_for(name)} needs beyond that, beside it so that it is a layer of its own.
FROM {below} AS {name}
{_copy(read)}
{_install(folder, files)}"""
    return Stage(name, text, takes=(below,), copies=tuple(read))


def package(wheel: str) -> Stage:
    """Kapelle itself."""
    text = f"""\
# Kapelle, without what it needs: that is a dependency like others.
FROM builder AS package
COPY {wheel} ./
RUN sh {INSTALLER} /opt/kapelle {wheel.rpartition("/")[2]}"""
    return Stage("package", text, takes=("builder",), copies=(wheel,))


def code(name: str, folder: str, into: str) -> Stage:
    """Files of the app, with the byte code of what is Python; ``into`` is where they lie here, to be /app in images."""
    says = "The code of the app" if name == "code" else "More files of the app"
    text = f"""\
# {says}, with byte code that Python takes as it is: nothing is compiled at a start.
FROM builder AS {name}
COPY {folder} {into}/
RUN python3 -m compileall -q --invalidation-mode unchecked-hash -s {into} -p /app {into} \\
    && find {into} -exec touch --no-dereference --date="@${{SOURCE_DATE_EPOCH}}" {{}} +"""
    return Stage(name, text, takes=("builder",), copies=(folder,))


def base() -> Stage:
    """The ground of all images: the user, the folders, the environment."""
    text = f"""\
# The ground of all images: a user without rights, and the folders that are its own; volumes take their
# owner from these, and memory that is mounted its mode.
FROM ${{BASE}} AS base
ARG SOURCE_DATE_EPOCH={MOMENT}
RUN echo "kapelle:x:{USER}:{USER}::/app:/usr/sbin/nologin" >>/etc/passwd \\
    && echo "kapelle:x:{USER}:" >>/etc/group \\
    && install -d -o {USER} -g {USER} /var/lib/kapelle /var/lib/kapelle/store /var/lib/kapelle/cache \\
        /run/kapelle-door \\
    && install -d -m 1777 /run/kapelle \\
    && install -d /app /opt/venv \\
    && touch --date="@${{SOURCE_DATE_EPOCH}}" / /etc /etc/passwd /etc/group /app /opt /opt/venv \\
        /run /run/kapelle /run/kapelle-door /var/lib /var/lib/kapelle /var/lib/kapelle/store /var/lib/kapelle/cache
ENV PATH=/opt/venv/bin:$PATH \\
    HOME=/tmp \\
    PYTHONUNBUFFERED=1 \\
    PYTHONDONTWRITEBYTECODE=1 \\
    KAPELLE_HOST=0.0.0.0 \\
    KAPELLE_STORE=/var/lib/kapelle/store \\
    KAPELLE_CACHE=/var/lib/kapelle/cache \\
    KAPELLE_RUN_DIR=/run/kapelle/app \\
    KAPELLE_LOG_FORMAT=json
WORKDIR /app
USER {USER}:{USER}
# dumb-init is the first process: it forwards signals, buries orphans, and ends with the status of its child.
ENTRYPOINT ["dumb-init", "--single-child", "--"]
STOPSIGNAL SIGTERM"""
    return Stage("base", text)


def runtime(name: str, dependencies: str, environment: Mapping[str, str], labels: Mapping[str, str]) -> Stage:
    """An image with packages and Kapelle, and no code of the app."""
    text = f"""\
# Kapelle with {_for(dependencies)}, and no code.
FROM base AS {name}
COPY --from={dependencies} /opt/venv /opt/venv
COPY --from=package /opt/kapelle /opt/venv
HEALTHCHECK --interval=5s --timeout=5s --start-period=10m --retries=3 CMD ["python", "-P", "-m", "kapelle.healthcheck"]
{_environment(environment)}{_labels(labels)}
CMD ["kapelle", "start", "door"]"""
    return Stage(name, text, takes=("base", dependencies, "package"))


def served(name: str, runtime: str, labels: Mapping[str, str], command: Sequence[str]) -> Stage:
    """An image that serves: a runtime and the code of the app."""
    everybody = "The gateway, the controller, and every service that needs no more"
    text = f"""\
# {everybody if name == "gateway" else f"Services that need {_for(name)}"}.
FROM {runtime} AS {name}
COPY --from=code /app /app
{_labels(labels)}
CMD {json.dumps([*command])}"""
    return Stage(name, text, takes=(runtime, "code"))


def job(name: str, says: str, layers: Mapping[str, str], labels: Mapping[str, str], command: Sequence[str]) -> Stage:
    """An image that does one thing and ends: the gateway's, with folders of other stages laid over it."""
    copies = "\n".join(
        f"COPY --from={stage} {path} {'/opt/venv' if path.startswith('/opt/') else '/app'}"
        for stage, path in layers.items()
    )
    text = f"""\
# {says}
FROM gateway AS {name}
{copies}
HEALTHCHECK NONE
{_labels(labels)}
CMD {json.dumps([*command])}"""
    return Stage(name, text, takes=("gateway", *layers))


def _install(folder: str, files: Sequence[str]) -> str:
    names = " ".join(sorted((file.rpartition("/")[2] for file in files), key=lambda one: (one.endswith(ALONE), one)))
    return f"""\
RUN --mount=type=cache,id=kapelle-pip,target=/var/cache/pip,sharing=locked \\
    --mount=type=secret,id=ca --mount=type=secret,id=pip \\
    sh {INSTALLER} {folder} {names}"""


def _copy(files: Sequence[str]) -> str:
    return f"COPY {' '.join(files)} ./"


def _for(stage: str) -> str:
    name = re.sub(r"^(dependencies|services)-?", "", stage)
    return {
        "": "what the app needs",
        "build": "its builder",
        "tests": "its tests",
        "cuda": "ONNX Runtime with CUDA",
    }.get(name, f"the packages of {name!r}")


def _environment(values: Mapping[str, str]) -> str:
    return "".join(f"ENV {name}={value}\n" for name, value in values.items())


def _labels(values: Mapping[str, str]) -> str:
    return "LABEL " + " \\\n    ".join(f"{name}={json.dumps(value)}" for name, value in sorted(values.items()))
