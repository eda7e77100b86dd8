"""Say how the executor is started: it needs the memory and the ring partners of an instance."""

import sys

import executor

if __name__ == "__main__":
    print(executor.__doc__)
    print("It runs as a child of the supervisor: python supervisor.py", file=sys.stderr)
    sys.exit(2)
