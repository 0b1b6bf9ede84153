"""`--help`: examples, then every group with its choices, and every key of the chosen ones with its comment."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose
from omegaconf import OmegaConf

from noise_search.configuration.comments import UNTOLD, choice, names, told

EXAMPLES = """\
Searches for the noises that a diffusion model makes its best images from, judged by a verifier.

  python run.py                                              256 images, best of 1, 2, 4, 8, 16 noises
  python run.py experiment=toy                               an exact Gaussian mixture: no weights, seconds
  python run.py plan_only=true                               what it would cost; no weights
  python run.py algorithm=zo algorithm.neighbours=4          another search at the same totals
  python run.py cfg_scale=2.5 verifier=classifier_b seed=1   keys and groups; the same command resumes
  python run.py budget.nfe=[20,60,100]                       totals an image; budget.points=[1,4]: N, K or M
  python run.py -m algorithm=none,random,zo,paths seed=0,1   a sweep: one folder a job, one combined curve
  python run.py --help verifier=dino model=sit_xl_2          the keys of other choices
  noise-search help                                          what is done beside a run: report, verify, compare ...
"""


def text(overrides: Sequence[str]) -> str:
    """For a person; within `own_hydra`. overrides: as of a run, whose values and choices are shown."""
    cfg = compose("config", list(overrides), return_hydra_config=True)
    chosen, config = cfg.hydra.runtime.choices, choice("", "config")
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    values = {str(k): v for k, v in plain.items() if k != "hydra"}
    width = min(shutil.get_terminal_size((120, 24)).columns, 140)
    out = [EXAMPLES, "KEY=VALUE of the run:"]
    own = {key: value for key, value in values.items() if key not in config.lines}
    out += [line(path, shown(value), told(config, path), width) for path, value in leaves(own)]
    for group, says in config.lines.items():
        if group.startswith("hydra/"):
            continue
        out += ["", f"{group}=NAME: {says}. (Chosen: {chosen[group] or 'none of them'})"]
        out += [line(name, "", choice(group, name).summary, width) for name in names(group)]
        if keys := list(leaves(values.get(group) or {}, group)):
            out += [f"  keys of {group}={chosen[group]}:"]
            of = choice(group, str(chosen[group]))
            out += [line(path, shown(value), told(of, path), width) for path, value in keys]
    out += ["", "hydra/launcher=NAME: what runs the jobs of a sweep (-m)"]
    out += [line(name, "", choice("hydra/launcher", name).summary, width) for name in names("hydra/launcher")]
    out += ["", "Hydra's own options: --hydra-help"]
    return "\n".join(out)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every key but those that name what is built; of what has no others, that name."""
    if not isinstance(value, dict):
        yield path, value
        return
    if path.count(".") and set(value) == {"_target_"}:
        yield path, value["_target_"].rsplit(".", 1)[1]
    for key, below in value.items():
        if key not in UNTOLD:
            yield from leaves(below, f"{path}.{key}" if path else str(key))


def shown(value: Any) -> str:
    """As it is typed in an override."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def line(name: str, value: str, says: str, width: int) -> str:
    """`name=value` and what is said of it, its further lines under the first."""
    begin = f"    {name}={value}" if value else f"    {name}"
    begin = f"{begin:<36}  "
    return textwrap.fill(says, width, initial_indent=begin, subsequent_indent=" " * 38) if says else begin.rstrip()
