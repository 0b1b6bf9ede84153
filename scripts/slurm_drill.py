"""A sweep through submitit on a two-node SLURM of this machine's own, with everything that goes wrong on a cluster.

    make test-slurm            (installs slurm-wlm and munge, needs root and Debian or Ubuntu; about 6 minutes)

Two jobs of 2 nodes x 2 workers on the exact toy. One is preempted and requeued, one node is killed and comes back, one
worker fails whenever it is started. The sweep must end complete and equal to an undisturbed run; then a job whose
worker 0 fails must make the command exit with something other than 0.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from noise_search.storage.curve_csv import numbers

ROOT = Path(__file__).parents[1]
TOY = ("experiment=toy", "logger=none", "draw_figures=false", "budget.points=[1,4,16]", "images=3200", "batch_size=64")
LAUNCHER = (
    *("hydra/launcher=slurm", "hydra.launcher.nodes=2", "hydra.launcher.tasks_per_node=2"),
    *("hydra.launcher.gpus_per_node=null", "hydra.launcher.cpus_per_task=1", "hydra.launcher.partition=debug"),
)


def shell(*words: str, check: bool = True) -> str:
    return subprocess.run(words, check=check, capture_output=True, text=True).stdout


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (done := true()) and time.monotonic() < end:
        time.sleep(0.5)
    return done


def wait(what: str, true: Callable[[], bool], seconds: float) -> None:
    if not wait_until(true, seconds):
        raise SystemExit(f"after {seconds:.0f} s still not: {what}")
    print(f"  {what}", flush=True)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """munge, slurmctld and two slurmd; SLURM_CONF is set for whoever asks. All are stopped at the end."""
    for name in ("state", "spool", "log", "munge"):
        (folder / name).mkdir()
    (folder / "munge").chmod(0o711)
    key = folder / "munge/key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    host = shell("hostname", "-s").strip()
    text = (ROOT / "tests/slurm/slurm.conf.in").read_text()
    (folder / "slurm.conf").write_text(text.replace("@D@", str(folder)).replace("@HOST@", host))
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    munge = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    subprocess.run(["munged", *(f"--{k}={folder}/munge/{v}" for k, v in munge.items())], check=True)
    try:
        subprocess.run(["slurmctld", "-f", os.environ["SLURM_CONF"]], check=True)
        for node in ("n1", "n2"):
            start_node(node)
        idle = ("sinfo", "-h", "-p", "debug", "-t", "idle", "-o", "%D")
        wait("two nodes are idle", lambda: shell(*idle, check=False).strip() == "2", 60)
        yield
    finally:
        shell("scancel", "-u", "root", check=False)
        wait_until(lambda: not shell("squeue", "-h", check=False).strip(), 30)
        for name in ("slurmd.n1.pid", "slurmd.n2.pid", "slurmctld.pid", "munge/pid"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                os.kill(int((folder / name).read_text()), signal.SIGTERM)


def start_node(node: str) -> None:
    subprocess.run(["slurmd", "-f", os.environ["SLURM_CONF"], "-N", node], check=True)


def jobs(state: str) -> list[str]:
    return shell("squeue", "-h", "-p", "debug", "-t", state, "-o", "%A").split()


def sweep(folder: Path, *options: str, **environment: str) -> subprocess.Popen:
    words = [sys.executable, str(ROOT / "run.py"), "-m", *LAUNCHER, *TOY, *options, f"hydra.sweep.dir={folder}/outputs"]
    return subprocess.Popen(words, cwd=folder, env=os.environ | environment)


def drill(folder: Path) -> None:
    print("a sweep of two jobs, 2 nodes x 2 workers each; worker 3 fails whenever it is started", flush=True)
    batch = "batch_size='${oc.decode:${oc.env:DRILL_${oc.env:SLURM_PROCID,0},64}}'"
    command = sweep(folder, "seed=0,1", batch, DRILL_3="0")
    units = folder / "outputs"
    wait("a job runs", lambda: bool(jobs("running")), 120)
    wait("units are written", lambda: len(list(units.glob("toy-*/units/*.parquet"))) > 3, 120)
    first = jobs("running")[0]
    urgent = shell(
        "sbatch", "--parsable", "-p", "prio", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 5"
    ).strip()
    wait(f"job {first} is preempted by {urgent}", lambda: first not in jobs("running"), 60)
    wait("a job runs again", lambda: bool(jobs("running")), 300)
    seen = len(list(units.glob("toy-*/units/*.parquet")))
    wait("more units are written", lambda: len(list(units.glob("toy-*/units/*.parquet"))) > seen, 180)
    pid = int((Path(os.environ["SLURM_CONF"]).parent / "slurmd.n2.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    subprocess.run(["pkill", "-9", "-f", "slurmstepd.*n2"], check=False)
    shell("scontrol", "update", "nodename=n2", "state=down", "reason=drill")
    print("  node n2 is killed", flush=True)
    time.sleep(5)
    start_node("n2")
    shell("scontrol", "update", "nodename=n2", "state=resume", check=False)  # it may be back already
    wait("the sweep has ended", lambda: command.poll() is not None, 900)
    if command.returncode:
        raise SystemExit(f"the sweep exited with {command.returncode}")
    for seed in (0, 1):
        quiet = folder / f"quiet{seed}"
        words = [sys.executable, str(ROOT / "run.py"), *TOY, f"seed={seed}", f"hydra.run.dir={quiet}"]
        subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (disturbed,) = (p for p in units.glob("toy-*") if f"seed: {seed}\n" in (p / "config.yaml").read_text())
        one, other = (numbers(run / "curve.csv") for run in (quiet, disturbed))
        if different := [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]:
            raise SystemExit(f"seed {seed}: {len(different)} rows differ from an undisturbed run's: {different[0]}")
    print("  both jobs are complete, and equal to undisturbed runs")
    print("a job whose worker 0 fails", flush=True)
    broken = sweep(folder, "seed=7", batch, DRILL_0="0", DRILL_1="0", DRILL_2="0", DRILL_3="0")
    wait("the sweep has ended", lambda: broken.poll() is not None, 300)
    if broken.returncode == 0:
        raise SystemExit("the failed sweep exited with 0")
    print(f"  its exit code is {broken.returncode}")


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the cluster is stopped
    os.environ["OMP_NUM_THREADS"] = (
        "1"  # the same sums for everybody: how many threads add them changes the last digits
    )
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}; `make test-slurm` installs them")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        (folder / "cluster").mkdir()
        (folder / "work").mkdir()
        with cluster(folder / "cluster"):
            drill(folder / "work")
    print("the drill is passed")


if __name__ == "__main__":
    main()
