"""Validate the configuration, or write the generated files anew."""

import argparse
import sys
from pathlib import Path

from config.environment import ENV_FILE
from config.errors import ConfigError
from config.loader import DIRECTORY, load

EXIT_REFUSED = 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m config", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="validate; exit 2 when refused")
    action.add_argument("--write", action="store_true", help="write YAML files and documents anew")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="of the YAML files")
    parser.add_argument("--env-file", type=Path, default=ENV_FILE)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="sets")
    return parser.parse_args()


def _write() -> None:
    # Imported here: a check does not need it.
    from config.generate import texts

    for path, text in texts().items():
        changed = not path.exists() or path.read_text(encoding="utf-8") != text
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"{'written' if changed else 'unchanged'}: {path}")


def main() -> int:
    """Do what the command line asks for and return the exit code."""
    arguments = _arguments()
    if arguments.write:
        _write()
        return 0
    try:
        settings = load(arguments.directory, arguments.env_file, arguments.sets)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    print(f"configuration: valid: {len(settings.flat())} keys, venue.mode={settings.venue.mode}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
