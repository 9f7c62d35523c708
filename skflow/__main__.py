"""``python -m skflow``: the command line."""

import sys

from skflow.command_line.main import main

if __name__ == "__main__":
    sys.exit(main())
