"""How large must the verifier's input be? Probe accuracy against speed, for the resolution in configs/verifier/.

    python scripts/probe_resolutions.py        (about 3 minutes on two cores; needs data/cifar10.npz)

A logistic regression on EfficientNet-Lite0 features of 2,000 training images, measured on 2,000 test images.
"""

import time

import torch

from noise_search.datasets.cifar10 import load_cifar10
from noise_search.networks.efficientnet import EfficientNetLite, lite_features
from noise_search.networks.linear_probe import accuracy, fit

COUNT = 2000


def main() -> None:
    (train, train_labels), (test, test_labels) = load_cifar10("train"), load_cifar10("test")
    for resolution in (64, 96, 128):
        net = EfficientNetLite(0, resolution, "bfloat16")
        lite_features(net, train[:250], "cpu")
        started = time.monotonic()
        features = lite_features(net, train[:COUNT], "cpu")
        rate = COUNT / (time.monotonic() - started)
        weight, bias = fit(features, torch.from_numpy(train_labels[:COUNT]), decay=4e-3)
        found = accuracy(lite_features(net, test[:COUNT], "cpu"), torch.from_numpy(test_labels[:COUNT]), weight, bias)
        print(f"Lite0 at {resolution} px: accuracy {found:.3f}, {rate:.0f} images/s", flush=True)


if __name__ == "__main__":
    main()
