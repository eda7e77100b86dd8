"""The waiting kernel: against its slow twin, compiled and not, and in the ways of waiting."""

import contextlib
import ctypes
import itertools
import os
import random
import select
import subprocess
import sys
import threading
import time

import pytest

from executor import state
from runtime.kernels import ROOT
from runtime.wait_layout import WAIT, WaitStrategy
from shm.records import ORDER
from shm.ring_layout import RING, format_ring, ring_size
from shm.tables import DOORBELL
from tests.naive.executor_wait import look


class Stand:
    """A ring, a doorbell and eventfds in the place of sockets, in private memory."""

    def __init__(self, kernels, strategy=WaitStrategy.ADAPTIVE, idle_ns=0):
        self.kernels = kernels
        self._memory = ctypes.create_string_buffer(ring_size(8, ORDER.size) + 64)
        self.ring = -(-ctypes.addressof(self._memory) // 64) * 64
        format_ring(self.ring, 8, ORDER.size, cursor_count=1)
        self._bell_memory = ctypes.create_string_buffer(DOORBELL.size + 64)
        self.doorbell = -(-ctypes.addressof(self._bell_memory) // 64) * 64
        self.bell = DOORBELL.at(self.doorbell)
        self.bell.event_one = 1
        self.bell.event_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.wait = WAIT.new()
        self.wait.strategy = int(strategy)
        self.wait.doorbell = self.doorbell
        self.wait.idle_before_block_ns = idle_ns
        self.fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(4)]
        self.epoll = select.epoll()
        self.context = context = state.WAIT_CONTEXT.new()
        context.orders, context.wait = self.ring, ctypes.addressof(self.wait)
        context.epoll_fd, context.bell_fd = self.epoll.fileno(), self.bell.event_fd
        self.watched = [*self.fds, -1, -1, -1, -1]
        for place, fd in enumerate(self.watched):
            context.watched[place] = fd
        for fd in [*self.fds, self.bell.event_fd]:
            self.epoll.register(fd, select.EPOLLIN)

    def run(self, wait_s=0.0):
        deadline_ns = time.monotonic_ns() + int(wait_s * 1e9)
        return self.kernels.executor_wait(ctypes.addressof(self.context), deadline_ns)

    def publish(self):
        self.kernels.ring_publish(self.ring, self.kernels.ring_claim(self.ring))

    def naive(self):
        return look(RING.at(self.ring), self.epoll, self.bell.event_fd, self.watched)

    def close(self):
        self.epoll.close()
        for fd in [*self.fds, self.bell.event_fd]:
            os.close(fd)


def names_of(bits):
    found = {"order"} if bits & state.ORDER else set()
    if bits & state.WOKEN:
        found.add("woken")
    for place in range(state.WATCHED_COUNT):
        if bits & (state.READABLE_FIRST << place):
            found.add(f"place {place}")
    return found


@pytest.fixture
def stand(kernels):
    made = Stand(kernels)
    yield made
    made.close()


def test_finds_what_the_twin_finds(stand):
    check_against_twin(stand, seed=5, rounds=300)


def check_against_twin(stand, seed, rounds):
    print(f"seed={seed}")
    chance = random.Random(seed)
    for _ in range(rounds):
        action = chance.randrange(5)
        if action == 0 and stand.kernels.ring_claim(stand.ring):
            stand.publish()
        elif action == 1 and stand.kernels.ring_peek(stand.ring, 0):
            stand.kernels.ring_advance(stand.ring, 0)
        elif action == 2:
            os.eventfd_write(stand.fds[chance.randrange(4)], 1)
        elif action == 3:
            with contextlib.suppress(BlockingIOError):  # it was not set
                os.eventfd_read(stand.fds[chance.randrange(4)])
        else:
            os.eventfd_write(stand.bell.event_fd, 1)
        wanted = stand.naive()
        assert names_of(stand.run()) == wanted
        # The doorbell's count is taken, sockets stay readable.
        assert names_of(stand.run()) == wanted - {"woken"}


@pytest.mark.parametrize("strategy", list(WaitStrategy))
def test_every_strategy_keeps_the_deadline_and_wakes(kernels, strategy):
    stand = Stand(kernels, strategy, idle_ns=100_000)
    started = time.monotonic()
    assert stand.run(0.02) == 0
    assert 0.019 < time.monotonic() - started < 0.2
    for wake, wanted in (
        (lambda: os.eventfd_write(stand.fds[2], 1), state.REST),
        (lambda: (stand.publish(), kernels.doorbell_ring(stand.doorbell)), state.ORDER),
    ):
        timer = threading.Timer(0.01, wake)
        timer.start()
        bits = stand.run(5.0)
        timer.join()
        assert bits & wanted
        assert time.monotonic() - started < 3.0
        if wanted == state.REST:
            os.eventfd_read(stand.fds[2])
    assert stand.bell.sleeping == 0
    stand.close()


def test_blocked_reader_is_woken_by_the_doorbell_alone(kernels):
    stand = Stand(kernels, WaitStrategy.BLOCK)
    timer = threading.Timer(0.02, lambda: kernels.doorbell_ring(stand.doorbell))
    timer.start()
    assert stand.run(5.0) == state.WOKEN
    timer.join()
    assert stand.bell.wakes == 1
    stand.close()


def test_many_descriptors_at_once(stand):
    for count in range(1, 5):
        for chosen in itertools.combinations(range(4), count):
            for place in chosen:
                os.eventfd_write(stand.fds[place], 1)
            assert names_of(stand.run()) == {f"place {p}" for p in chosen}
            for place in chosen:
                os.eventfd_read(stand.fds[place])


SMALL = """
import sys
sys.path.insert(0, "tests/executor")
import shm.rings, runtime.waits, executor.loop
from types import SimpleNamespace
from shm.compiled import EXPORTS
from test_executor_loop import Stand, check_against_twin
kernels = SimpleNamespace(**{name: e.function for name, e in EXPORTS.items()})
stand = Stand(kernels)
check_against_twin(stand, seed=11, rounds=60)
assert stand.run(0.01) in (0, stand.run())
print("same")
"""


@pytest.mark.parametrize("disable", ["0", "1"])
def test_same_under_jit_and_uncompiled(disable):
    environment = os.environ | {"NUMBA_DISABLE_JIT": disable}
    done = subprocess.run(
        [sys.executable, "-c", SMALL],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("same")
