"""Compile all exported kernels ahead of time into one shared library (`make build`).

numba's own ahead-of-time compiler is being retired, so the way is: compile each export for its
signature, take the optimised LLVM IR of its library, add a small wrapper with a plain C signature,
make everything else internal, drop what is unreachable, emit a position-independent object and
link it with the C compiler. Running an optimisation pipeline again over already optimised IR makes
it slower, so dead-code elimination is the only pass.

This module imports numba and every stage's kernels; it runs in a process of its own:

    python -m runtime.kernel_build OUTPUT.so|OUTPUT.o [--cpu host|x86-64-v3] MODULE...
        [--strategy MODULE]...

An object file holds the exports of a few modules: `runtime.kernels` builds several side by side,
one process each, and links them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba import types

from runtime.kernels import link
from runtime.user_strategies import REFUSED, StrategyError, choose, import_chosen
from shm.compiled import CACHE_VARIABLE, EXPORTS, Export


def _wrapper_text(export: Export, mangled: str, result: str) -> str:
    # numba's calling convention: i32 status f(result*, exception*, arguments…). The kernels raise
    # nothing, so the status is not looked at; a bool comes back as a byte.
    count = export.argument_count
    declared = ", i64" * count
    named = ", ".join(f"i64 %a{k}" for k in range(count))
    passed = "".join(f", i64 %a{k}" for k in range(count))
    slot, load = {
        "int64": ("i64", "%v = load i64, ptr %r"),
        "bool": ("i8", "%b = load i8, ptr %r\n %v = zext i8 %b to i64"),
    }[result]
    return f"""
declare i32 @"{mangled}"(ptr, ptr{declared})
define i64 @{export.name}({named}) {{
 %r = alloca {slot}
 %e = alloca ptr
 %s = call i32 @"{mangled}"(ptr %r, ptr %e{passed})
 {load}
 ret i64 %v
}}"""


def _eliminate_dead_code(module: Any, machine: Any) -> None:
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=0))
    manager = llvm.create_new_module_pass_manager()
    manager.add_global_dead_code_eliminate_pass()
    manager.run(module, builder)


def _module_of(export: Export, machine: Any) -> Any:
    signature = (types.int64,) * export.argument_count
    export.function.compile(signature)
    compiled = export.function.overloads[signature]
    # A kernel that always returns the same number is typed as that literal: an int64 all the same.
    result = str(types.unliteral(compiled.signature.return_type))
    if result not in ("int64", "bool"):
        raise TypeError(f"an exported kernel must return int64: {export.name} returns {result}")
    mangled = compiled.fndesc.llvm_func_name
    module = llvm.parse_assembly(compiled.library.get_llvm_str())
    wrapper = llvm.parse_assembly(_wrapper_text(export, mangled, result))
    wrapper.triple, wrapper.data_layout = module.triple, module.data_layout
    for function in module.functions:
        if function.name == mangled:
            function.linkage = "linkonce_odr"
    module.link_in(wrapper)
    for function in module.functions:
        if not function.is_declaration and function.name != export.name:
            function.linkage = "internal"
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    _eliminate_dead_code(module, machine)
    module.verify()
    return module


def _target_machine(cpu: str) -> Any:
    host = cpu == "host"
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name() if host else cpu,
        features=llvm.get_host_cpu_features().flatten() if host else "",
        opt=3,
        reloc="pic",
        codemodel="default",
    )


def compile_object(output: Path, module_names: list[str], cpu: str) -> dict[str, int]:
    """Compile the exports that some modules define into one object file, with a manifest beside it.

    Args:
        output: path of the object file; the manifest gets the suffix .json.
        module_names: modules that define exports; those of what they import are left to others.
        cpu: "host" or an LLVM CPU name.

    Returns:
        argument count by exported name.

    Raises:
        ValueError: the modules define no exports.
    """
    for name in module_names:
        importlib.import_module(name)
    exports = {
        name: export
        for name, export in EXPORTS.items()
        if export.function.__module__ in module_names
    }
    llvm.initialize_native_asmparser()
    machine = _target_machine(cpu)
    whole = None
    for name in sorted(exports):
        module = _module_of(exports[name], machine)
        if whole is None:
            whole = module
        else:
            whole.link_in(module)
    if whole is None:
        raise ValueError(f"no exported kernels in modules: {module_names}")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(machine.emit_object(whole))
    manifest = {name: export.argument_count for name, export in exports.items()}
    output.with_suffix(".json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    return manifest


def main(arguments: list[str] | None = None) -> int:
    """Run the command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m runtime.kernel_build")
    parser.add_argument("output", type=Path, help="*.so builds the library, *.o one object")
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--cpu", default="host")
    parser.add_argument("--compiler", default="cc")
    parser.add_argument("--strategy", action="append", default=[], help="module of a user's")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    # IR is not available for functions that numba loads from its disk cache: compile without one.
    os.environ.pop(CACHE_VARIABLE, None)
    choose(options.strategy)
    try:
        import_chosen()
    except StrategyError as error:
        print(error, file=sys.stderr)
        return REFUSED
    if options.output.suffix == ".o":
        manifest = compile_object(options.output, options.modules, options.cpu)
    else:
        manifest = build(options.output, options.modules, options.cpu, options.compiler)
    size = options.output.stat().st_size
    seconds = time.monotonic() - started
    print(f"built {len(manifest)} kernels, {size} bytes, in {seconds:.1f} s", file=sys.stderr)
    return 0


def build(output: Path, module_names: list[str], cpu: str, compiler: str) -> dict[str, int]:
    """Build a library and its manifest in this process.

    Returns:
        argument count by exported name.

    Raises:
        KernelError: the linker failed; its message is in it.
        ValueError: as `compile_object`.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        part = Path(folder) / "kernels.o"
        manifest = compile_object(part, module_names, cpu)
        link([part], part.parent, output, compiler)
    return manifest


if __name__ == "__main__":
    sys.exit(main())
