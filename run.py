"""python run.py model=sit_cifar10 verifier=classifier algorithm=random budget=demo images=256

Composes the Hydra groups into a run: plan, search, evaluate, report. `python run.py --help` lists the groups.
"""

import sys

from noise_search.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
