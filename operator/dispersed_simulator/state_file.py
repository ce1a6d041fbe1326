"""What survives a restart, and how it reaches the disk.

Two files: FILE is a JSON snapshot that is only ever replaced atomically; FILE.journal holds one JSON line for each
change since, so that a commit costs one line and not ten thousand jobs. Invariant: snapshot plus journal is the whole
state at every moment. A line that was cut off by a kill is the last one and is ignored; a journal that belongs to an
older snapshot is recognised by its first line and ignored as well.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dispersed_simulator.auth import SignedRequest
from dispersed_simulator.clock import SteppableClock
from dispersed_simulator.records import (
    Account,
    ApiKey,
    FateRule,
    fate_from_json,
    flat_from_json,
    flat_to_json,
    job_from_json,
    job_to_json,
)
from dispersed_simulator.service import Service
from dispersed_simulator.wire import JsonObject, JsonValue

VERSION = 1
JOURNAL_LINES = 20_000
CLOCK_TOLERANCE_MS = 500


class StateFileError(Exception):
    """The file is not a state of this simulator."""


class StateFile:
    """Writes the changes of a service to disk and reads them back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal = path.with_name(f"{path.name}.journal")
        self._lines = 0
        self._generation = 0
        self._written_meta: JsonObject | None = None
        self._written_offset_ms = 0
        self.boots = 0

    def load(self) -> dict[str, Any] | None:
        """The saved state with the journal played in, or None if there is none. Raises StateFileError."""
        if not self._path.exists():
            return None
        try:
            state = json.loads(self._path.read_text(encoding="utf-8"))
            if state["version"] != VERSION:
                raise StateFileError(f"{self._path} has version {state['version']}, this simulator writes {VERSION}")
            jobs = {job["uuid"]: job for job in state["jobs"]}
            self._generation = state["generation"]
            for line in self._journal_lines():
                if "job" in line:
                    jobs[line["job"]["uuid"]] = line["job"]
                state["nonces"].extend(line.get("nonces", ()))
                state["meta"] = line.get("meta", state["meta"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise StateFileError(f"{self._path} cannot be read as a simulator state: {error}") from error
        state["jobs"] = list(jobs.values())
        return dict(state)

    def _journal_lines(self) -> Iterator[dict[str, Any]]:
        if not self._journal.exists():
            return
        lines = self._journal.read_text(encoding="utf-8").splitlines()
        if not lines or json.loads(lines[0]) != {"generation": self._generation}:
            return
        for number, line in enumerate(lines, start=1):
            try:
                yield json.loads(line)
            except ValueError:
                if number < len(lines):
                    raise

    def restore(self, state: dict[str, Any], service: Service) -> None:
        """Put a loaded state into a new service. Raises StateFileError."""
        try:
            self._restore(state, service)
        except (ValueError, KeyError, TypeError) as error:
            raise StateFileError(f"{self._path} does not fit this simulator: {error}") from error

    def _restore(self, state: dict[str, Any], service: Service) -> None:
        meta = state["meta"]
        engine = service.engine
        self.boots = meta["boots"]
        engine.switches.update(meta["switches"])
        for row in meta["keys"]:
            service.keys[row["public"]] = flat_from_json(ApiKey, row)
        for row in meta["accounts"]:
            engine.accounts[row["uuid"]] = flat_from_json(Account, row)
        engine.fate_rules = [FateRule(row["title_contains"], fate_from_json(row["fate"])) for row in meta["fates"]]
        service.faults.restore(meta["faults"])
        for used_ms, name in sorted(state["nonces"]):
            service.nonces.restore(used_ms, name)
        for row in state["jobs"]:
            engine.restore_job(job_from_json(row))
        for row in meta["deliveries"]:
            request = SignedRequest(**(row["request"] | {"body": row["request"]["body"].encode("latin-1")}))
            service.schedule(request, due_ms=row["due_ms"], verified_key=row["verified_key"])

    def write_changes(self, service: Service) -> None:
        """Append what changed since the last call; afterwards it survives the end of the process."""
        store = service.engine.store
        lines: list[JsonObject] = [{"job": job_to_json(store.jobs[uuid])} for uuid in store.dirty]
        nonces: list[JsonValue] = [[used_ms, name] for used_ms, name in service.nonces.fresh]
        if nonces:
            lines.append({"nonces": nonces})
        meta = self._meta(service)
        offset_ms = clock_offset_ms(service)
        if meta != self._written_meta or abs(offset_ms - self._written_offset_ms) > CLOCK_TOLERANCE_MS:
            lines.append({"meta": meta | {"clock": _clock(service)}})
        if not lines:
            return
        if self._lines + len(lines) > JOURNAL_LINES:
            self.write_snapshot(service)
            return
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write("".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines))
        self._lines += len(lines)
        self._mark_written(service, meta, offset_ms)

    def write_snapshot(self, service: Service) -> None:
        """Replace the snapshot by the present state and empty the journal."""
        meta = self._meta(service)
        self._generation += 1
        state: JsonObject = {
            "version": VERSION,
            "generation": self._generation,
            "meta": meta | {"clock": _clock(service)},
            "nonces": [[used_ms, name] for used_ms, name in service.nonces.entries()],
            "jobs": [job_to_json(job) for job in service.engine.store.jobs.values()],
        }
        temporary = self._path.with_name(f"{self._path.name}.new")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(state, separators=(",", ":")), encoding="utf-8")
        temporary.replace(self._path)
        self._journal.touch(mode=0o600)
        self._journal.write_text(f"{json.dumps({'generation': self._generation})}\n", encoding="utf-8")
        self._lines = 0
        self._mark_written(service, meta, clock_offset_ms(service))

    def _mark_written(self, service: Service, meta: JsonObject, offset_ms: int) -> None:
        service.engine.store.dirty.clear()
        service.nonces.fresh.clear()
        self._written_meta = meta
        self._written_offset_ms = offset_ms

    def _meta(self, service: Service) -> JsonObject:
        engine = service.engine
        return {
            "boots": self.boots,
            "switches": engine.switches.as_json(),
            "keys": [flat_to_json(key) for key in service.keys.values()],
            "accounts": [flat_to_json(account) for account in engine.accounts.values()],
            "fates": [
                {"title_contains": rule.title_contains, "fate": flat_to_json(rule.fate)} for rule in engine.fate_rules
            ],
            "faults": [rule.as_json() for rule in service.faults.all()],
            "deliveries": [
                {
                    "due_ms": item.due_ms,
                    "verified_key": item.verified_key,
                    "request": {
                        "method": item.request.method, "path": item.request.path, "query": item.request.query,
                        "headers": dict(item.request.headers), "body": item.request.body.decode("latin-1"),
                    },
                }
                for _, _, item in heapq.nsmallest(len(service.deliveries), service.deliveries)
            ],
        }  # fmt: skip


def clock_offset_ms(service: Service) -> int:
    """Distance of the service's clock from the wall clock; 0 for a clock that has none."""
    return service.clock.offset_ms if isinstance(service.clock, SteppableClock) else 0


def _clock(service: Service) -> JsonObject:
    rate = service.clock.rate if isinstance(service.clock, SteppableClock) else 1.0
    return {"offset_ms": clock_offset_ms(service), "rate": rate}
