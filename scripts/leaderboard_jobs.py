"""The runs of scripts/leaderboard.py: every method with its at most eight settings to choose from, and their sizes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

MAIN = (
    "classifier",
    "classifier_b",
    "classifier_probability",
)  # logits of two networks; a probability, which saturates
CLASSES = {"board": (0, 2, 4, 6, 8), "tuning": (1, 3, 5, 7, 9)}  # of CIFAR-10: settings are chosen on others
TUNING_SEED = 1000


@dataclass(frozen=True)
class Size:
    """search_nfe, final_nfe: of a candidate, of an image; nfe: the board's budgets; tuning_nfe: the one that settings
    are compared at; images: of a seed; tuning_images: of a setting."""

    search_nfe: int
    final_nfe: int
    nfe: tuple[int, ...]
    tuning_nfe: int
    images: int
    tuning_images: int

    @property
    def options(self) -> tuple[str, ...]:
        return f"budget.search_nfe={self.search_nfe}", f"budget.final_nfe={self.final_nfe}"


PROTOCOL = Size(10, 20, (40, 60, 100, 180, 340), 100, 256, 64)
TEXT_PROTOCOL = Size(10, 20, (40, 60, 100, 140, 180), 100, 96, 64)
TEXT_SMALL = Size(10, 20, (40, 60, 100, 140, 180), 100, 32, 16)  # an hour of one core; the protocol's budgets
SMALL = Size(6, 12, (24, 30, 36, 48, 60), 36, 10, 5)  # for a machine that is busy with other things


CHOSEN = {name: (f"dataset.classes={list(ids)}".replace(" ", ""),) for name, ids in CLASSES.items()}


@dataclass(frozen=True)
class Board:
    """A model with its verifiers, options that every run of it has, and options of its conditions, by what for."""

    model: str
    dataset: str
    verifiers: tuple[str, ...]
    options: tuple[str, ...]
    conditions: dict[str, tuple[str, ...]]
    sizes: dict[str, Size]


def of_classes(model: str) -> Board:
    sizes = {"protocol": PROTOCOL, "small": SMALL}
    return Board(
        model, "cifar10", MAIN, (f"model={model}", "dataset=cifar10", "metrics=lite2", "batch_size=64"), CHOSEN, sizes
    )


OTHER_CAPTIONS = f"dataset.classes={list(range(150, 300))}".replace(" ", "")  # 0 to 95 are the board's
EXACT = {  # the mixture's: a busy machine can do it, at the protocol's budgets
    "protocol": PROTOCOL,
    "small": Size(10, 20, (40, 60, 100, 140, 180), 100, 32, 20),
}
BOARDS = {
    "toy": Board(
        "toy",
        "mixture",
        ("likelihood", "oracle_is", "brightness"),
        ("experiment=toy", "batch_size=4096"),
        CHOSEN,
        EXACT,
    ),
    "small": of_classes("sit_cifar10_small"),
    "class": of_classes("sit_cifar10"),
    "text": Board(
        "scenes",
        "scenes",
        ("scenes_clip", "scenes_aesthetic"),
        ("model=scenes", "batch_size=64"),
        {"board": (), "tuning": (OTHER_CAPTIONS,)},
        {"protocol": TEXT_PROTOCOL, "small": TEXT_SMALL},
    ),
}


@dataclass(frozen=True)
class Method:
    """settings: what is tried, the published or shipped defaults first; one setting alone: nothing is tuned."""

    name: str
    options: tuple[str, ...]
    settings: tuple[tuple[str, ...], ...] = ((),)
    searches: bool = True  # with a verifier, and so once for each

    @property
    def file(self) -> str:
        """Its name as a part of files' names."""
        return self.name.replace(", ", "-").replace(" ", "_")


def grid(**values: tuple[object, ...]) -> tuple[tuple[str, ...], ...]:
    """All combinations of an algorithm's settings; the first is the one with all the first values."""
    keys = [f"algorithm.{name}" for name in values]
    return tuple(
        tuple(f"{key}={value}" for key, value in zip(keys, chosen, strict=True)) for chosen in product(*values.values())
    )


def drafted(name: str, *settings: tuple[str, ...]) -> Method:
    return Method(f"random, {name} drafts", ("algorithm=random", f"draft={name}"), settings or ((),))


def searched(name: str, *settings: tuple[str, ...]) -> Method:
    return Method(name, (f"algorithm={name}",), settings or ((),))


METHODS = (  # the cheapest first: it may be stopped anywhere
    searched("random"),
    searched("zo", *grid(similarity=(0.95, 0.8, 0.6))),
    searched("evolution", *grid(population=(4,), elites=(1,), mutation=(0.2, 0.5, 0.9))),
    searched(  # not .4 and .2, as published: six evaluations cannot tell them apart
        "evosearch", *grid(population=(4,), elites=(1,), times=("[1.0,0.6,0.3]",), sde_step=(0.02, 0.1, 0.3))
    ),
    searched("trust_region", *grid(regions=(1,), candidates=(2,), radius=(0.4, 0.8, 0.95), longest=(1.0,))),
    searched("threshold"),  # its settings are in the verifier's unit: THRESHOLDS
    searched("first_order", *grid(step_size=(0.1, 0.05, 0.2))),
    searched("dno", *grid(learning_rate=(0.01, 0.05, 0.2))),
    searched("racing", *grid(rungs=("[4]", "[3]", "[2,4]"), factor=(3,))),
    searched("paths_1", *grid(backward_nfe=(5, 4, 6))),
    Method("none", ("algorithm=none",), searches=False),
    drafted("cache", ("draft.order=1",), ("draft.order=0",), ("draft.every=3",)),
    drafted("early", *((f"draft.steps={n}", f"draft.time={t}") for n, t in ((6, 0.5), (4, 0.5), (4, 0.3)))),
    searched("smc", *grid(resamplings=(2,), strength=(10.0, 1.0, 3.0))),
    searched("beam", *grid(beams=(2,), choices=(2, 3, 4))),
    searched("epsilon_greedy", *grid(candidates=(2,), epsilon=(0.4, 0.7, 1.0))),
    searched("svdd", *grid(temperature=(0.0, 0.3, 1.0))),
    searched("rbf", *grid(particles=(2, 1, 4))),
)
THRESHOLDS = {
    "classifier": (5.0, 4.0, 7.0),
    "classifier_b": (5.0, 4.0, 7.0),
    "classifier_probability": (0.9, 0.7, 0.97),
}
THRESHOLDS |= {"likelihood": (-1.0, -2.0, -0.5), "oracle_is": (0.9, 0.7, 0.99), "brightness": (0.1, 0.0, 0.2)}
THRESHOLDS |= {"scenes_clip": (0.8, 0.6, 0.9), "scenes_aesthetic": (2.0, 0.0, 4.0)}


def settings_of(method: Method, verifier: str) -> tuple[tuple[str, ...], ...]:
    if method.name == "threshold":
        return grid(enough=THRESHOLDS[verifier])
    return method.settings


def pairs(board: Board) -> Iterator[tuple[Method, str]]:
    """Every method with every verifier; what does not search, once."""
    for verifier in board.verifiers:
        yield from ((method, verifier) for method in METHODS if method.searches or verifier == board.verifiers[0])
