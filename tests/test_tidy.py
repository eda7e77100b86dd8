"""The house style as far as a machine can check it: sizes, names, import directions, words."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400
LINE_COLUMNS_MAX = 100
STAGES = {"feed", "engine", "risk", "executor"}
# Who may import whom. A stage never imports another stage; the supervisor may import their agents
# and state, never their kernels; the exchange shares no codec with a stage.
ALLOWED = {
    "shm": set(),
    "config": {"shm"},
    "runtime": {"shm", "config"},
    "feed": {"shm", "config", "runtime"},
    "engine": {"shm", "config", "runtime"},
    "risk": {"shm", "config", "runtime"},
    "executor": {"shm", "config", "runtime"},
    "exchange": {"config", "runtime", "shm"},
    "supervisor": {"shm", "config", "runtime", *STAGES},
    # Users' programs stand above the faces; nothing of ours may import them.
    "examples": {"shm", "config", "runtime", "supervisor", *STAGES},
}
OURS = set(ALLOWED)
# What a trading process must not load: compiled-side modules import numba.
COMPILED_SIDE = {
    "shm.compiled",
    "shm.memory",
    "shm.views",
    "shm.atomics",
    "shm.rings",
    "shm.histograms",
    "shm.latches",
    "shm.pools",
    "shm.windows",
    "shm.manager",
    "runtime.system_calls",
    "runtime.clocks",
    "runtime.waits",
    "runtime.kernel_build",
}
DRAWERS = {"common", "utils", "util", "helpers", "helper", "misc"}
HYPE = ("ultra-fast", "institutional", "blazing", "lightning", "world-class", "cutting-edge")


# Inside the exchange: each may import those before it, and what stands at the package's top.
EXCHANGE_ORDER = ("faults", "matching", "streams", "markets", "trading", "api")


def tracked(*suffixes: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [ROOT / name for name in listed if name.endswith(suffixes) and (ROOT / name).exists()]


PYTHON_FILES = tracked(".py")
PRODUCT_FILES = [p for p in PYTHON_FILES if p.relative_to(ROOT).parts[0] not in ("tests",)]


def package_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"relative import: {path}:{node.lineno}"
            found.append(node.module)
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def test_there_are_files_to_check():
    assert len(PYTHON_FILES) > 50


def test_sizes():
    problems = []
    for path in PYTHON_FILES:
        name = path.relative_to(ROOT)
        lines = path.read_text().splitlines()
        if len(lines) > FILE_LINES_MAX:
            problems.append(f"{name}: {len(lines)} lines")
        problems += [
            f"{name}:{number}: {len(line)} columns"
            for number, line in enumerate(lines, 1)
            if len(line) > LINE_COLUMNS_MAX
        ]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                size = (node.end_lineno or 0) - node.lineno + 1
                if size > FUNCTION_LINES_MAX:
                    problems.append(f"{name}:{node.lineno}: {node.name} has {size} lines")
    assert not problems, "\n".join(problems)


def test_imports_go_one_way():
    problems = []
    for path in PRODUCT_FILES:
        package = package_of(path)
        if package not in ALLOWED:
            continue
        for module in imports_of(path):
            target = module.split(".")[0]
            if target in OURS and target != package and target not in ALLOWED[package]:
                problems.append(f"{path.relative_to(ROOT)} imports {module}")
            if package == "supervisor" and target in STAGES:
                part = module.split(".")[1] if "." in module else ""
                # `emergency` clears the venue in a process of its own, `keeping` reads what limits
                # remember, `settled` what an end leaves alone; they hold no kernels.
                if part not in ("", "agent", "state", "emergency", "keeping", "settled"):
                    problems.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not problems, "\n".join(problems)


def test_trading_processes_load_neither_numba_nor_numpy():
    """Import what the supervisor imports before the fork, and look at what that pulled in."""
    program = (
        "import sys, importlib, supervisor\n"
        "for s in ('feed', 'engine', 'risk', 'executor'):\n"
        "    importlib.import_module(s + '.agent'); importlib.import_module(s + '.state')\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules} & "
        "{'numpy', 'numba', 'llvmlite', 'aiohttp', 'orjson'}))\n"
        f"print(*sorted(set(sys.modules) & {COMPILED_SIDE!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_no_module_shadows_the_standard_library():
    standard = set(sys.stdlib_module_names)
    shadowing = [
        str(p.relative_to(ROOT))
        for p in PRODUCT_FILES
        if len(p.relative_to(ROOT).parts) == 1 and p.stem in standard
    ]
    packages = [p for p in {package_of(p) for p in PRODUCT_FILES} if p in standard]
    assert shadowing + packages == []


def test_no_drawers():
    assert [str(p) for p in PYTHON_FILES if p.stem in DRAWERS or p.parent.name in DRAWERS] == []


def test_entry_modules_are_short():
    for stage in STAGES:
        path = ROOT / stage / "__main__.py"
        assert len(path.read_text().splitlines()) <= 20, path


@pytest.mark.parametrize(
    "pattern",
    [
        r"\b(TODO|FIXME|XXX|HACK)\b",
        r"raise NotImplementedError",
        r"\btime\.sleep\(",
        r"except[^:\n]*:\s*\n\s*pass\b",
        r"(?<![A-Za-z0-9_.])/(?:root|home)/[a-z]",
    ],
)
def test_words_that_must_not_appear(pattern: str):
    found = []
    for path in tracked(".py", ".md", ".yaml", ".toml", ".lock", "Makefile"):
        if path == Path(__file__).resolve():
            continue
        text = path.read_text()
        for match in re.finditer(pattern, text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path.relative_to(ROOT)}:{line}: {match.group(0)!r}")
    assert not found, "\n".join(found)


def test_no_hype():
    found = []
    for path in tracked(".py", ".md", ".yaml"):
        if path == Path(__file__).resolve():
            continue
        text = path.read_text().lower()
        found += [f"{path.relative_to(ROOT)}: {word}" for word in HYPE if word in text]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("part", EXCHANGE_ORDER)
def test_exchange_imports_go_one_way(part: str) -> None:
    above = EXCHANGE_ORDER[EXCHANGE_ORDER.index(part) + 1 :]
    for path in sorted((ROOT / "exchange" / part).glob("*.py")):
        for name in imports_of(path):
            wrong = name.startswith(tuple(f"exchange.{other}" for other in above))
            assert not wrong, f"{path.relative_to(ROOT)} imports {name}"


def test_only_the_matching_kernels_of_the_exchange_stand_on_shared_memory_tooling():
    """Kernel files may import what is compiled; the layout beside them its field tables alone."""
    kernels = {"entries", "levels", "queues"}
    for path in tracked(".py"):
        if path.relative_to(ROOT).parts[0] != "exchange":
            continue
        is_matching = path.parent.name == "matching"
        allowed: tuple[str, ...] = ("shm.fields",) if is_matching else ()
        if is_matching and path.stem in kernels:
            allowed += ("shm.compiled", "shm.memory", "shm.views")
        found = [name for name in imports_of(path) if name.split(".")[0] == "shm"]
        wrong = [name for name in found if name != "shm" and not name.startswith(allowed or " ")]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"
        imported = set(imports_of(path))
        if path.stem not in kernels or not is_matching:
            assert not imported & {f"exchange.matching.{name}" for name in kernels}, path
            assert not imported & COMPILED_SIDE, path
