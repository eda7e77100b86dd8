"""Benches: one file per stage, one harness. `python -m bench STAGE [--quick] [--json FILE]`.

Every bench is pinned, warmed, repeated and checks its answer; baselines are measured in the same
run. The row format is stated in harness.py.
"""
