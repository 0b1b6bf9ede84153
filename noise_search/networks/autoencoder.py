"""A convolutional autoencoder: 32 x 32 x 3 photographs <-> 4 x 4 x 32 latents, the embedded twin of the SD VAE."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(8, channels, eps=1e-5)


class ResidualBlock(nn.Module):
    """[N, C, H, W] -> the same shape: two normalised 3 x 3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(channels), _norm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


class ConvAutoencoder(nn.Module):
    """images [N, 3, 32, 32] in [-1, 1] <-> latents [N, latent, 4, 4], of mean zero and unit variance overall.

    A linear map of 8 x 8 patches plus convolutions that correct it, both ways; training starts the linear part at the
    principal components and the corrections at zero. widths: channels at 16, 8 and 4 pixels. depths: residual blocks at
    those sizes, in the decoder. The buffers `mean` [latent] and `std` [1] standardise the raw code; training measures
    them once, at its end. One scale for all channels, because the strong ones carry the content.
    """

    def __init__(
        self,
        latent: int = 32,
        widths: tuple[int, int, int] = (64, 128, 256),
        depths: tuple[int, int, int] = (2, 2, 1),
    ) -> None:
        super().__init__()
        a, b, c = widths
        self.linear_in = nn.Conv2d(3, latent, 8, stride=8)
        self.linear_out = nn.ConvTranspose2d(latent, 3, 8, stride=8)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, a, 3, padding=1),
            ResidualBlock(a),
            nn.Conv2d(a, b, 3, stride=2, padding=1),
            ResidualBlock(b),
            nn.Conv2d(b, c, 3, stride=2, padding=1),
            ResidualBlock(c),
            _norm(c),
            nn.SiLU(),
            nn.Conv2d(c, latent, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent, c, 3, padding=1),
            *(ResidualBlock(c) for _ in range(depths[2])),
            nn.Conv2d(c, 4 * b, 3, padding=1),
            nn.PixelShuffle(2),
            *(ResidualBlock(b) for _ in range(depths[1])),
            nn.Conv2d(b, 4 * a, 3, padding=1),
            nn.PixelShuffle(2),
            *(ResidualBlock(a) for _ in range(depths[0])),
            _norm(a),
            nn.SiLU(),
            nn.Conv2d(a, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("std", torch.ones(1))

    def raw_code(self, images: Tensor) -> Tensor:
        return self.linear_in(images) + self.encoder(images)

    def from_raw_code(self, code: Tensor) -> Tensor:
        return self.linear_out(code) + self.decoder(code)

    def encode(self, images: Tensor) -> Tensor:
        return (self.raw_code(images) - self.mean[:, None, None]) / self.std

    def decode(self, latents: Tensor) -> Tensor:
        return self.from_raw_code(latents * self.std + self.mean[:, None, None])

    @torch.no_grad()
    def start_at_principal_components(self, images: Tensor) -> None:
        """images [N, 3, 32, 32]. Channel scales go as the fourth root of the variance: under noise of one size and a
        penalty on the squared code, that is the least squared error of a linear code."""
        latent = len(self.linear_in.weight)
        patches = F.unfold(images, 8, stride=8).transpose(1, 2).flatten(0, 1)  # [N * 16, 192]
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        variances, vectors = values[-latent:].flip(0), vectors[:, -latent:].flip(1)
        scale = variances**-0.25
        self.linear_in.weight.copy_((vectors * scale).T.view(latent, 3, 8, 8))
        self.linear_in.bias = nn.Parameter(-(mean @ vectors) * scale)
        self.linear_out.weight.copy_((vectors / scale).T.view(latent, 3, 8, 8))
        self.linear_out.bias = nn.Parameter(mean.view(3, 64).mean(1))
        for layer in (self.encoder[-1], self.decoder[-2]):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
