"""The bot's command line: `python run.py --help`."""

import sys

from actors.commands.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
