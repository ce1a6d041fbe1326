"""From the service's `node_urls` to endpoints and connection data (API reference §6.3, §13).

An endpoint is found by the description (`ssh`, or the container port as text), never by the external port. Access
tokens go into the connection Secret and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dispersed_operator.model.job import DispersedJobSpec, PortProtocol
from dispersed_operator.model.remote import NodeURL, RemoteJob, RemoteRun

SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One reachable port, in the words of the status."""

    name: str
    container_port: int
    protocol: str
    host: str
    port: int
    tls: bool
    url: str

    def as_status(self) -> dict[str, object]:
        return {
            "name": self.name,
            "containerPort": self.container_port,
            "protocol": self.protocol,
            "host": self.host,
            "port": self.port,
            "tls": self.tls,
            "url": self.url,
        }


def expected_ports(spec: DispersedJobSpec) -> tuple[int, ...]:
    """The container ports that must show before the job is ready."""
    if spec.template is None:
        return ()
    ports = tuple(port.container_port for port in spec.template.ports)
    return (SSH_PORT, *ports) if spec.template.ssh is not None else ports


def endpoints_of(spec: DispersedJobSpec, run: RemoteRun) -> tuple[Endpoint, ...]:
    """The declared ports that the run has published so far, ssh first, in the order of the spec."""
    published = {_container_port(url): url for url in run.node_urls}
    found: list[Endpoint] = []
    if spec.template is None:
        return ()
    ssh = spec.template.ssh
    if ssh is not None and SSH_PORT in published:
        url = published[SSH_PORT]
        address = f"ssh://{ssh.user}@{url.hostname}:{url.port}"
        found.append(Endpoint("ssh", SSH_PORT, "ssh", url.hostname, url.port, False, address))
    found.extend(
        _endpoint(port.name, port.container_port, port.protocol, published[port.container_port])
        for port in spec.template.ports
        if port.container_port in published
    )
    return tuple(found)


def connection_data(
    spec: DispersedJobSpec, job: RemoteJob, run: RemoteRun, endpoints: Sequence[Endpoint]
) -> dict[str, str]:
    """The data of the connection Secret (resources, Connection Secret). Secret: it holds the access token."""
    data = {"run-uuid": run.uuid}
    for endpoint in endpoints:
        if endpoint.protocol == "ssh":
            ssh = spec.template.ssh if spec.template is not None else None
            user = ssh.user if ssh is not None else ""
            data |= {
                "ssh-host": endpoint.host,
                "ssh-port": str(endpoint.port),
                "ssh-user": user,
                "ssh-command": f"ssh -p {endpoint.port} {user}@{endpoint.host}",
            }
        else:
            data[f"{endpoint.name}-url"] = endpoint.url
    tokens = run.access_tokens or job.access_tokens
    if tokens:
        data["access-token"] = tokens[0]
    return data


def _endpoint(name: str, container_port: int, protocol: PortProtocol, url: NodeURL) -> Endpoint:
    scheme = ("https" if url.tls else "http") if protocol is PortProtocol.HTTP else "tcp"
    address = f"{scheme}://{url.hostname}:{url.port}"
    return Endpoint(name, container_port, protocol.value, url.hostname, url.port, url.tls, address)


def _container_port(url: NodeURL) -> int:
    """The container port that an entry speaks of; -1 for one that we do not understand."""
    if url.description.lower() == "ssh":
        return SSH_PORT
    return int(url.description) if url.description.isdecimal() else -1
