"""The kernel library as trading processes use it: built when needed, loaded with ctypes.

    kernels = load("ahead")          # or "jit": the same code under numba, for debugging
    kernels.ring_claim(address)      # int64 in, int64 out, the interpreter lock released

The library's name carries a hash over every kernel source, the versions of numba and llvmlite, and
the CPU it is for: when one of them changes, another file is built. Each group's object file is kept
under the hash of that group's own sources, so a change compiles the groups it touches and no other.
A user's strategies (`signals.user_strategies`) are sources of the group that imports the engine's
registry: with others, another library is built.
Nothing here imports numba unless "jit" is asked for.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

from runtime.build_failure import failure_text
from runtime.user_strategies import REFUSED, ChoiceError, StrategyError, choose, import_chosen

ROOT = Path(__file__).resolve().parent.parent
BUILD_FOLDER = ROOT / ".build"
# The modules whose import registers exports. Names, not imports: the stages stand above us.
# Each group is compiled by a process of its own; together they take about as long as the longest.
KERNEL_GROUPS = (
    ("feed.loop",),
    ("engine.loop", "engine.book_queries"),
    ("risk.loop",),
    ("exchange.matching.entries",),
    (
        "shm.rings",
        "shm.histograms",
        "shm.pools",
        "shm.windows",
        "runtime.clocks",
        "runtime.waits",
        "executor.loop",
    ),
)
KERNEL_MODULES = tuple(name for group in KERNEL_GROUPS for name in group)
BUILDS_KEPT = 3
BUILDER_MODULE = "runtime.kernel_build"
REGISTRY_MODULE = "engine.strategies.registry"
BASELINE_CPU = "x86-64-v3"
_IMPORT = re.compile(r"^(?:from ([\w.]+) import (\([^)]*\)|[^\n]*)|import ([\w.]+))", re.MULTILINE)
_NAME = re.compile(r"\w+")


class KernelError(RuntimeError):
    """The kernel library could not be built or loaded."""

    exit_code = 1  # of a program that it ends


class BadStrategyError(KernelError):
    """A user's strategy cannot be imported; the message is one line."""

    exit_code = 2


class Kernels(SimpleNamespace):
    """The exported kernels as attributes, each a callable of integers."""

    mode: str
    build_hash: int
    path: str

    def __getattr__(self, name: str) -> Callable[..., int]:
        raise AttributeError(f"no such kernel: {name} (mode {self.mode})")


def _cpu_identity() -> str:
    text = Path("/proc/cpuinfo").read_text()
    wanted = ("model name", "flags", "Features", "CPU part")
    lines = [line for line in text.split("\n\n")[0].splitlines() if line.startswith(wanted)]
    return platform.machine() + "|".join(lines)


def source_files(
    modules: Sequence[str] | None = None, strategies: Sequence[str] = ()
) -> list[Path]:
    """Return the sources that make up kernels: what the modules import, transitively.

    Args:
        modules: names of kernel modules; None for all of them.
        strategies: modules of users' strategies; they count where the registry does.

    Read from the text, because importing them would load numba into a trading process. Modules
    that only Python runs (agents, wires) do not change the library.
    """
    found: set[Path] = set()
    waiting = [*(KERNEL_MODULES if modules is None else modules), BUILDER_MODULE]
    while waiting:
        name = waiting.pop()
        path = _source_file(name)
        if path in found or not path.is_file():
            continue
        found.add(path)
        if name == REGISTRY_MODULE:
            waiting += strategies
            for strategy in strategies:
                # However a file imports those beside it, they count.
                package, _, _ = strategy.rpartition(".")
                beside = _source_file(strategy).parent.glob("*.py") if package else ()
                waiting += [f"{package}.{path.stem}" for path in beside]
        # What is not UTF-8 is a matter of whoever imports it; here it counts by its bytes.
        text = path.read_text("utf-8", "replace")
        for module, names, plain in _IMPORT.findall(text):
            waiting.append(module or plain)
            waiting += [f"{module}.{name}" for name in _NAME.findall(names)]
    return sorted(found)


