"""How the time of an orderly stop (supervisor.stop_timeout_s) is shared: one table for all.

The supervisor's shares count from the beginning of the stop, those of a stage from when it begins
to close.
"""

from __future__ import annotations

# Supervisor: until positions are closed, and until stages that have not ended are killed.
FLATTEN_SHARE = 0.4
STAGES_SHARE = 0.9
# Risk: until no entry or quote is under way, and each position has its stop.
RISK_SHARE = 0.15
# Executor: until risk has closed; until all is canceled and compared; until countdowns are disarmed
# and funding was looked at. What is left of the stages' half is for ending its threads.
SERVE_SHARE = 0.2
COMPARE_SHARE = 0.4
LAST_SHARE = 0.45

assert RISK_SHARE < SERVE_SHARE < COMPARE_SHARE < LAST_SHARE < STAGES_SHARE - FLATTEN_SHARE < 1.0
