"""The kernel library: same results as JIT, only libc outside, keyed by content."""

from __future__ import annotations

import ctypes
import importlib
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from runtime import kernels
from runtime.kernels import KernelError
from shm import compiled
from shm.histogram_layout import HISTOGRAM
from shm.pool_layout import format_pool, pool_size
from shm.ring_layout import format_ring, ring_size
from shm.tables import DOORBELL

GROUPS = (
    ("shm.rings", "shm.histograms", "runtime.waits"),
    ("shm.pools", "shm.windows", "runtime.clocks"),
)
SEED = 31


def use_groups(patch: pytest.MonkeyPatch, groups: tuple[tuple[str, ...], ...] = GROUPS) -> None:
    patch.setattr(kernels, "KERNEL_GROUPS", groups)
    patch.setattr(kernels, "KERNEL_MODULES", tuple(name for group in groups for name in group))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the library of a few modules once, as the product does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "BUILD_FOLDER", tmp_path_factory.mktemp("build"))
        use_groups(patch)
        if not kernels.compiler():
            pytest.skip("no C compiler on this machine")
        ahead = kernels.load("ahead")
        # Whatever else this process has imported is not compiled along.
        for name in kernels.KERNEL_MODULES:
            importlib.import_module(name)
        manifest = json.loads(Path(ahead.path).with_suffix(".json").read_text())
        patch.setattr(compiled, "EXPORTS", {name: compiled.EXPORTS[name] for name in manifest})
        yield ahead, kernels.load("jit")


