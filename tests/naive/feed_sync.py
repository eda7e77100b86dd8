"""The slow, obvious twin of the feed: messages and snapshots in, market events out.

One symbol, one connection. Events are (kind, flags, venue_ns, price, quantity, third, fourth).
"""

from __future__ import annotations

from tests.naive.feed_decoder import decode

TRADE, BEST, LEVEL, BEGIN, END, INVALID = 1, 2, 3, 4, 5, 6
ASK, LAST, SNAPSHOT, DELAYED = 1, 2, 4, 8
GAP, MALFORMED = 1, 4
MS = 1_000_000


class Feed:
    """Follows BINANCE's rules by the book."""

    def __init__(self, filters):
        self.filters = [filters]
        self.events = []
        self.kept = None  # a list while a snapshot is awaited
        self.snapshot_id = None  # set until the first update was applied
        self.last_u = None
        self.valid = False
        self.venue_ns = 0
        self.trade_id = self.best_id = 0
        self.snapshots_wanted = 0

    def want_snapshot(self, reason=None):
        if self.valid:
            self.events.append((INVALID, LAST, self.venue_ns, 0, reason, 0, 0))
        self.valid = False
        self.kept = []
        self.snapshots_wanted += 1

    def message(self, text):
        code, fields = decode(text, self.filters, 0)
        if code == "IGNORED":
            return
        if code != "OK":
            if b"depthUpdate" in text:
                self.want_snapshot(MALFORMED)
            return
        venue_ns = fields["E"] * MS if fields["E"] else self.venue_ns
        if fields["kind"] == "bookTicker" and fields["u"] > self.best_id:
            self.best_id = fields["u"]
            prices = (fields["bid"], fields["bid_lot"], fields["ask"], fields["ask_lot"])
            self.events.append((BEST, LAST, venue_ns, *prices))
        elif fields["kind"] in ("trade", "aggTrade") and fields["id"] > self.trade_id:
            self.trade_id = fields["id"]
            flags = LAST | (ASK if fields["sell"] else 0)
            row = (TRADE, flags, venue_ns, fields["price"], fields["lot"], fields["id"], 0)
            self.events.append(row)
        elif fields["kind"] == "depthUpdate":
            self.venue_ns = max(self.venue_ns, venue_ns)
            self.depth(fields, venue_ns)
        self.venue_ns = max(self.venue_ns, venue_ns)

    def depth(self, fields, venue_ns):
        if self.kept is not None:
            if self.kept and fields["pu"] != self.kept[-1][0]["u"]:
                self.kept.clear()
            self.kept.append((fields, venue_ns))
        elif not self.apply(fields, venue_ns, 0):
            self.want_snapshot(GAP)
            self.kept.append((fields, venue_ns))

    def apply(self, fields, venue_ns, flags):
        """Apply one update; return False when it does not connect."""
        if self.snapshot_id is not None:
            if fields["u"] < self.snapshot_id:
                return True
            if not (fields["U"] <= self.snapshot_id or fields["pu"] == self.snapshot_id):
                return False
            self.snapshot_id = None
        elif fields["pu"] != self.last_u:
            return False
        self.last_u = fields["u"]
        rows = [(0, *level) for level in fields["bids"]] + [
            (ASK, *level) for level in fields["asks"]
        ]
        for number, (side, price, lot) in enumerate(rows):
            last = LAST if number == len(rows) - 1 else 0
            event = (LEVEL, flags | side | last, venue_ns, price, lot, fields["u"], 0)
            self.events.append(event)
        return True

    def snapshot(self, text):
        """Take a snapshot; return False when it is too old."""
        code, fields = decode(text, self.filters, 0)
        assert code == "OK"
        following = [entry for entry in self.kept if entry[0]["u"] >= fields["u"]]
        if following:
            first = following[0][0]
            if not (first["U"] <= fields["u"] or first["pu"] == fields["u"]):
                self.snapshots_wanted += 1
                return False
        venue_ns = (fields["T"] or fields["E"]) * MS or self.venue_ns
        self.events.append((BEGIN, 0, venue_ns, 0, 0, fields["u"], 0))
        for side, rows in ((0, fields["bids"]), (ASK, fields["asks"])):
            for price, lot in rows:
                self.events.append((LEVEL, SNAPSHOT | side, venue_ns, price, lot, fields["u"], 0))
        self.events.append((END, LAST, venue_ns, 0, 0, fields["u"], 0))
        self.valid, self.kept, self.snapshot_id = True, None, fields["u"]
        for entry, entry_ns in following:
            assert self.apply(entry, entry_ns, DELAYED)
        return True
