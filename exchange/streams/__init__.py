"""Carry market data to WebSocket clients: every event is encoded once, whoever listens."""
