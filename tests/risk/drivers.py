"""The command line that the drivers of generated runs have in common."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

Found = dict[str, Any]


def drive(
    name: str,
    run: Callable[[int, int], Found],
    wrong_in: Callable[[Found], dict[str, int]],
    word: str,
    shown: Sequence[str],
) -> int:
    """Run as the command line says, print all that was found as JSON, then one line for people.

    Args:
        name: module of the driver.
        run: takes count and seed.
        wrong_in: what must be zero and is not.
        word: what people call that.
        shown: keys of the line.

    Returns:
        Exit code, 1 if anything was wrong.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    found = run(arguments.count, arguments.seed)
    took = time.monotonic() - started
    print(json.dumps(found))
    wrong = wrong_in(found)
    told = " ".join(f"{key}={found[key]}" for key in shown)
    print(
        f"{told} seconds={took:.1f} seed={arguments.seed} hash={found['hash']} "
        f"{word}={wrong or 'none'}"
    )
    return 1 if wrong else 0
