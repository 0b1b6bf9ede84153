"""Every module of the package can be imported."""

import importlib
import pkgutil

import pytest

import noise_search

MODULES = [module.name for module in pkgutil.walk_packages(noise_search.__path__, "noise_search.")]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_imported(name: str) -> None:
    importlib.import_module(name)


def test_all_folders_are_walked() -> None:
    for name in ("core.driver", "networks.transformer", "models.published", "run.execute", "report.html", "cli.fetch"):
        assert f"noise_search.{name}" in MODULES
