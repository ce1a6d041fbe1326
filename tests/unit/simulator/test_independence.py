"""The simulator stands alone: the engine without a web framework, the package without the operator."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import dispersed_simulator

SOURCES = sorted(Path(dispersed_simulator.__file__).parent.glob("*.py"))


def test_the_service_can_be_driven_without_a_web_framework() -> None:
    script = "import sys, dispersed_simulator.service, dispersed_simulator.state_file; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"fastapi", "starlette", "uvicorn", "httpx", "pydantic", "asyncio"} & set(loaded)


def test_no_module_of_the_simulator_knows_the_operator() -> None:
    assert len(SOURCES) > 10
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.startswith("dispersed_operator")], source
