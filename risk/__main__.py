"""Print the limits an entry must pass; risk itself runs as a child of the supervisor."""

import sys

import risk
from risk.limit_table import describe

if __name__ == "__main__":
    print(risk.__doc__)
    print(describe())
    print("It runs as a child of the supervisor: python supervisor.py", file=sys.stderr)
    sys.exit(2)
