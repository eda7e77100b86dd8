"""Two processes, one core each: the other half runs in a forked, checked child."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from bench.harness import WrongAnswerError


def beside(core: int, other: Callable[[], int], wanted: int, here: Callable[[], int]) -> int:
    """Run `other` in a child on a core while `here` runs in this process; return its result.

    Args:
        core: of the child.
        other: its result must be `wanted`.
        wanted: what the child must compute.
        here: runs in this process, pinned by the caller.

    Raises:
        WrongAnswerError: the child computed something else or died.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.sched_setaffinity(0, {core})
            got = other()
            code = 0 if got == wanted else 2
            if code:
                print(f"child: got={got} wanted={wanted}", file=sys.stderr, flush=True)
        except BaseException:
            # The boundary of the child: whatever it is, it is printed and makes the case fail.
            traceback.print_exc()
        finally:
            os._exit(code)
    result = here()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        raise WrongAnswerError(f"the other process failed: exit={status}")
    return result
