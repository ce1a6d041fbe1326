"""The users' hands: plain calls to the API server as its administrator, without a kubectl process for each."""

from __future__ import annotations

import base64
import ssl
import time
from typing import Any

import httpx

from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.services import PUBLIC_KEY, SECRET_KEY

Body = dict[str, Any]
GROUP = "/apis/dispersed.dev/v1alpha1"
MOST_TRIES = 10
_MERGE = {"Content-Type": "application/merge-patch+json"}


class RefusedError(Exception):
    """The API server said no; `status` is its answer."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(f"{status}: {text[:400]}")


class Cluster:
    """One namespace of the API server, and what users do in it. Every call may raise `RefusedError`."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.namespace = namespace
        self._http = httpx.Client(
            base_url=plane.base_url,
            verify=ssl.create_default_context(cafile=str(plane.ca_file)),
            headers={"Authorization": f"Bearer {plane.admin_token}"},
            timeout=30.0,
            trust_env=False,
        )
        self.jobs_path = f"{GROUP}/namespaces/{namespace}/dispersedjobs"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, method: str, path: str, body: Body | None = None, *, merge: bool = False) -> Body:
        """One call. A connection that an earlier API server left behind is tried again, and so is a 429: an API server
        that has just started answers so until it has read its storage."""
        for left in range(MOST_TRIES, 0, -1):
            try:
                answer = self._http.request(method, path, json=body, headers=_MERGE if merge else None)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if left == 1:
                    raise
                continue
            if answer.status_code != 429 or left == 1:
                break
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        if answer.is_error:
            raise RefusedError(answer.status_code, answer.text)
        return dict(answer.json())

    def cluster_id(self) -> str:
        """The uid of kube-system."""
        return str(self.call("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"])

    def prepare(self, base_url: str) -> None:
        """Namespace, key and account."""
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        pair = {"publicKey": PUBLIC_KEY, "secretKey": SECRET_KEY}
        data = {name: base64.b64encode(value.encode()).decode() for name, value in pair.items()}
        secret = {"metadata": {"name": "dispersed-api-key"}, "data": data}
        self.call("POST", f"/api/v1/namespaces/{self.namespace}/secrets", secret)
        spec = {
            "baseURL": base_url, "credentialsSecretRef": {"name": "dispersed-api-key"},
            "polling": {"intervalSeconds": 5},
        }  # fmt: skip
        self.call("POST", self._account_path(""), _body("DispersedAccount", "default", spec))

    def jobs(self) -> list[Body]:
        """All DispersedJobs of the namespace."""
        return list(self.call("GET", self.jobs_path)["items"])

    def job(self, name: str) -> Body | None:
        """One DispersedJob, None if it is gone."""
        try:
            return self.call("GET", f"{self.jobs_path}/{name}")
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def create_job(self, name: str, *, persistent: bool) -> Body:
        """A small job; what was stored."""
        template: Body = {"title": name, "image": "registry.example.com/team/worker"}
        spec: Body = {"task": "Batch", "deadlines": {"runSeconds": 900}, "template": template}
        if persistent:
            template |= {"ports": [{"name": "web", "containerPort": 8080}], "allowedCIDRs": ["127.0.0.1/32"]}
            spec = {"task": "Persistent", "template": template}
        return self.call("POST", self.jobs_path, _body("DispersedJob", name, spec))

    def delete_job(self, name: str) -> None:
        """Delete without waiting."""
        self.call("DELETE", f"{self.jobs_path}/{name}")

    def patch_job(self, name: str, patch: Body, *, status: bool = False) -> Body:
        """A merge patch, or one of the status."""
        return self.call("PATCH", f"{self.jobs_path}/{name}{'/status' if status else ''}", patch, merge=True)

    def nudge_account(self, stamp: str) -> None:
        """A change of the account makes an operator check it now."""
        patch = {"metadata": {"annotations": {"dispersed.dev/test-note": stamp}}}
        self.call("PATCH", self._account_path("/default"), patch, merge=True)

    def account_ready(self) -> bool:
        """Whether the account says Ready."""
        status = self.call("GET", self._account_path("/default")).get("status") or {}
        return any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions") or ())

    def events(self, reason: str) -> set[str]:
        """The uids of all Events with this reason."""
        found = self.call("GET", f"/api/v1/namespaces/{self.namespace}/events?fieldSelector=reason%3D{reason}")
        return {item["metadata"]["uid"] for item in found["items"]}

    def _account_path(self, rest: str) -> str:
        return f"{GROUP}/namespaces/{self.namespace}/dispersedaccounts{rest}"


def _body(kind: str, name: str, spec: Body) -> Body:
    return {"apiVersion": "dispersed.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
