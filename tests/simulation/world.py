"""The world of one episode: cluster, service, slots with operator processes, and the memory of what users did.

A slot is where one operator process runs at a time; a process that dies is started again. Everything random comes from
the seed, in one stream per purpose, so that leaving an item out of a plan changes as little else as possible.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from dispersed_operator.kube.resources import DISPERSED_ACCOUNTS, DISPERSED_JOBS, SECRETS
from dispersed_operator.model.naming import Identity, create_token, remote_description, remote_title
from dispersed_simulator.records import Timing
from tests.simulation.apiserver import ApiServer
from tests.simulation.calls import Line
from tests.simulation.history import History
from tests.simulation.incidents import ACCOUNT_NAME, SECRET_NAME, Incidents
from tests.simulation.kube_side import KubeGate
from tests.simulation.plan import Plan, Trouble
from tests.simulation.process import SimulatedProcess, Surroundings
from tests.simulation.remote_side import BASE_URL, EPOCH, KEYS, RemoteSide
from tests.simulation.shards import SECOND_ACCOUNT
from tests.simulation.virtual_loop import OWNER, VirtualLoop
from tests.simulation.watching import Watches

NAMESPACE = "team"
FOREIGN_AGE_SECONDS = 3600
POLL_SECONDS = 60
OTHER_CLUSTER = "77777777-2f0b-4a53-9d0c-6f6f1f0a7b11"
CLUSTER = "8f4c2f6e-2f0b-4a53-9d0c-6f6f1f0a7b11"

ALL = "0/1"
"""The shard that works for everything."""

MakeProcess = Callable[[VirtualLoop, Surroundings], SimulatedProcess]


class Trace:
    """What happened, one line each; the digest of the lines tells whether two runs were the same."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.lines: list[str] = []

    def write(self, who: str, text: str) -> None:
        self.lines.append(f"{self._loop.time() - 1000.0:10.3f} {who:<7} {text}")

    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


