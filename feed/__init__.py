"""Receive market data: the wire format and the sequence rules of the venue, and no opinion.

Rings in: none; it reads the book requests of the engine. Rings out: `market`. It alone writes that
ring, its counters, the histogram `feed` and the rows of its segment (`state.SYNC`). It drops, each
with a counter: messages it cannot read or has no use for, depth updates older than their snapshot,
trades and quotes that are not newer than the last one. A message of a symbol that cannot be read is
announced as DROPPED. It never waits for a reader.
"""
