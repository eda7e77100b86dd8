"""Embed a Binance-compatible USDⓈ-M futures exchange in a process of its own on loopback.

It serves REST, market streams, the user data stream and the WS-API on one port. Three markets stand
behind one interface (`markets.Market`): a seeded synthetic order flow, a replay of recordings, and
a mirror of another venue's public streams. It shares no code with the stages that talk to it: a
mistake shared by both ends would cancel out.
"""
