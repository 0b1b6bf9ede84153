"""Pages of the manual that are made from the package: its docstrings, its configuration, its command. No torch."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

from scripts.manual.docstrings import escaped, of_modules

ROOT = Path(__file__).parents[2]
LIBRARY = {
    "api.py": ("search", "render"),
    "front/found.py": ("Found",),
    "models/diffusers/wrap.py": ("from_diffusers",),
    "errors.py": ("Refused", "BadSetting", "MissingFile"),
}
INTERFACES = {
    "Models": {"core/model.py": ("Model", "ModelSettings"), "core/denoiser.py": ("Prediction",)},
    "Paths and schedules": {
        "core/interpolant.py": ("Interpolant", "LinearInterpolant", "CosineInterpolant", "DDPMInterpolant"),
        "core/schedule.py": ("Schedule", "Uniform", "Shifted", "Table", "Listed"),
    },
    "Verifiers": {
        "core/verifier.py": ("Verifier", "Candidates", "Surroundings"),
        "core/population.py": ("Population",),
    },
    "Algorithms": {
        "core/algorithm.py": ("Algorithm", "Cost", "Leg", "Result", "Independent", "Traceable"),
        "core/problem.py": ("Problem",),
    },
    "Budgets": {"core/budget.py": ("Budget", "Purchase"), "core/time_budget.py": ("TimeBudget",)},
    "Conditions": {"core/dataset.py": ("Dataset",)},
    "Judges and metrics": {"measures/metric.py": ("Metric",), "measures/judge.py": ("Judge", "JudgeSettings")},
    "Where files come from": {"core/source.py": ("Hub", "Url")},
}


def library_page() -> str:
    first = "`from noise_search import search, render, from_diffusers`. What stays as it is: [Changes](changes.md)."
    return f"# The library\n\n{first}\n\n{of_modules(ROOT, LIBRARY, '##')}"


def interfaces_page() -> str:
    first = "What a part of your own is made of. `B` images, `K` candidates an image, `N = B K` rows."
    parts = [f"## {title}\n\n{of_modules(ROOT, chosen, '###')}" for title, chosen in INTERFACES.items()]
    return "\n".join([f"# Interfaces\n\n{first}\n", *parts])


def constant(path: Path, name: str) -> str:
    """The text that a module gives a name to."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return str(ast.literal_eval(node.value))
    raise ValueError(f"{path}: no {name}")


def command_page() -> str:
    """The docstring of the command, then the examples of its help."""
    main = ast.get_docstring(ast.parse((ROOT / "noise_search/cli/main.py").read_text())) or ""
    first, rest = main.split("\n", 1)
    rows = [re.split(r"\s{2,}", line, maxsplit=1) for line in rest.splitlines() if line.strip()]
    table = [f"| <code>{command.replace('|', '&#124;')}</code> | {escaped(says)} |" for command, says in rows]
    examples = constant(ROOT / "noise_search/cli/help.py", "EXAMPLES").split("\n", 2)[2]
    return "\n".join(
        [
            f"# The command\n\n{first}\n",
            "| command | what it does |\n|---|---|",
            *table,
            f"\n## Runs\n\n```text\n{textwrap.dedent(examples).strip()}\n```\n",
            "`python run.py --help` goes on with every group and key: see [Configuration](configuration.md).\n",
            "Overrides are Hydra's: `key=value`, `group=choice`, and `a,b,c` under `-m` for a sweep. Exit code 0:",
            "done; 1: refused, in one line that says what is allowed (`HYDRA_FULL_ERROR=1` shows where);",
            "130: stopped, and the same command goes on.",
        ]
    )
