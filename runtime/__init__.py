"""What all stages share: the duty cycle, clocks, waiting, placement, logging, the kernel library.

`system_calls`, `clocks` and `waits` are compiled code and import numba; a trading process gets them
through the kernel library (`kernels`) and imports only `stage`, `kernels`, `placement` and `logs`.
"""

import sys
import warnings

# requests guesses the encoding of texts that state none with a library that takes 3 MiB of the
# pipeline's memory. The venue speaks JSON in UTF-8, so it is left out; requests says so in a
# warning. Whoever imported requests before us keeps it as it is.
if "requests" not in sys.modules:
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection")
    for _name in ("charset_normalizer", "chardet"):
        sys.modules.setdefault(_name, None)  # type: ignore[arg-type]
