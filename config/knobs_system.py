"""Knobs of system_config.yaml: processors, memory, rings, supervision, levels of optimisation."""

from config.knob import Knob

_FILE = "system"

SYSTEM = (
    Knob(
        _FILE, "system.instance", "str", "", "scalping",
        pattern=r"[a-z][a-z0-9_-]{0,30}",
        pattern_meaning="a small letter, then up to 30 of a-z, 0-9, _ and -",
        meaning="Name of this system; two on one machine need two names",
    ),
    Knob(
        _FILE, "system.state_folder", "str", "path", "state",
        pattern=r"[^\x00-\x1f\x7f]{1,4096}",
        pattern_meaning="a path of 1 to 4096 characters without control characters",
        meaning="Where the kill latch and the venue's address outlive a run, one folder per "
        "instance; a relative path starts at the project's root",
    ),
    Knob(
        # 1023 is the last processor that the kernel's default affinity mask can name.
        _FILE, "system.cpu_cores", "list[int]", "core", (0, 1, 2, 3), 0, 1023,
        n_item_min=1, n_item_max=64, unique=True,
        meaning="Cores given to feed, engine, risk and executor in this order; the ones that do "
        "not exist are left out, and too few of them give a warning",
    ),
    Knob(
        _FILE, "system.memory_pools", "bool", "", True,
        meaning="Map what a stage works in before trading starts; also needs MEMORY_POOLS",
    ),
    Knob(
        _FILE, "system.cache_alignment", "int", "bytes", 64,
        choices=(64, 128),
        meaning="Alignment of ring slots; 128 is refused with a reason, slots are 64-byte lines",
    ),
    Knob(
        _FILE, "system.numa_optimization", "bool", "", True,
        meaning="Place memory by node; holds only with optimization.NUMA_OPTIMIZATION",
    ),
    Knob(
        _FILE, "system.wait_strategy", "str", "", "auto",
        choices=("spin", "yield", "sleep", "block", "auto"),
        meaning="How a stage waits; auto spins on a core of its own, else yields, then blocks",
    ),
    Knob(
        _FILE, "system.idle_before_block_us", "int", "µs", 200, 0, 1_000_000,
        "Idle time after which auto blocks",
    ),
    Knob(
        _FILE, "system.lock_memory", "bool", "", False,
        meaning="Lock the pages of every process in memory (mlock), where permitted",
    ),
    Knob(
        _FILE, "system.kernels", "str", "", "ahead",
        choices=("ahead", "jit"),
        meaning="Kernels from the library built ahead of time, or compiled by numba at start for "
        "debugging; KERNELS in the environment overrides it",
    ),
)  # fmt: skip

PERFORMANCE = (
    Knob(
        _FILE, "performance.processing_cycle_ms", "int", "ms", 100, 1, 10_000,
        "Interval of housekeeping: heartbeat, counters, log lines",
    ),
    Knob(
        _FILE, "performance.signal_cooldown_sec", "float", "s", 5.0, 0.0, 3600.0,
        "Time after a signal before the same symbol may give another",
    ),
    Knob(
        _FILE, "performance.cache_size", "int", "orders", 2000, 64, 1_000_000,
        "Slots of the order table",
    ),
    Knob(
        # The smallest ones are for trying what happens when a ring is full.
        _FILE, "performance.queue_size", "int", "slots", 8192, 8, 1_048_576,
        "Slots of each gated ring (signals, orders, reports); a power of two",
    ),
    Knob(
        _FILE, "performance.market_queue_size", "int", "slots", 32_768, 1024, 4_194_304,
        "Slots of the market ring; a power of two",
    ),
    Knob(
        _FILE, "performance.status_interval_s", "int", "s", 5, 1, 3600,
        "Interval of the status line in each log",
    ),
)  # fmt: skip

