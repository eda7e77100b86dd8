"""Print the counters and symbols of a running engine: `python -m engine [INSTANCE]`."""

import sys

from engine.report import report

if __name__ == "__main__":
    sys.exit(report(sys.argv[1] if len(sys.argv) > 1 else "scalping"))
