"""What people are shown of a build of kernels that failed.

numba says its reason first and then where it came from, outwards; Python's traceback before it is
of this program. Shown are the last place in the project, and the error's own words from their
beginning.
"""

from __future__ import annotations

import re

LINES_MAX = 12
_ERROR = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Warning)(?::|$)")
_FRAME = re.compile(r'  File "([^"]+)", line \d+')
# Places that say nothing to whoever wrote the kernel.
_FOREIGN = ("<frozen ", "/site-packages/", "/lib/python", "/runtime/kernel_build.py")


def failure_text(said: str) -> str:
    """Return at most LINES_MAX lines of what a failed build wrote.

    Args:
        said: all that it wrote to its standard error.
    """
    lines = said.strip().splitlines()
    errors = [place for place, line in enumerate(lines) if _ERROR.match(line)]
    heads = [place for place, line in enumerate(lines) if line.startswith("Traceback (")]
    # The last traceback is that of the error that ended it; those before are its causes.
    errors = [place for place in errors if not heads or place > heads[-1]]
    if not errors:
        return "\n".join(lines[-LINES_MAX:])
    first = errors[0]
    shown = _last_place(lines[heads[-1] if heads else 0 : first])
    for line in lines[first:]:
        # Blank lines and what numba says once per pass tell nothing more.
        if line.strip() and line not in shown:
            shown.append(line)
    return "\n".join(shown[:LINES_MAX])


def _last_place(traceback: list[str]) -> list[str]:
    """Return the last frame in the project and its line of source; empty when there is none."""
    for place in range(len(traceback) - 1, -1, -1):
        frame = _FRAME.match(traceback[place])
        if frame and not any(part in frame[1] for part in _FOREIGN):
            following = traceback[place + 1 : place + 2]
            return [traceback[place], *(x for x in following if not _FRAME.match(x))]
    return []
