"""The executor: orders at the venue, their signing, their state, the user-data stream.

Reads the gated ring `orders` (cursor 0) and the venue's private stream; writes the gated ring
`reports`, the order rows, the trust rows (which symbol differs from what the venue says), and
`reconciled`, `wallet_e8`, `funding_e8`, `transfer_e8`, `clock_offset_ns` and `clock_ready` of the
control record. It alone holds a key, it alone talks to the venue about orders; `emergency` does so
in a process of its own when the stage cannot (make kill, the supervisor's last act).

A stop that rests at the venue (STOP_MARKET) has one order id from its placing to the last fill of
the market order that it becomes: NEW while it waits, then FILLED, or CANCELED or EXPIRED with what
was filled. EXPIRED with CODE_TRIGGER_REFUSED is one that the venue refused when it triggered, with
CODE_NOT_FOUND one that it does not know any more; REJECTED with -2021 one that would have triggered
at once. A stop of a position that is open stays when everything else is canceled.

Fills of orders that are not ours are reported with order id 0 and a trade id that counts up within
their symbol; so is a position that differed from the venue's again and again, at rest or not.

What it drops: orders whose time has passed, entries while trading is halted, and orders for which
the table has no row are refused as NOT_SENT with a report. Fills that were applied already are
counted and ignored, and so are events without a fill of orders that are not ours.
"""
