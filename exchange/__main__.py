"""Start the exchange: `python -m exchange --help`."""

import sys

from exchange.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
