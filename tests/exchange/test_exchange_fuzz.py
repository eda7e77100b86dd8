"""A few thousand malformed requests: all refused, nothing changed. The runner does 100,000."""

from __future__ import annotations

from tests.exchange.fuzz_exchange import run

SEED = 20_261
REQUESTS = 3_000


def test_malformed_requests_are_refused_and_change_nothing() -> None:
    tally, complaints = run(REQUESTS, SEED)
    assert complaints == []
    # The refusals are of many kinds: a fuzz that only meets one check proves little.
    codes = {name.split()[-1] for name in tally.answers}
    assert len(codes & {"-1022", "-1100", "-1102", "-1121", "-2013", "-2014", "-5000"}) >= 5, codes
