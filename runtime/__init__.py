"""What all stages share: the duty cycle, clocks, waiting, placement, logging, the kernel library.

`system_calls`, `clocks` and `waits` are compiled code and import numba; a trading process gets them
through the kernel library (`kernels`) and imports only `duty`, `kernels`, `placement` and `logs`.
"""
