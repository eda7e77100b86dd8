"""Money that is paid in or out while a run trades: no result of it, so limits leave it out.

Venue: "Event: Balance and Position Update": `m` says why a balance changed, `bc` by how much, apart
from profit and commission. What is moved while the stream is down is told by no event: it shows
at the next start, as the difference between two wallets.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from executor import venue
from runtime.stage import StageContext

# What a person moves, or takes back. An adjustment, an insurance payment or an exchange of assets
# is a gain or a loss as far as we know: it is left to the next comparison of wallets.
TRANSFERS = frozenset(
    (
        *("DEPOSIT", "WITHDRAW", "WITHDRAW_REJECT", "ADMIN_DEPOSIT", "ADMIN_WITHDRAW"),
        *("ASSET_TRANSFER", "COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW"),
    )
)
# Events come twice; the second of one follows within seconds.
KNOWN_COUNT = 64


class Transfers:
    """Sum transfers of the quote asset into `control.transfer_e8`."""

    def __init__(self, context: StageContext) -> None:
        self._control, self._log = context.memory.control, context.log
        # In a later life of the executor risk has begun with its wallet long since.
        self._is_first = self._control.wallet_e8 == 0
        self._known: deque[tuple[int, str, int, int]] = deque(maxlen=KNOWN_COUNT)

    def take(self, event: dict[str, Any], balance: dict[str, Any]) -> None:
        """Count a balance of ACCOUNT_UPDATE, before its wallet becomes ours.

        One before any wallet is known is part of that wallet; so is one that comes first and leads
        to the very wallet that was stated at the start: the reply overtook its event. While one is
        counted no wallet is known: risk may be about to begin with it, less what was paid in.

        Raises:
            VenueDataError, KeyError: a transfer does not tell its amount.
        """
        is_first = self._is_first
        self._is_first = is_first and self._control.wallet_e8 == 0
        reason = event["a"].get("m")
        if reason not in TRANSFERS:
            return
        change_e8, wallet_e8 = venue.to_e8(balance["bc"]), venue.to_e8(balance["wb"])
        # One wallet cannot be reached twice by the same change at the same time.
        key = (int(event["T"]), reason, change_e8, wallet_e8)
        if key in self._known:
            return
        self._known.append(key)
        control = self._control
        if is_first and control.wallet_e8 == wallet_e8:
            self._log.info("the wallet has this transfer", reason=reason, amount_e8=change_e8)
        elif control.wallet_e8 > 0 or control.transfer_e8 != 0:
            # Ordering: what is read of the two in between would not belong together.
            control.wallet_e8 = 0
            control.transfer_e8 += change_e8
            self._log.warning("transfer", reason=reason, amount_e8=change_e8, wallet_e8=wallet_e8)