def _source_file(module: str) -> Path:
    return ROOT / (module.replace(".", "/") + ".py")


def build_hash(
    cpu: str = "host", modules: Sequence[str] | None = None, strategies: Sequence[str] = ()
) -> int:
    """Return 63 bits over sources, numba, llvmlite, Python and the CPU the library is for."""
    digest = hashlib.sha256()
    sources = source_files(modules, strategies)
    for path in sources:
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    if _source_file(REGISTRY_MODULE) in sources:
        # Their order is that of their codes.
        digest.update("\0".join(strategies).encode())
    for name in ("numba", "llvmlite"):
        digest.update(importlib.metadata.version(name).encode())
    digest.update(sys.version.encode())
    digest.update((cpu if cpu != "host" else _cpu_identity()).encode())
    return int.from_bytes(digest.digest()[:8], "little") >> 1


def compiler() -> str:
    """Return the C compiler that links the library, or "" when there is none."""
    wanted = os.environ.get("CC", "")
    for name in (wanted, "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    return ""


def library_path(cpu: str = "host", strategies: Sequence[str] = ()) -> Path:
    """Return where the library for the current sources, strategies and CPU belongs."""
    return BUILD_FOLDER / f"kernels-{build_hash(cpu, None, strategies):016x}.so"


def is_built(cpu: str = "host", strategies: Sequence[str] = ()) -> bool:
    """Return whether that library is there, with its manifest."""
    path = library_path(cpu, strategies)
    return path.exists() and path.with_suffix(".json").exists()


def ensure_built(cpu: str = "host", strategies: Sequence[str] = ()) -> Path:
    """Return the library for the current sources and CPU, building it if it is not there.

    Args:
        cpu: "host" or an LLVM CPU name.
        strategies: modules of users' strategies, in the order of their codes.

    Raises:
        BadStrategyError: a user's strategy cannot be imported.
        KernelError: there is no C compiler, or the build failed; the message holds its reason.
    """
    path = library_path(cpu, strategies)
    if is_built(cpu, strategies):
        return path
    linker = compiler()
    if not linker:
        raise KernelError("no C compiler found (cc, gcc, clang): kernels cannot be linked")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several processes may miss the library at once: one builds it, the others wait for that.
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_built(cpu, strategies):
            return path
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            objects = _compile_groups(Path(folder), cpu, strategies)
            link(objects, Path(folder), path, linker)
    _forget_old(path.parent.glob("kernels-*.so"), BUILDS_KEPT, {path})
    parts_kept = BUILDS_KEPT * len(KERNEL_GROUPS)
    _forget_old(path.parent.glob("part-*.o"), parts_kept, set(objects))
    return path


def _compile_groups(folder: Path, cpu: str, strategies: Sequence[str]) -> list[Path]:
    """Return every group's object file; compile those that are missing, all at the same time."""
    # Settings of numba are for whoever works on kernels, not for what trades.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    hashes = [build_hash(cpu, group, strategies) for group in KERNEL_GROUPS]
    objects = [BUILD_FOLDER / f"part-{number:016x}.o" for number in hashes]
    running = []
    for kept, group in zip(objects, KERNEL_GROUPS, strict=True):
        if kept.exists() and kept.with_suffix(".json").exists():
            continue
        part = folder / kept.name
        command = [sys.executable, "-m", BUILDER_MODULE, str(part), *group, "--cpu", cpu]
        if _source_file(REGISTRY_MODULE) in source_files(group):
            command += [f"--strategy={name}" for name in strategies]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,  # Ctrl-C reaches us, and we end them
        )
        running.append((process, part, kept))
    failures = []
    try:
        for process, part, kept in running:
            _, said = process.communicate()
            if process.returncode != 0:
                text = said.decode("utf-8", "replace")
                if process.returncode == REFUSED:
                    raise BadStrategyError(text.strip())
                failures.append(failure_text(text))
                continue
            part.with_suffix(".json").replace(kept.with_suffix(".json"))
            part.replace(kept)  # last: an object file that exists is complete
    finally:
        for process, _, _ in running:
            if process.poll() is None:
                process.kill()
                process.communicate()
    if failures:
        raise KernelError("kernel build failed:\n" + "\n".join(failures))
    return objects


