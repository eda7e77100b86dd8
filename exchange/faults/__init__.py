"""Misbehave on command: one table of fault switches, asked at their injection points."""
