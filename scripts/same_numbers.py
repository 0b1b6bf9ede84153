"""Does this checkout print the numbers of an earlier commit?   python scripts/same_numbers.py COMMIT [words of a case]

Every case is one `run.py` in a worktree of COMMIT and one here, a thread each; their curve.csv must be equal, digit for
digit, but for the clock. What COMMIT gave is kept in outputs/same_numbers/. All cases take about 15 minutes on one
core.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from noise_search.storage.curve_csv import numbers

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "outputs/same_numbers"
FEW = ("images=16",)
CASES = {
    "toy": ("experiment=toy",),
    "toy paths": ("experiment=toy", "algorithm=paths", "budget.points=[0,1,2]"),
    "zo": (*FEW, "algorithm=zo"),
    "paths": (*FEW, "algorithm=paths", "budget.points=[0,1,2]"),
    "first_order": (*FEW, "algorithm=first_order", "budget.points=[0,1,2]"),
    "oracle_fid": (*FEW, "verifier=oracle_fid", "budget.points=[1,2,4]"),
    "ensemble": (*FEW, "verifier=ensemble", "budget.points=[1,2,4]", "cfg_scale=2.5"),
    "observers": (*FEW, "observers=[classifier_b,oracle_is]", "budget.points=[1,2,4]"),
    "none": (*FEW, "algorithm=none", "budget.points=[0,10,40]"),
    "demo": (),
}


def make(tree: Path, case: str, folder: Path) -> list[dict[str, str]]:
    """The curve.csv of one case, made by the code in `tree`."""
    command = [sys.executable, str(tree / "run.py"), *CASES[case], "logger=none", f"hydra.run.dir={folder}"]
    subprocess.run(command, cwd=tree, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True)
    return numbers(folder / "curve.csv")


def kept(commit: str, case: str) -> list[dict[str, str]]:
    """What `commit` gave, made in a worktree of it if it is not known yet."""
    folder = KEPT / commit / case.replace(" ", "_")
    if not (folder / "run.json").is_file():
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch) / "tree"
            subprocess.run(["git", "worktree", "add", "--detach", "--quiet", tree, commit], cwd=ROOT, check=True)
            try:
                make(tree, case, folder)
            finally:
                subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)
    return numbers(folder / "curve.csv")


def main() -> int:
    commit, words = sys.argv[1], sys.argv[2:]
    digits = subprocess.run(["git", "rev-parse", commit], cwd=ROOT, check=True, capture_output=True, text=True)
    cases, different = [c for c in CASES if not words or any(word in c for word in words)], 0
    for case in cases:
        before = kept(digits.stdout.strip(), case)
        with tempfile.TemporaryDirectory() as scratch:
            now = make(ROOT, case, Path(scratch) / "run")
        lines = [n for n, (a, b) in enumerate(zip(before, now, strict=False), start=1) if a != b]
        same = before == now
        different += not same
        print(f"{case}: {'the same' if same else f'DIFFERENT in lines {lines[:10]}'}", flush=True)
    print(f"{len(cases) - different} of {len(cases)} cases print the numbers of {commit}")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