SUPERVISOR = (
    Knob(
        _FILE, "supervisor.heartbeat_timeout_ms", "int", "ms", 2000, 100, 60_000,
        "Age of a heartbeat above which its stage counts as frozen; at least three housekeeping "
        "intervals",
    ),
    Knob(
        _FILE, "supervisor.restart_budget", "int", "restarts", 5, 0, 100,
        "Restarts of one stage within restart_window_s before trading halts",
    ),
    Knob(
        _FILE, "supervisor.restart_window_s", "int", "s", 60, 1, 3600,
        "Window in which restarts are counted",
    ),
    Knob(
        _FILE, "supervisor.restart_backoff_ms", "int", "ms", 50, 0, 10_000,
        "Pause before a stage's second restart in the window; it doubles with each further one",
    ),
    Knob(
        _FILE, "supervisor.ready_timeout_s", "int", "s", 20, 1, 300,
        "Time a process has to become ready",
    ),
    Knob(
        _FILE, "supervisor.stop_timeout_s", "int", "s", 5, 1, 120,
        "Time an orderly stop has: cancel, flatten, close",
    ),
    Knob(
        _FILE, "supervisor.kill_takeover_ms", "int", "ms", 1500, 0, 60_000,
        "Time make kill gives risk and executor to withdraw orders before it does so itself",
    ),
    Knob(
        _FILE, "supervisor.kill_attempts", "int", "attempts", 10, 1, 100,
        "Times the venue is cleared again when orders stay open, before that is escalated",
    ),
    Knob(
        _FILE, "supervisor.emergency_flatten", "bool", "", True,
        meaning="Close positions at the venue when risk or executor cannot be started again, and "
        "those that no stop covers at the end; off: they are left as they are, and told",
    ),
)  # fmt: skip

TRADES = (
    Knob(
        _FILE, "trades.ledger", "bool", "", True,
        meaning="Write every order, fill and round trip to trades.sqlite (make trades)",
    ),
    Knob(
        _FILE, "trades.folder", "str", "", "",
        pattern=r"[^\x00-\x1f\x7f]{0,4000}", pattern_meaning="a path without control characters",
        meaning="Folder of trades.sqlite; empty = beside the logs of the instance",
    ),
    Knob(
        _FILE, "trades.write_interval_ms", "int", "ms", 250, 10, 10_000,
        "Interval between two transactions of the ledger",
    ),
    Knob(
        _FILE, "trades.halt_when_unwritable", "bool", "", True,
        meaning="No new entries while the ledger cannot be written; exits and cancels go on",
    ),
)  # fmt: skip


def _level(name: str, default: bool, meaning: str) -> Knob:
    return Knob(_FILE, f"optimization.{name}", "bool", "", default, meaning=meaning)


# Level 1 is the first three rows, level 2 adds the next four, level 3 the last four.
OPTIMIZATION = (
    _level(
        "USE_ULTRA_LOW_LATENCY", False,
        "Wait by spinning where a core is free for each spinner; refused with a reason elsewhere",
    ),
    _level(
        "CPU_OPTIMIZATION", True,
        "Use the kernels that were compiled ahead of time",
    ),
    _level(
        "MEMORY_OPTIMIZATION", True,
        "Freeze the garbage collector before the fork, so that pages stay shared",
    ),
    _level(
        "USE_ZERO_ALLOCATION", True,
        "Switch the garbage collector off in the stages after start",
    ),
    _level(
        "USE_ADVANCED_SIGNALS", True,
        "Use all eight signals; off: momentum, order flow and book imbalance only",
    ),
    _level(
        "CPU_AFFINITY", True,
        "Pin the stages to system.cpu_cores",
    ),
    _level(
        "MEMORY_POOLS", True,
        "Map the market ring and the state of each stage before trading starts",
    ),
    _level(
        "USE_HARDWARE_ACCELERATION", True,
        "Compile the kernels for this processor's features; off: the x86-64-v3 baseline",
    ),
    _level(
        "USE_MARKET_MAKING", False,
        "Quote both sides of quoting.symbols",
    ),
    _level(
        "NUMA_OPTIMIZATION", True,
        "Bind each stage's memory to the node of its core",
    ),
    _level(
        "KERNEL_BYPASS", False,
        "Busy-poll the sockets (SO_BUSY_POLL); refused with a reason where the kernel forbids it",
    ),
)  # fmt: skip

KNOBS = SYSTEM + PERFORMANCE + SUPERVISOR + TRADES + OPTIMIZATION
