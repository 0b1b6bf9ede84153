"""`python -m noise_search`: the same program as `noise-search` (noise_search/cli/main.py)."""

import sys

from noise_search.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
