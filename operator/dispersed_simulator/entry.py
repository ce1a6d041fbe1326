"""The console script: says what is missing where the package was installed without the extra `simulator`."""

from __future__ import annotations

import importlib
import sys


def main() -> int:
    """Run the simulator; its exit status, or 2 with one line if the web server is not installed."""
    try:
        cli = importlib.import_module("dispersed_simulator.cli")
    except ModuleNotFoundError as error:
        if error.name not in {"uvicorn", "fastapi"}:
            raise
        sys.stderr.write("dispersed-simulator needs its web server: pip install 'dispersed-operator[simulator]'\n")
        return 2
    status: int = cli.main()
    return status
