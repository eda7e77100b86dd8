"""The kill latch in kernels; the table and its Python side are in latch_table.py. Loops: none."""

from __future__ import annotations

from shm.compiled import kernel
from shm.tables import CONTROL
from shm.views import view_of

control_at = view_of(CONTROL)


@kernel
def risk_latch_held(control: int) -> int:
    """Return the LatchReason that risk itself has tripped and nobody has re-armed, or 0."""
    view = control_at(control)
    return view.risk_latch if view.risk_latch_ns >= view.rearm_ns else 0


@kernel
def other_latch_held(control: int) -> int:
    """Return the LatchReason of a person or the supervisor that holds, or 0."""
    view = control_at(control)
    if view.kill_latch != 0 and view.kill_latch_ns >= view.rearm_ns:
        return view.kill_latch
    return view.supervisor_latch if view.supervisor_latch_ns >= view.rearm_ns else 0


@kernel
def trip_risk_latch(control: int, reason: int, now_ns: int) -> None:
    """Trip risk's latch, unless it holds already: the first reason stays.

    Only risk may. A trip that a person has re-armed is replaced.
    """
    view = control_at(control)
    if risk_latch_held(control) != 0:
        return
    # Ordering: the stamp first. The reason alone, with an old stamp, would hold nothing.
    view.risk_latch_ns = now_ns
    view.risk_latch = reason


@kernel
def forget_voided_risk_latch(control: int) -> bool:
    """Clear risk's word once a person has re-armed; return whether that happened.

    The caller has begun anew what it measures against: the peak of equity, the day's loss.
    """
    view = control_at(control)
    if view.risk_latch == 0 or risk_latch_held(control) != 0:
        return False
    view.risk_latch = 0
    return True
