"""The networks of the embedded text-to-image model, from the files that scripts/train_scenes_*.py write."""

from pathlib import Path

from noise_search.networks.scene_autoencoder import SceneAutoencoder
from noise_search.networks.scene_transformer import SceneTransformer
from noise_search.storage.weights import load_weights


def load_scene_autoencoder(path: Path) -> SceneAutoencoder:
    """In evaluation mode, float32."""
    state, card = load_weights(path, "standard.running_var")
    net = SceneAutoencoder(card["config"]["latent"], tuple(card["config"]["widths"]))
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def load_scene_transformer(path: Path, vocabulary: int, longest: int) -> SceneTransformer:
    """In evaluation mode, float32."""
    state, card = load_weights(path, "text.embedding.weight")
    net = SceneTransformer(**card["config"]["net"], vocabulary=vocabulary, longest=longest)
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)