def memory(size: int) -> int:
    buffer = ctypes.create_string_buffer(size + 64)
    _KEPT.append(buffer)
    return -(-ctypes.addressof(buffer) // 64) * 64


_KEPT: list = []


def trace(library, gated: bool) -> tuple[list[int], bytes]:
    """Return the results of random operations on a ring, and its memory at the end."""
    rng = random.Random(SEED)
    size = ring_size(8, 128)
    ring, target = memory(size), memory(128)
    format_ring(ring, 8, 128, 2 if gated else 0)
    found = []
    for step in range(2_000):
        choice = rng.randrange(4)
        if choice <= 1:
            slot = library.ring_claim(ring) if gated else library.ring_claim_broadcast(ring)
            found.append(slot and slot - ring)
            if slot:
                ctypes.c_int64.from_address(slot).value = step
                library.ring_publish(ring, slot)
        elif gated:
            cursor = rng.randrange(2)
            slot = library.ring_peek(ring, cursor)
            found.append(slot and ctypes.c_int64.from_address(slot).value)
            if slot:
                library.ring_advance(ring, cursor)
        else:
            found.append(library.ring_read_broadcast(ring, rng.randrange(max(1, step)), target))
            found.append(ctypes.c_int64.from_address(target).value)
        found.append(library.ring_newest(ring))
    found.append(library.ring_recover(ring))
    return found, ctypes.string_at(ring, size)


@pytest.mark.parametrize("gated", [True, False])
def test_rings_do_the_same_ahead_of_time_and_in_process(built, gated: bool):
    print("seed", SEED)
    ahead, jit = built
    assert trace(ahead, gated) == trace(jit, gated)


def test_pools_and_histograms_do_the_same(built):
    print("seed", SEED)
    ahead, jit = built
    seen = []
    for library in (ahead, jit):
        rng = random.Random(SEED)
        size = pool_size(5, 64)
        pool, histogram = memory(size), memory(HISTOGRAM.size)
        format_pool(pool, 5, 64)
        held: list[int] = []
        found = []
        for _ in range(500):
            if rng.random() < 0.55:
                taken = library.pool_take(pool)
                found.append(taken and taken - pool)
                held += [taken] if taken else []
            elif held:
                found.append(library.pool_give(pool, held.pop(rng.randrange(len(held)))))
            library.histogram_record(histogram, rng.randrange(-10, 1 << 45))
        found.append(library.pool_give(pool, pool + 1))
        content = ctypes.string_at(pool, size) + ctypes.string_at(histogram, HISTOGRAM.size)
        seen.append((found, content))
    assert seen[0] == seen[1]


def test_doorbell_and_clock_work_ahead_of_time(built):
    import time

    ahead, _ = built
    before = time.monotonic_ns()
    assert before <= ahead.clock_mono_ns() <= time.monotonic_ns()
    bell = memory(DOORBELL.size)
    ctypes.memset(bell, 0, DOORBELL.size)
    row = DOORBELL.at(bell)
    row.event_fd, row.sleeping = -1, 1
    ahead.doorbell_ring(bell)
    ahead.doorbell_ring(bell)
    assert row.wakes == 1


def test_library_needs_only_libc(built):
    ahead, _ = built
    if not shutil.which("nm"):
        pytest.skip("nm is not installed")
    done = subprocess.run(
        ["nm", "-D", "--undefined-only", ahead.path], capture_output=True, text=True, check=True
    )
    needed = {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines()}
    # Weak references that every shared library of the tool chain carries.
    needed -= {"__cxa_finalize", "__gmon_start__"}
    needed -= {"_ITM_registerTMCloneTable", "_ITM_deregisterTMCloneTable"}
    libc = ctypes.CDLL("libc.so.6")
    assert needed and all(hasattr(libc, name) for name in needed), needed
    assert not [name for name in needed if name.startswith(("Py", "NRT", "numba"))]


def test_manifest_names_every_export_and_nothing_else_is_visible(built):
    ahead, jit = built
    manifest = json.loads(Path(ahead.path).with_suffix(".json").read_text())
    exported = {name for name in vars(ahead) if name not in ("mode", "build_hash", "path")}
    assert set(manifest) == exported
    done = subprocess.run(
        ["nm", "-D", "--defined-only", ahead.path], capture_output=True, text=True, check=True
    )
    assert {line.split()[-1] for line in done.stdout.splitlines()} == exported
    assert {"ring_claim", "pool_take", "window_store_tick", "doorbell_ring"} <= exported
    assert all(hasattr(jit, name) for name in exported)
    with pytest.raises(AttributeError, match=r"no such kernel: nonsense \(mode ahead\)"):
        ahead.nonsense(1)


def test_present_library_is_used_as_it_is(built):
    ahead, _ = built
    stamp = Path(ahead.path).stat().st_mtime_ns
    assert kernels.is_built()
    assert kernels.load("ahead").path == ahead.path
    assert Path(ahead.path).stat().st_mtime_ns == stamp


def test_hash_changes_with_the_sources_and_only_with_them(tmp_path, monkeypatch):
    use_groups(monkeypatch)
    original = kernels.build_hash()
    for package in ("shm", "runtime"):
        shutil.copytree(
            kernels.ROOT / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    monkeypatch.setattr(kernels, "ROOT", tmp_path)
    assert kernels.build_hash() == original, "the place of the tree is no part of the kernels"
    for name in ("shm/rings.py", "shm/fields.py", "runtime/kernel_build.py", "shm/tables.py"):
        path = tmp_path / name
        text = path.read_text()
        path.write_text(text + "\n# another byte\n")
        assert kernels.build_hash() != original, name
        path.write_text(text)
        assert kernels.build_hash() == original
    (tmp_path / "runtime" / "status.py").write_text("# no kernel imports this\n")
    assert kernels.build_hash() == original
    assert kernels.build_hash(kernels.BASELINE_CPU) != original


def test_no_compiler_is_an_error_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "BUILD_FOLDER", tmp_path)
    use_groups(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert kernels.compiler() == ""
    with pytest.raises(KernelError, match="no C compiler found"):
        kernels.load("ahead")


def test_failed_build_shows_its_output_and_leaves_no_library(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "BUILD_FOLDER", tmp_path)
    use_groups(monkeypatch, (("shm.absent_module",),))
    with pytest.raises(KernelError, match="absent_module"):
        kernels.load("ahead")
    assert list(tmp_path.glob("*.so")) == []


def test_a_change_compiles_the_groups_it_touches_and_no_other(tmp_path, monkeypatch):
    if not kernels.compiler():
        pytest.skip("no C compiler on this machine")
    monkeypatch.setattr(kernels, "BUILD_FOLDER", tmp_path)
    use_groups(monkeypatch, (("shm.windows",), ("runtime.clocks",)))
    first = kernels.ensure_built()
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.glob("part-*.o")}
    assert len(stamps) == 2
    use_groups(monkeypatch, (("shm.windows",), ("shm.pools",)))
    second = kernels.ensure_built()
    parts = set(tmp_path.glob("part-*.o"))
    assert first != second and len(parts - set(stamps)) == 1
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items())
    assert "pool_take" in json.loads(second.with_suffix(".json").read_text())


def test_unknown_mode_is_refused():
    with pytest.raises(KernelError, match="kernels=fast"):
        kernels.load("fast")


def test_older_builds_are_forgotten_but_three(tmp_path):
    import os

    made = [tmp_path / f"kernels-{number:016x}.so" for number in range(6)]
    for age, path in enumerate(made):
        path.touch()
        path.with_suffix(".json").touch()
        os.utime(path, (1000 + age, 1000 + age))
    kernels._forget_old(tmp_path.glob("kernels-*.so"), 3, {made[0]})
    assert sorted(tmp_path.glob("*.so")) == [made[0], *made[3:]]
    assert len(list(tmp_path.glob("*.json"))) == 4
