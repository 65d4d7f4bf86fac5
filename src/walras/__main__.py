"""`python -m walras` is the command `walras`."""

from __future__ import annotations

import sys

from walras.cli import main

if __name__ == "__main__":
    sys.exit(main())
