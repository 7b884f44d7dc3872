"""``python -m discosim``."""

import sys

from discosim.cli import main

if __name__ == "__main__":
    sys.exit(main())
