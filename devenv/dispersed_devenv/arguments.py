"""The command lines of etcd, the API server and the controller manager: pure text, no process is started here.

Everything listens on loopback alone. Nothing is switched off that the operator could notice: authorization by
RBAC, admission with CEL, priority and fairness are those of a real cluster. The exception is the admission plugin
ServiceAccount, which would hold up every Pod until a controller has made its token.
"""

from dataclasses import dataclass
from pathlib import Path

from dispersed_devenv.identity import Identity
from dispersed_devenv.ports import LOOPBACK

CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "clusterrole-aggregation-controller",
)
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: {level}
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one control plane below its folder."""

    folder: Path

    @property
    def identity(self) -> Path:
        return self.folder / "identity.json"

    @property
    def etcd_data(self) -> Path:
        return self.folder / "etcd"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def ca_file(self) -> Path:
        """Made by the API server at its first start: its certificate and the authority that signed it."""
        return self.pki / "apiserver.crt"

    @property
    def service_account_key(self) -> Path:
        return self.pki / "service-account.key"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.csv"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def audit_policy(self) -> Path:
        return self.folder / "audit-policy.yaml"

    @property
    def audit_log(self) -> Path:
        return self.folder / "logs" / "audit.jsonl"

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def pid_file(self, name: str) -> Path:
        return self.folder / "pids" / f"{name}.pid"


def etcd_arguments(layout: Layout, identity: Identity) -> list[str]:
    client = f"http://{LOOPBACK}:{identity.etcd_client_port}"
    peer = f"http://{LOOPBACK}:{identity.etcd_peer_port}"
    return [
        "--name=dev",
        f"--data-dir={layout.etcd_data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=dev={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_arguments(layout: Layout, identity: Identity, *, audit_log: bool) -> list[str]:
    arguments = [
        f"--etcd-servers=http://{LOOPBACK}:{identity.etcd_client_port}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={identity.apiserver_port}",
        f"--cert-dir={layout.pki}",
        f"--token-auth-file={layout.tokens}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={layout.service_account_key}",
        f"--service-account-signing-key-file={layout.service_account_key}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
        # Without it an open watch holds up the end of the server for a minute.
        "--shutdown-watch-termination-grace-period=1s",
    ]
    if audit_log:
        arguments += [f"--audit-policy-file={layout.audit_policy}", f"--audit-log-path={layout.audit_log}"]
    return arguments


def controller_manager_arguments(layout: Layout, identity: Identity) -> list[str]:
    return [
        f"--kubeconfig={layout.kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--leader-elect=false",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={identity.controllers_port}",
        f"--cert-dir={layout.pki}",
        f"--service-account-private-key-file={layout.service_account_key}",
        f"--root-ca-file={layout.ca_file}",
        "--profiling=false",
    ]
