"""Run benches: `python -m bench shm|exchange|exchange_stream|…|all [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from bench import harness

FOLDER = Path(__file__).resolve().parent


def stages() -> list[str]:
    """Return the stages that have a bench: modules that define `cases`."""
    names = []
    for path in sorted(FOLDER.glob("*.py")):
        if "\ndef cases(" in path.read_text():
            names.append(path.stem)
    return names


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("stage", nargs="+", choices=[*stages(), "all"])
    parser.add_argument("--json", type=Path, help="write rows and machine to this file")
    parser.add_argument("--quick", action="store_true", help="small sizes: checks, not figures")
    options = parser.parse_args(arguments)
    machine = harness.machine()
    print("\n".join(f"# {key}: {value}" for key, value in machine.items()))
    print(harness.header(), flush=True)
    rows = []
    for stage in stages() if "all" in options.stage else options.stage:
        for row in importlib.import_module(f"bench.{stage}").cases(options.quick):
            rows.append(row)
            print(harness.line(row), flush=True)
    print(f"# hash of all answers: {harness.answer_hash(*(row.hash for row in rows))}")
    if options.json:
        harness.write_json(options.json, rows, machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