class Slot:
    """A place for one operator process at a time."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._lives = 0
        self.number = number
        layout = world.plan.layout
        self.part = layout.slots[number].first if layout is not None else ALL
        self.process: SimulatedProcess | None = None
        self.line: Line | None = None
        self.down = 5.0

    def start(self) -> None:
        """Start a process, unless one runs or none belongs here."""
        if self.process is not None or self.part is None:
            return
        world = self._world
        self._lives += 1
        holder = f"op-{self.number}-{self._lives}"
        rng = world.stream(f"process/{holder}")

        def trace(text: str) -> None:
            world.trace.write(holder, text)

        line = Line(
            rng=world.stream(f"line/{holder}"), kill=self.kill, freeze=self._freeze, count=world.count, trace=trace
        )
        line.calm = world.calm
        if self.line is not None:
            line.snares, line.troubles = self.line.snares, self.line.troubles
        gate = KubeGate(line, world.watches.changed, trace)
        given = Surroundings(
            holder=holder,
            rng=rng,
            wall_offset=rng.uniform(-2.0, 2.0),
            line=line,
            kube=gate.client(world.api, rng.random),
            remote=world.remote,
            cluster_id=CLUSTER,
            part=self.part,
            trace=trace,
            on_ready=world.watches.attach,
            on_end=self._ended,
            on_failure=self._failed,
        )
        self.line = line
        self.process = world.make_process(world.loop, given)
        self.process.start()

    def kill(self, why: str) -> None:
        """End the process now; it starts again after `down` seconds."""
        if self.process is not None:
            self._world.count["kill"] += 1
            self.process.kill(why)

    def roll(self, part: str | None) -> None:
        """From now on the process here is that shard: one that runs ends in order first."""
        self._world.count["roll"] += self.part != part
        if self.part != part:
            self.part = part
            if self.process is not None:
                self.process.terminate()
            else:
                self.start()

    def _freeze(self, seconds: float) -> None:
        if self.process is not None:
            self.process.freeze(seconds)

    def _failed(self, text: str) -> None:
        """A process ended itself, as it may only after etcd went back."""
        if not self._world.count[f"incident-{Trouble.RESTORE_ETCD}"]:
            self._world.defects.append(f"op-{self.number} ended itself: {text}")

    def _ended(self, process: SimulatedProcess) -> None:
        if self.process is process:
            self.process = None
            self._world.watches.detach(process)
            self._world.loop.in_world(self.down, self.start)


class World:
    """Everything of one episode."""

    def __init__(self, plan: Plan, loop: VirtualLoop, make_process: MakeProcess) -> None:
        self.plan = plan
        self.cluster_id = CLUSTER
        self.loop = loop
        self.make_process = make_process
        self.trace = Trace(loop)
        self.count: Counter[str] = Counter()
        self.defects: list[str] = []
        self.calm = False
        timing = Timing(run_seconds=plan.run_seconds, assign_seconds=2.0, prepare_seconds=3.0, cancel_seconds=2.0)
        self.remote = RemoteSide(self.stream("remote"), loop.time, timing, page_rows=plan.page_rows)
        self.api = ApiServer(now=lambda: EPOCH + loop.time(), rng=self.stream("cluster"))
        self.history = History(self)
        self.incidents = Incidents(self, NAMESPACE)
        self.watches = Watches(self)
        self.slots = [Slot(self, number) for number in range(plan.processes)]
        loop.set_exception_handler(self._unhandled)

    def stream(self, purpose: str) -> random.Random:
        """The random numbers of one purpose."""
        return random.Random(f"{self.plan.seed}/{purpose}")

    def prepare(self) -> None:
        """The namespace, the account and its key."""
        self.api.add_namespace(NAMESPACE)
        public, secret = KEYS[0]
        key = {"metadata": {"name": SECRET_NAME}, "stringData": {"publicKey": public, "secretKey": secret}}
        self.api.create(SECRETS, NAMESPACE, _encoded({"apiVersion": "v1", "kind": "Secret", "type": "Opaque"} | key))
        self.create_account()
        if self.plan.layout is not None:
            self.create_account(SECOND_ACCOUNT)
        for number in range(2):
            self._add_foreign_job(number)

    def create_account(self, name: str = ACCOUNT_NAME) -> None:
        """The account, as its user writes it."""
        polling = {"intervalSeconds": POLL_SECONDS}
        spec = {"baseURL": BASE_URL, "credentialsSecretRef": {"name": SECRET_NAME}, "polling": polling}
        account = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedAccount", "spec": spec}
        self.api.create(DISPERSED_ACCOUNTS, NAMESPACE, account | {"metadata": {"name": name}})

    def _add_foreign_job(self, number: int) -> None:
        """Another cluster's job on the same account, made from the same manifest."""
        identity = Identity(OTHER_CLUSTER, NAMESPACE, f"job-{number}", f"0000000{number}-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
        signed, token = EPOCH + int(self.loop.time()) - FOREIGN_AGE_SECONDS, create_token(identity, 1)
        title = remote_title(identity, attempt=1, signed_at=signed, expiry=0, user_title=f"job {number}")
        digest = hashlib.sha256(title.encode()).hexdigest()
        described = remote_description(token=token, digest=digest, title=f"job {number}", description="")
        self.remote.add_foreign_job(title, description=described, token=token, age_seconds=FOREIGN_AGE_SECONDS)

    def job_bodies(self) -> list[dict[str, Any]]:
        """All DispersedJobs as they stand."""
        return self.api.bodies(DISPERSED_JOBS, NAMESPACE)

    def pacify(self) -> None:
        """Faults end: every line is calm, everybody runs. A process that is stopped goes on when its time has come."""
        self.calm = True
        self.remote.calm()
        self.watches.calm()
        self.incidents.make_good()
        for slot in self.slots:
            slot.down = 5.0
            if slot.line is not None:
                slot.line.calm = True
                slot.line.snares.clear()
                slot.line.troubles.clear()
            if slot.process is None:
                slot.start()

    @property
    def somebody_sleeps(self) -> bool:
        """Whether a process is stopped, and will wake up with what it knew."""
        return any(slot.process is not None and slot.process.frozen for slot in self.slots)

    def close(self) -> None:
        """End every process for good."""
        for slot in self.slots:
            slot.down = float("inf")
            if slot.process is not None:
                process, slot.process = slot.process, None
                self.watches.detach(process)
                process.kill("the episode is over")

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        owner = OWNER.get()
        error = context.get("exception")
        text = f"{context['message']}: {type(error).__name__ if error else ''} {error or ''}"
        self.trace.write("loop", text)
        if owner is None or getattr(owner, "alive", True):
            self.defects.append(f"unhandled: {text}")


def _encoded(secret: dict[str, Any]) -> dict[str, Any]:
    """A Secret with `data`, as the API server stores what came as `stringData`."""
    plain = secret.pop("stringData")
    return secret | {"data": {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}}
