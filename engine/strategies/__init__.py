"""The strategies' entries: one file each, all of one shape, compiled into one chain.

A file holds a kernel `(state, parameters) -> +1 buy, −1 sell or 0` and its row, `STRATEGY`, which
names the signal that triggers it, its holding window and how its positions are left. registry.py
lists the files in their order; the first whose entry is confirmed wins. They propose, and
validation.py decides. A user's file has the same shape and is named in `signals.user_strategies`;
docs/API.md has a worked example.

The row is read twice: by the compiler, which imports the file, and from its text by the processes
that trade, which must not import numba (`config.strategies`). So everything but the kernel in it
is written out as a literal.
"""
