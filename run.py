"""The bot's command line: `python run.py --help`."""

import signal
import sys


def run() -> int:
    """Run the command; Ctrl-C or SIGTERM while it is still loading ends it in one line, too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from actors.commands.cli import main

        return main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("stopped before it had begun: nothing was opened, nothing was sent\n")
        return 130


if __name__ == "__main__":
    sys.exit(run())