def link(objects: list[Path], folder: Path, output: Path, linker: str) -> None:
    """Link object files into a library and join their manifests.

    Args:
        objects: object files, each with its manifest (suffix .json) beside it.
        folder: where the library is written before it is moved, on the same file system.
        output: path of the library; its manifest gets the suffix .json.
        linker: the C compiler.

    Raises:
        KernelError: the linker failed; its message is in it.
    """
    manifest: dict[str, int] = {}
    for part in objects:
        manifest |= json.loads(part.with_suffix(".json").read_text())
    library = folder / output.name
    command = [linker, "-shared", "-o", str(library), *map(str, objects), "-Wl,--gc-sections"]
    command += ["-Wl,-z,now", "-Wl,--no-undefined", "-lm", "-lc"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KernelError(f"linking the kernels failed: {done.stderr.strip()}")
    output.with_suffix(".json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    library.replace(output)  # last and atomic: a library that exists is complete


def _forget_old(files: Iterable[Path], kept: int, needed: set[Path]) -> None:
    """Remove all but the newest files and those that are needed, with their manifests."""
    # Sources change often while developing; a few generations are enough to go back and forth.
    for old in sorted(files, key=lambda p: p.stat().st_mtime)[:-kept]:
        if old not in needed:
            old.unlink(missing_ok=True)
            old.with_suffix(".json").unlink(missing_ok=True)


def load(mode: str = "ahead", cpu: str = "host", strategies: Sequence[str] = ()) -> Kernels:
    """Load the kernels.

    Args:
        mode: "ahead" loads the library (building it first if needed), "jit" compiles in process.
        cpu: "host" or an LLVM CPU name such as `BASELINE_CPU`.
        strategies: modules of users' strategies, in the order of their codes.

    Raises:
        KernelError: unknown mode, or as `ensure_built`.
    """
    if mode == "jit":
        return _load_jit(strategies)
    if mode != "ahead":
        raise KernelError(f"kernels must be ahead or jit: kernels={mode}")
    return load_library(ensure_built(cpu, strategies))


def load_library(path: Path) -> Kernels:
    """Load the kernels of a library that is there.

    Raises:
        KernelError: it is not, or it is no library of ours.
    """
    try:
        manifest: dict[str, int] = json.loads(path.with_suffix(".json").read_text())
        library = ctypes.CDLL(str(path), use_errno=True)
    except (OSError, ValueError) as error:
        raise KernelError(f"cannot load the kernel library: {error}") from error
    number = int(path.stem.rpartition("-")[2], 16)
    kernels = Kernels(mode="ahead", build_hash=number, path=str(path))
    for name, count in manifest.items():
        function = getattr(library, name)
        function.argtypes = [ctypes.c_int64] * count
        function.restype = ctypes.c_int64
        setattr(kernels, name, function)
    return kernels


def _load_jit(strategies: Sequence[str]) -> Kernels:
    try:
        choose(strategies)
        import_chosen()
    except ChoiceError as error:
        raise KernelError(str(error)) from error
    except StrategyError as error:
        raise BadStrategyError(str(error)) from error
    for name in KERNEL_MODULES:
        importlib.import_module(name)
    from numba import types

    from shm.compiled import EXPORTS, interpreted

    kernels = Kernels(mode="jit", build_hash=build_hash(strategies=strategies), path="")
    for name, entry in EXPORTS.items():
        if not interpreted():
            # Compiled before the fork, so that the stages share the result.
            entry.function.compile((types.int64,) * entry.argument_count)
        setattr(kernels, name, entry.function)
    return kernels
