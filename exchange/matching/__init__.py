"""Match orders by price, then time. Knows nothing of accounts, streams or requests."""
