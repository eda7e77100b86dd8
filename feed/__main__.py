"""Print the counters and symbols of a running feed: `python -m feed [INSTANCE]`."""

import sys

from feed.report import report

if __name__ == "__main__":
    sys.exit(report(sys.argv[1] if len(sys.argv) > 1 else "scalping"))
