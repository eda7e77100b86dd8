"""The executor's record layout: what its waiting kernel reads."""

from __future__ import annotations

from config.settings import Settings
from shm.fields import Field, Record

# What `executor_wait` found, as bits.
ORDER = 1  # an order is in the ring
WOKEN = 2  # the doorbell rang, or a signal came: there may be no order, but perhaps a command
READABLE_FIRST = 4  # the first of the watched descriptors; the next have 8, 16, …

# Watched descriptors by place; READABLE_FIRST << place is their bit.
PLACE_API, PLACE_USER, PLACE_REST, PLACE_CONNECTOR = range(4)
WATCHED_COUNT = 8
API = READABLE_FIRST << PLACE_API
USER = READABLE_FIRST << PLACE_USER
REST = READABLE_FIRST << PLACE_REST
CONNECTOR = READABLE_FIRST << PLACE_CONNECTOR

# More than the descriptors that are ever registered; struct epoll_event takes at most 16 bytes.
EVENT_COUNT_MAX = 16
EVENT_BYTES = EVENT_COUNT_MAX * 16

WAIT_CONTEXT = Record(
    "executor_wait",
    "What the executor waits for; private to its process.",
    [
        Field("orders", "i64", "address", "agent", "the ring `orders`"),
        Field("wait", "i64", "address", "agent", "its waiting state, see WAIT"),
        Field("epoll_fd", "i64", "fd", "agent", "holds all descriptors below"),
        Field("bell_fd", "i64", "fd", "agent", "eventfd of the doorbell; -1 = none"),
        Field("watched", "i64", "fd", "agent", "sockets and workers; -1 = none", WATCHED_COUNT),
        Field("scratch", "i64", "count", "kernel", "takes what the eventfd holds"),
        Field("events", "u8", "epoll_event", "kernel", "filled by epoll", EVENT_BYTES, align=16),
    ],
)


def state_size(settings: Settings, symbol_count: int) -> int:
    """Return 0: what must outlive the process are the order rows, in a segment of their own."""
    return 0
