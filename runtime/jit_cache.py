"""Print the folder in which numba may cache compiled kernels for the current sources.

numba's disk cache does not notice a changed callee in another file, so the folder's name carries
the hash over all kernel sources: a change of any of them starts an empty cache.
"""

from __future__ import annotations

import shutil

from runtime.kernels import BUILD_FOLDER, build_hash

PREFIX = "jit-"
GENERATIONS_KEPT = 2


def folder() -> str:
    """Return the folder's path and forget caches of older sources."""
    wanted = BUILD_FOLDER / f"{PREFIX}{build_hash():016x}"
    wanted.mkdir(parents=True, exist_ok=True)
    wanted.touch()
    caches = sorted(BUILD_FOLDER.glob(f"{PREFIX}*"), key=lambda path: path.stat().st_mtime)
    for old in caches[:-GENERATIONS_KEPT]:
        shutil.rmtree(old)
    return str(wanted)


if __name__ == "__main__":
    print(folder())
