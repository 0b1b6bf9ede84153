"""Hydra's side of plug-ins; imported where Hydra is started only."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from noise_search.run.plugins import plugins


class PluginConfigs(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for plugin in plugins():
            search_path.append(provider=plugin.name, path=f"file://{plugin.configs}")
