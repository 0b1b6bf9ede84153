"""Further metrics by name: their configurations, before anything heavy is imported."""

from hydra import compose
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from noise_search.run.told import explain


def with_more_metrics(cfg: DictConfig) -> DictConfig:
    """cfg with the names in `more_metrics` replaced by their configurations."""
    names = list(cfg.more_metrics) if OmegaConf.is_list(cfg.more_metrics) else None
    if names is None or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"more_metrics={cfg.more_metrics}: a list of metrics, each once")
    try:
        nodes = {name: compose("config", [f"+metric={name}"]).metric for name in names}
    except ConfigCompositionException as error:
        raise ValueError(f"more_metrics={names}: {explain(error)}") from error
    out = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert isinstance(out, DictConfig)
    out.more_metrics = {name: OmegaConf.to_container(node, resolve=True) for name, node in nodes.items()}
    return out
