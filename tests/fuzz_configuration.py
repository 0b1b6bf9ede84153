"""Every key of every group with values that no one should give: a plan, or one line that names the key, and no torch.

python tests/fuzz_configuration.py [cases] [random]     (300, the same in every run; random: others each time)
"""

import sys
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from noise_search.cli.one_line import refused
from noise_search.configuration.compose import composed, own_hydra
from noise_search.configuration.told import explain
from noise_search.run.description import describe
from noise_search.storage.run_folder import flatten

BASES = (  # between them every file of every group
    *(("experiment=toy", f"algorithm={name}") for name in ("random", "zo", "paths", "first_order", "none")),
    *(("experiment=toy", f"verifier={name}") for name in ("brightness", "oracle_is", "oracle_fid")),
    *(
        (f"verifier={name}",)
        for name in ("classifier_b", "classifier_ssl", "classifier_b_ssl", "ensemble", "clip", "dino", "dino_ssl")
    ),
    *((f"verifier={name}",) for name in ("clipscore", "hpsv2", "ensemble_pickscore")),
    *((f"model={name}",) for name in ("sit_cifar10", "sit_xl_2", "dit_xl_2", "dit_xl_2_512")),
    ("logger=none", "budget=paper", "algorithm=none"),
    ("logger=wandb", "budget=results", "algorithm=paths_4"),
)
SCALARS = ("null", "true", "-1", "0", "1", "2.5", "1e308", ".inf", ".nan", "100000000000000000000000000", "abc", "''")
VALUES = (*SCALARS, "[]", "[1,2]", "[2,1]", "[abc]", "[null]", "{}", "{a:1}", "{_target_:os.system}", "[[1]]")


def keys() -> list[tuple[tuple[str, ...], str]]:
    """(base, dotted key) of everything that can be set, the groups of keys too."""
    out = []
    for base in BASES:
        flat = flatten(composed(base)[0])
        parents = {name.rsplit(".", depth)[0] for name in flat for depth in range(1, name.count(".") + 1)}
        out += [(base, name) for name in sorted({*flat, *parents, "observers", "more_metrics"})]
    return out


def outcome(overrides: list[str]) -> str | None:
    """None: it is a plan; else the line that a user is told."""
    try:
        describe(*composed(overrides))
    except Exception as error:
        if not refused(error):
            raise AssertionError(f"{overrides}: {type(error).__name__} was not raised on purpose") from error
        return explain(error)
    return None


def check(base: tuple[str, ...], key: str, how: str, value: str) -> None:
    override = {"set": f"{key}={value}", "add": f"+{key}.zzz={value}", "delete": f"~{key}"}[how]
    line = outcome([*base, override])
    if line is None:
        assert how != "add" or "." not in key, f"{override} is ignored"
        return
    names = ["zzz" if how == "add" else key, key.split(".")[-1], key.removesuffix("._target_")]
    assert "\n" not in line and any(name in line for name in names), f"{override}: {line!r} does not name the key"


def main(arguments: list[str]) -> None:
    with own_hydra():
        everything = st.sampled_from(keys())
        ways = st.sampled_from(("set", "set", "set", "add", "delete"))

        @settings(
            max_examples=int(arguments[0]) if arguments else 300,
            derandomize="random" not in arguments,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(everything, ways, st.sampled_from(VALUES))
        @example((BASES[0], "verifier"), "add", "1")
        def fuzz(where: tuple[tuple[str, ...], str], how: str, value: str) -> Any:
            check(*where, how, value)

        fuzz()
    assert "torch" not in sys.modules, "torch was loaded"
    print("every case was a plan, or one line that names the key")


if __name__ == "__main__":
    main(sys.argv[1:])
