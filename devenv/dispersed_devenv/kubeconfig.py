"""Kubeconfig files: one cluster, one user with a bearer token, one context."""

from pathlib import Path

import yaml

from dispersed_devenv.files import write_private

CONTEXT = "dispersed-dev"


def write_kubeconfig(path: Path, *, server: str, ca_file: Path, token: str, namespace: str = "default") -> Path:
    """Write a kubeconfig that only its owner can read, and give its path back.

    The certificate is named by its path, so the file is good for as long as the folder of the control plane is.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [
            {"name": CONTEXT, "cluster": {"server": server, "certificate-authority": str(ca_file.resolve())}},
        ],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": namespace}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, yaml.safe_dump(document, sort_keys=False))
    return path
