"""How a stage waits: the strategies and the record that holds one stage's waiting state."""

from __future__ import annotations

from enum import IntEnum

from shm.fields import Field, Record


class WaitStrategy(IntEnum):
    """As in the Disruptor; what each costs is measured in docs/PERFORMANCE.md."""

    SPIN = 1  # pause in a loop: lowest latency, a whole core
    YIELD = 2  # give the core away after each look
    SLEEP = 3  # sleep 50 µs after each look
    BLOCK = 4  # until a producer rings the doorbell
    ADAPTIVE = 5  # yield while events flow, block after a stated idle time


SLEEP_NS = 50_000

WAIT = Record(
    "wait",
    "Waiting state of one stage; private to its process.",
    [
        Field("strategy", "i64", "WaitStrategy", "stage", "how it waits"),
        Field("doorbell", "i64", "address", "stage", "its doorbell in shared memory"),
        Field("idle_before_block_ns", "i64", "ns", "stage", "ADAPTIVE: yields that long first"),
        Field("idle_since_ns", "i64", "ns, monotonic", "stage", "0 = the last look found work"),
        Field("blocks", "i64", "count", "stage", "times it blocked"),
        Field("seen_word", "i64", "count", "stage", "doorbell word when it armed"),
        Field("timespec_s", "i64", "s", "stage", "scratch for the system call"),
        Field("timespec_ns", "i64", "ns", "stage", "scratch, behind timespec_s"),
    ],
)
