"""`dispersed-operator logs`: the output of one run of a DispersedJob, read with the rights of whoever asks.

Why it exists: the service gives output with a single read of a run only, and a status keeps just the tail of a failure.
The command goes the way of the operator (resource, account, Secret, signed GET) and only ever reads. Invariant: no
message of it holds a key or a part of a Secret; what a container printed goes to standard output as it came.
"""

from __future__ import annotations

import base64
import binascii
import random
from typing import Any

from dispersed_operator.config import Settings
from dispersed_operator.direct import connect
from dispersed_operator.errors import KubernetesNotFound, OperatorError, RemoteError, SettingsError
from dispersed_operator.kube.client import DISPERSED_JOBS, RESOURCES, SECRETS, KubeClient, Resource
from dispersed_operator.kube.credentials import find_credentials
from dispersed_operator.model.account import DEFAULT_BASE_URL
from dispersed_operator.model.account_names import accounts_of, described
from dispersed_operator.model.remote import RemoteRun
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.signing import Credentials


async def read_run_output(settings: Settings, *, job: str, run_uuid: str | None = None) -> str:
    """What a run of the job ``NAMESPACE/NAME`` printed; `run_uuid` None means the newest run.

    Raises `SettingsError` if the command makes no sense, else an `OperatorError` that says what is missing.
    """
    namespace, _, name = job.partition("/")
    if not namespace or not name or "/" in name:
        raise SettingsError("logs wants one job as NAMESPACE/NAME, for example team-a/train")
    job_uuid, base_url, credentials = await _find_remote_job(settings, namespace, name)
    async with connect(settings, base_url=base_url, credentials=credentials) as client:
        try:
            run = await _read_run(client, job_uuid, run_uuid)
        except RemoteError as error:
            raise OperatorError(f"the Dispersed API ({client.host}) did not give the output: {error}") from None
    if run.logs is None:
        raise OperatorError(f"run {run.uuid} ({run.status}) has no output yet; try again later")
    return run.logs


async def _find_remote_job(settings: Settings, namespace: str, name: str) -> tuple[str, str, Credentials]:
    """The uuid of the remote job, the API's address and the key pair."""
    kube_proxy = settings.kube_proxy.get_secret_value() if settings.kube_proxy is not None else None
    found = find_credentials(kubeconfig=settings.kubeconfig, context=settings.context, proxy=kube_proxy)
    async with KubeClient(await found.configuration(), random=random.random) as kube:
        resource = await _existing(kube, DISPERSED_JOBS, f"DispersedJob {namespace}/{name}", namespace, name)
        status = resource.get("status") or {}
        uuid = status.get("jobUUID") or (status.get("create") or {}).get("uuid")
        if not uuid:
            raise OperatorError(
                f"DispersedJob {namespace}/{name} has no remote job (phase {status.get('phase') or 'Pending'}); "
                "kubectl describe shows its conditions"
            )
        key = accounts_of(resource)[0]  # a job that has a remote one says for which account it was signed
        account = await _existing(kube, RESOURCES[key.kind], described(key), key.scope, key.name)
        home = key.namespace or settings.operator_namespace
        secret_name = account["spec"]["credentialsSecretRef"]["name"]
        where = f"Secret {home}/{secret_name}"
        secret = await _existing(kube, SECRETS, where, home, secret_name)
    keys = Credentials(public_key=_key(secret, "publicKey", where), secret_key=_key(secret, "secretKey", where))
    return str(uuid), account["spec"].get("baseURL") or DEFAULT_BASE_URL, keys


async def _read_run(client: DispersedClient, job_uuid: str, run_uuid: str | None) -> RemoteRun:
    if run_uuid is None:
        runs = await client.list_runs(job_uuid)
        if not runs:
            raise OperatorError(f"remote job {job_uuid} has no run yet; try again once its phase is Starting")
        run_uuid = runs[0].uuid
    run = await client.get_run(run_uuid)
    if run.job_uuid != job_uuid:
        raise OperatorError("that run belongs to another job; the job's status lists its own runs")
    return run


async def _existing(
    kube: KubeClient, resource: Resource, what: str, namespace: str | None, name: str
) -> dict[str, Any]:
    try:
        return await kube.get(resource, namespace=namespace, name=name)
    except KubernetesNotFound:
        raise OperatorError(f"{what} does not exist") from None


def _key(secret: dict[str, Any], key: str, where: str) -> str:
    encoded = (secret.get("data") or {}).get(key)
    if not encoded:
        raise OperatorError(f"{where} has no key {key}")
    try:
        return base64.b64decode(encoded, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise OperatorError(f"the key {key} of {where} is not plain ASCII text") from None
