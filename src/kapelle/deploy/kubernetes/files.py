"""All files of a system on Kubernetes: the base, which is generated, and the kustomization above it, which is the user's."""

from __future__ import annotations

from typing import Any

from kapelle.deploy.kubernetes.components import component_files
from kapelle.deploy.kubernetes.network import network_file
from kapelle.deploy.kubernetes.pods import SHARED, credentials, image_name
from kapelle.deploy.kubernetes.workloads import shared, stream, workload_files
from kapelle.deploy.secrets import FOLDER, PEERS
from kapelle.deploy.topology import Role, Topology, environment
from kapelle.deploy.yaml import Note, document
from kapelle.errors import DeployError

BASE, COMPONENTS, TOP = "base", "components", "kustomization.yaml"
GATEWAYS = 2
"""The least number of gateways: one serves while another is replaced, or its machine is lost."""

_KUSTOMIZE = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


def kubernetes_files(system: Topology, *, observe: bool) -> dict[str, str]:
    """The text of each file, by its name.

    Raises:
        DeployError: the store is a folder of a machine, or two Services would have the same name.
    """
    if system.store and not system.in_s3:
        raise DeployError(
            f"the store {system.store} is a folder of a machine, and pods run on any; use s3://bucket/prefix, or leave it "
            "out for a PersistentVolumeClaim"
        )
    if any(part.name == system.name for part in system.of(Role.CONTROLLER, Role.REPLICA, Role.GATEWAY)):
        raise DeployError(
            f"the app and a part of it would both be called {system.name}, and so would their Services of Kubernetes; "
            "rename one of the classes"
        )
    base = {
        "namespace.yaml": _namespace(system),
        "account.yaml": stream("The pods' account; it may do nothing.", [_account(system)]),
        "network.yaml": network_file(system),
        **({} if system.in_s3 else {"store.yaml": _store(system)}),
    }
    # A class may be called Network or Store, too.
    taken = {*base, TOP}
    base |= {
        name.replace(".yaml", ".replicas.yaml") if name in taken else name: text
        for name, text in workload_files(system).items()
    }
    return {
        TOP: document(_head(system), _top(system, observe=observe)),
        f"{BASE}/{TOP}": document("All that is always there.", _base(system, sorted(base))),
        **{f"{BASE}/{name}": text for name, text in base.items()},
        **{f"{COMPONENTS}/{name}": text for name, text in component_files(system).items()},
    }


def _head(system: Topology) -> str:
    return (
        f"{system.name} on Kubernetes, made by `kapelle deploy kubernetes`. Edit it: an edited file is left alone.\n"
        "\n"
        "  kapelle deploy kubernetes TARGET --up     apply it, and wait until it serves\n"
        "  kubectl apply -k .\n"
        f"  kubectl -n {system.name} exec deploy/controller -- kapelle status\n"
        "  kapelle down kubernetes TARGET            take it away; --volumes with all that it has stored\n"
        "\n"
        "This file is the place for what your cluster has of its own; the base follows the app."
    )


def _top(system: Topology, *, observe: bool) -> dict[str, Any]:
    chosen = [f"{COMPONENTS}/observe"] if observe else []
    known = [f"{COMPONENTS}/{name}" for name in ("autoscale-cpu", "autoscale-queue", "rebuild", "observe")]
    others = "\n".join(["What may be had besides:", *(f"- {name}" for name in known if name not in chosen)])
    return {
        **_KUSTOMIZE,
        "namespace": system.name,
        "resources": [BASE],
        "components": Note(others, chosen),
    }


def _base(system: Topology, files: list[str]) -> dict[str, Any]:
    [controller] = system.of(Role.CONTROLLER)
    settings = environment(system, controller, peers="{service}", node="")
    shown = [f"{FOLDER}/{name}" for name in (PEERS, *system.certificates.files)]
    secrets = [{"name": PEERS, "files": shown}, *([credentials()] if system.in_s3 else [])]
    return {
        **_KUSTOMIZE,
        "namespace": system.name,
        "resources": files,
        "images": Note("Each tag is a digest of all that is in the image.", _images(system)),
        "configMapGenerator": Note(
            "How the parts find each other; `kapelle config` explains each of them.",
            [{"name": "settings", "literals": [f"{name}={settings[name]}" for name in SHARED if name in settings]}],
        ),
        "secretGenerator": Note("Files that git does not see.", secrets),
        "generatorOptions": {"labels": {"app.kubernetes.io/instance": system.name}},
    }


def _images(system: Topology) -> list[dict[str, str]]:
    found = {
        image_name(part): part.image.reference
        for part in system.of(Role.CONTROLLER, Role.REPLICA, Role.GATEWAY, Role.RELEASE)
    }
    pairs = ((name, reference.rpartition(":")) for name, reference in sorted(found.items()))
    return [{"name": name, "newName": new, "newTag": tag} for name, (new, _, tag) in pairs]


def _namespace(system: Topology) -> str:
    about = {
        "name": system.name,
        "labels": {
            "app.kubernetes.io/instance": system.name,
            "pod-security.kubernetes.io/enforce": Note(
                "No pod here may have more rights than ours need.", "restricted"
            ),
        },
    }
    return stream("Where all of it is.", [{"apiVersion": "v1", "kind": "Namespace", "metadata": about}])


def _account(system: Topology) -> dict[str, Any]:
    return {**shared(system, "ServiceAccount", system.name, "v1", None), "automountServiceAccountToken": False}


def _store(system: Topology) -> str:
    spec = {
        "accessModes": Note(
            "All pods read it, on whichever machine they are; the class has to allow it.", ["ReadWriteMany"]
        ),
        "resources": {"requests": {"storage": "10Gi"}},
    }
    claim = shared(system, "PersistentVolumeClaim", "store", "v1", spec)
    return stream("The releases.", [claim])
