"""Peak of equity and day of an earlier run, taken over with the wallet. Loops: none.

What an earlier run noted last is its equity without what was unrealised (`base`): positions that
stay open are adopted at the venue's entry price, so what they gain or lose goes on in this run.
"""

from __future__ import annotations

from risk.state import CONTEXT, HEADER, KEPT
from shm.compiled import kernel
from shm.views import view_of

context_at = view_of(CONTEXT)
header_at = view_of(HEADER)
kept_at = view_of(KEPT)


@kernel
def take_over_equity(context: int, wallet_e8: int) -> None:
    """Set peak and day to those that an earlier run kept, if it kept any.

    Args:
        context: CONTEXT.
        wallet_e8: the wallet as the venue states it, which is equity without unrealised results,
            less what was paid in since the start.

    A wallet above the base was paid in, or won by nobody we know of: peak and day are lifted with
    it, so it makes up for no loss. One below was lost between the runs, by a stop at the venue
    perhaps: it counts as a loss, as does what was paid out. It may be done again at any time before
    `wallet_start_e8` is set: KEPT is read, and nothing of it is used up.
    """
    view = context_at(context)
    kept = kept_at(view.kept)
    if kept.peak_e8 <= 0:
        return
    header = header_at(view.header)
    shift = max(0, wallet_e8 - kept.base_e8)
    kept.wallet_e8 = wallet_e8
    header.peak_e8 = kept.peak_e8 + shift
    header.day_start_e8 = kept.day_start_e8 + shift
    header.utc_day = kept.utc_day
