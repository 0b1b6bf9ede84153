"""A convolutional autoencoder of drawn scenes: 32 x 32 x 3 pictures <-> 4 x 4 latents."""

import torch
from torch import Tensor, nn

from noise_search.networks.autoencoder import ResidualBlock


class SceneAutoencoder(nn.Module):
    """images [N, 3, 32, 32] in [-1, 1] <-> latents [N, latent, 4, 4], each channel of mean 0 and variance 1.

    widths: channels at 16, 8 and 4 pixels. The code is standardised by batch statistics in training, by their averages
    afterwards; `noise` of so large a deviation is added to it in training, so that the decoder draws the nearest whole
    scene from a code that is a little wrong.
    """

    def __init__(self, latent: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        a, b, c = widths
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, b, 3, padding=1),
            ResidualBlock(b),
            nn.Conv2d(b, c, 3, stride=2, padding=1),
            ResidualBlock(c),
            nn.SiLU(),
            nn.Conv2d(c, latent, 1),
        )
        self.standard = nn.BatchNorm2d(latent, affine=False, momentum=0.01)
        self.decoder = nn.Sequential(
            nn.Conv2d(latent, c, 3, padding=1),
            ResidualBlock(c),
            nn.Conv2d(c, 4 * b, 3, padding=1),
            nn.PixelShuffle(2),
            ResidualBlock(b),
            nn.Conv2d(b, 4 * a, 3, padding=1),
            nn.PixelShuffle(2),
            ResidualBlock(a),
            nn.SiLU(),
            nn.Conv2d(a, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def encode(self, images: Tensor) -> Tensor:
        return self.standard(self.encoder(images).float())

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(latents)

    def forward(self, images: Tensor, noise: float) -> Tensor:
        """Pictures through a noisy code, as in training."""
        code = self.encode(images)
        return self.decode(code + noise * torch.randn_like(code))
