"""The shapes of the API for its OpenAPI document only: bodies are checked by `validation`, rows made by `rendering`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Volume(BaseModel):
    """A data image that is mounted into the container."""

    image: str
    mount: str
    tag: str = "latest"
    registry: str = ""
    user: str = ""
    secret: str = ""


class Container(BaseModel):
    """What runs: one container."""

    image: str
    tag: str = "latest"
    imagesrc: str | None = None
    host: str = ""
    user: str = ""
    secret: str = ""
    env: dict[str, str] = {}
    ports: list[int] | None = None
    sshkey: str | None = None
    allowed_ips: list[str] = []
    volumes: list[Volume] = []


class Parameters(BaseModel):
    """The container with its type."""

    type: Literal["docker"] = "docker"
    parameters: Container


class JobCreate(BaseModel):
    """Body of POST /v1/jobs."""

    task: Literal["BATCH", "PERSISTENT"] = "BATCH"
    title: str
    description: str | None = None
    max_timeout_run_ms: int | None = Field(description="BATCH: at least 60000. PERSISTENT: null.")
    max_timeout_assign_ms: int = Field(300_000, ge=300_000)
    max_timeout_start_ms: int = Field(300_000, ge=120_000)
    max_retry_count: int = Field(0, ge=0)
    max_node_count: int = Field(1, ge=1)
    cpu_count: int = Field(0, ge=0)
    gpu_count: int = Field(0, ge=0)
    min_ram_gb: int = Field(0, ge=0)
    min_storage_gb: int = Field(0, ge=0)
    min_vram_gb: int = Field(0, ge=0)
    gpu_name: str | None = None
    gpu_registry_uuid: str | None = None
    allowed_region_codes: list[str] = []
    parameters: Parameters


class JobCancel(BaseModel):
    """Body of PUT /v1/jobs/{uuid}/cancel."""

    reason: str | None = None


class Job(BaseModel):
    """A job."""

    object: Literal["job"] = "job"
    uuid: str
    account_uuid: str
    created_at: str
    updated_at: str
    status: str
    status_reason: str | None = None
    task: str
    title: str
    description: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    timeout_assign_at_ms: int
    max_timeout_run_ms: int | None = None
    parameters: Parameters


class NodeUrl(BaseModel):
    """Where a published port can be reached."""

    description: str
    hostname: str
    port: int
    protocol: str = "tcp"
    tls: bool = False


class AccessToken(BaseModel):
    """A container access token."""

    token: str


class JobRun(BaseModel):
    """One execution of a job. `logs` only on the single read."""

    object: Literal["job_run"] = "job_run"
    uuid: str
    job_uuid: str
    account_uuid: str
    created_at: str
    updated_at: str
    status: str
    status_reason: str | None = None
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    duration_ms: int = 0
    hourly_rate_usd: float
    node_urls: list[NodeUrl] = []
    container_access_tokens: list[AccessToken] = []
    logs: str | None = None


class JobList(BaseModel):
    """One page of jobs."""

    data: list[Job]
    page: int
    limit: int
    total: int


class JobRunList(BaseModel):
    """One page of job runs."""

    data: list[JobRun]
    page: int
    limit: int
    total: int


class ErrorDetail(BaseModel):
    """Why a request was refused."""

    code: str
    message: str
    details: object | None = None


class Error(BaseModel):
    """The error envelope."""

    error: ErrorDetail
