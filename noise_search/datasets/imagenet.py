"""ImageNet's thousand classes as conditions; its images come in as the metrics' reference only."""

from collections.abc import Sequence
from functools import cached_property
from typing import overload

from noise_search.core.dataset import IMAGENET, Dataset
from noise_search.errors import Refused


class ClassNames(Sequence[str]):
    """The names that CLIP's authors gave the classes, in ImageNet's order: open_clip has them, read when wanted."""

    @cached_property
    def values(self) -> tuple[str, ...]:
        try:
            from open_clip import IMAGENET_CLASSNAMES
        except ImportError as error:
            raise Refused("dataset: ImageNet's class names need open_clip; `pip install open_clip_torch`") from error
        return tuple(IMAGENET_CLASSNAMES)

    def __len__(self) -> int:
        return 1000

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self.values[index]


def imagenet(name: str, classes: list[int] | None = None, sampling: str = "balanced", seed: int = 0) -> Dataset:
    """Conditions over all classes, or over the class ids in `classes`.

    sampling: see `Dataset`; published numbers differ by about 0.1 FID between the two.
    """
    return Dataset(name, ClassNames(), classes, sampling=sampling, seed=seed, class_set=IMAGENET)
