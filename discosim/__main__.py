"""``python -m discosim``."""

import sys

if __name__ == "__main__":
    try:
        from discosim.cli import main
    except KeyboardInterrupt:  # before anybody listens
        sys.stderr.write("discosim: interrupted\n")
        sys.exit(130)
    sys.exit(main())
