"""Hydra's side of plug-ins: where it looks for their choices."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from noise_search.run.plugins import plugins


class PluginConfigs(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for plugin in plugins():
            search_path.append(provider=plugin.name, path=f"file://{plugin.configs}")


def register_plugins() -> None:
    """Let Hydra find the configurations of all plug-ins, from now on in this process and in its launchers' children."""
    plugins()  # what is wrong with one of them is told now
    Plugins.instance().register(PluginConfigs)
