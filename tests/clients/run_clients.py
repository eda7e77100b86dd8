"""Judge the exchange by unmodified third-party clients, each in an environment of its own.

`python tests/clients/run_clients.py [client …] [--updates N]`, with tests/exchange on PYTHONPATH.
Exit code 1 on any mismatch. `--fault user_stream_silent` (or any other fault of docs/EXCHANGE.md)
shows that the judges fail when they should.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from client_environments import python_of
from exchange_process import KEY, SECRET, ExchangeProcess
from venue_truth import VenueTruth

HERE = Path(__file__).resolve().parent
CLIENTS = ("official_sdk", "ccxt", "python_binance")
SYMBOL = "BTCUSDT"
# About 550 depth messages a second: 10,000 updates in less than 25 s.
OPTIONS = ("--symbols", "BTCUSDT,ETHUSDT", "--rate", "700", "--balance", "1000000")
TIMEOUT_S = 240.0
REQUIRED = (
    "load markets",
    "connect",
    "REST place, amend, query, cancel",
    "REST fill",
    "WS-API place, amend, query, cancel",
    "WS-API fill",
    "conditional placed and cancelled",
    "conditional triggered",
    "book updates",
    "book equal to the exchange's",
    "final balance and position",
    "every order's life told",
    "account follows the fills",
    "loopback only",
)


def run_scenario(client: str, exchange: ExchangeProcess, updates: int) -> dict[str, Any]:
    """Run one scenario to its end; return what it printed, or why it printed nothing."""
    # Nothing of this machine's settings (proxies, netrc, user site) reaches the client.
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONNOUSERSITE": "1",
        "EXCHANGE_API_KEY": KEY,
        "EXCHANGE_API_SECRET": SECRET,
        "JUDGE_UPDATES": str(updates),
    }
    command = [python_of(client), HERE / f"scenario_{client}.py", exchange.rest, exchange.stream]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return crash(client, f"no end after {TIMEOUT_S:.0f} s")
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return crash(client, f"exit code {done.returncode}: {done.stderr[-1500:]}")
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def crash(client: str, why: str) -> dict[str, Any]:
    step = {"name": "scenario", "ok": False, "why": why}
    return {"client": client, "steps": [step], "not_offered": {}, "facts": {}}


def judge_account(result: dict[str, Any], truth: VenueTruth) -> None:
    """Add a step: the client's balance and position are what the exchange tells afterwards."""
    facts = result["facts"]
    have = (facts.get("wallet"), facts.get("position"))
    held = (truth.wallet(), truth.position(SYMBOL)["positionAmt"])
    is_same = None not in have and tuple(map(Decimal, have)) == held
    step = {"name": "account as read afterwards", "ok": is_same}
    if not is_same:
        step["why"] = f"client={have} exchange={tuple(map(str, held))}"
    result["steps"].append(step)


def print_result(result: dict[str, Any], seconds: float) -> bool:
    """Print the steps; return whether all that are required are there and right."""
    print(f"\n{result['client']}  ({seconds:.0f} s)")
    for step in result["steps"]:
        print(f"  {'ok  ' if step['ok'] else 'FAIL'} {step['name']}")
        if not step["ok"]:
            print(f"       {step.get('why', '')}")
    book = result["facts"].get("book")
    if book:
        print("  book: " + " ".join(f"{name}={value}" for name, value in book.items()))
    for name, why in result["not_offered"].items():
        print(f"  not offered: {name}: {why}")
    names = {step["name"] for step in result["steps"]}
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        print(f"  FAIL steps that did not run: {', '.join(missing)}")
    return not missing and all(step["ok"] for step in result["steps"])


def main() -> int:
    """Run the scenarios one after the other; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clients", nargs="*", default=CLIENTS, metavar="client")
    parser.add_argument("--updates", type=int, default=10_000, help="book updates to follow")
    parser.add_argument(
        "--fault", action="append", default=[], help="arm a fault: the judges must notice it"
    )
    given = parser.parse_args()
    failed = []
    for client in given.clients:
        if client not in CLIENTS:
            parser.error(f"unknown client: client={client} known={','.join(CLIENTS)}")
        python_of(client)
        faults = [word for fault in given.fault for word in ("--fault", fault)]
        exchange = ExchangeProcess(*OPTIONS, *faults)
        began_s = time.monotonic()
        try:
            result = run_scenario(client, exchange, given.updates)
            judge_account(result, VenueTruth(exchange.rest, KEY, SECRET))
        finally:
            code = exchange.close()
        result["steps"].append({"name": "exchange ends with 0", "ok": code == 0, "why": str(code)})
        if not print_result(result, time.monotonic() - began_s):
            failed.append(client)
    print(f"\n{'FAILED: ' + ', '.join(failed) if failed else 'all clients agree'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
