"""Code for a GPU, exercised without one: whole runs on a simulated device give what the CPU gives, and no search pass
waits for the device. (First-order search is left out: autograd's engine wants a real one.)"""

from pathlib import Path
from typing import Any

import pytest
import torch

from noise_search.core.denoiser import metered_denoiser
from noise_search.core.flow import Flow
from noise_search.core.grid import uniform_grid
from noise_search.core.guidance import Guidance
from noise_search.models.published import Published
from noise_search.run.assemble import assemble
from noise_search.run.description import describe
from noise_search.run.execute import make_missing_images
from noise_search.run.parts import begin
from noise_search.storage.units import read_units
from scripts.make_fake_weights import write_vae
from tests.simulated_device import Device, on_device, simulated_device
from tests.test_configs import configuration
from tests.test_published import NET, random_state

TOY = ("experiment=toy", "draw_figures=false", "budget.search_nfe=4", "budget.final_nfe=5", "budget.points=[1,4]")
CIFAR10 = (
    "precision=float32",
    "batch_size=256",
    "budget.search_nfe=6",
    "budget.final_nfe=4",
    "budget.points=[1,2]",
    "images=3",
)
RUNS = {  # name -> overrides, and what a search pass may wait for
    "random": (TOY, []),
    "zo": ((*TOY, "algorithm=zo", "algorithm.on_stall=redraw"), []),
    "paths": ((*TOY, "algorithm=paths", "budget.points=[0,1]"), []),
    "none": ((*TOY, "algorithm=none"), []),
    "guided": ((*TOY, "cfg_scale=2", "guidance.channels=2", "guidance.interval=[0.1,0.9]"), []),
    "observed": ((*TOY, "observers=[brightness]"), []),
    "oracle_is": ((*TOY, "verifier=oracle_is"), ["_to_copy"]),  # the judge reads pixels as they are saved
    "oracle_fid": ((*TOY, "verifier=oracle_fid"), ["_to_copy"]),
    "cifar10": (CIFAR10, []),
    "ensemble": ((*CIFAR10, "verifier=ensemble", "cfg_scale=1.5"), []),
}


def made(folder: Path, device: str, overrides: tuple[str, ...]) -> tuple[list[Any], list[str]]:
    """What a run finds, and where one search pass of two candidates has waited for the device."""
    with simulated_device() as seen:
        parts = assemble(describe(*configuration("images=8", "logger=none", *overrides, f"device={device}")))
        waited = waits_of_a_pass(parts, seen)
        make_missing_images(parts, folder)
    rows = read_units(folder, ["image_id", "point", "candidate", "scores_final", "digest"]).to_pylist()
    return [tuple(map(str, row.values())) for row in rows], waited


@torch.no_grad()
def waits_of_a_pass(parts: Any, seen: Device) -> list[str]:
    problem = begin(parts, [0, 1, 2])
    noise = problem.noises(2)
    seen.syncs.clear()
    assert on_device(problem.evaluate(noise)) == (parts.device == "cuda")
    return list(seen.syncs)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_on_a_device_is_the_cpus_and_its_search_never_waits(tmp_path: Path, name: str) -> None:
    overrides, allowed = RUNS[name]
    found, waited = made(tmp_path / "device", "cuda", overrides)
    assert found == made(tmp_path / "cpu", "cpu", overrides)[0]
    assert waited == allowed


@pytest.mark.parametrize("kind", ["sit", "dit"])
def test_a_published_network_never_waits(tmp_path: Path, kind: str) -> None:
    torch.save(random_state(), tmp_path / "net.pt")
    write_vae(tmp_path / "vae")
    files = {"weights": str(tmp_path / "net.pt"), "vae": str(tmp_path / "vae"), "decode_rows": 2}
    precision = {"precision": "float32", "vae_precision": "float32", "rows": {"cpu": 8, "cuda": 8}}
    settings, ends = Published(name="tiny", kind=kind, net=NET, **files, **precision), []
    for device in ("cpu", "cuda"):
        with simulated_device() as seen, torch.no_grad():
            model = settings.load(device)
            condition, null = (torch.tensor([3, 9], device=device),), model.null(torch.device(device))
            denoiser = metered_denoiser(model.network, condition, null, Guidance(1.5), model.batch_size)
            x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0)).to(device)
            seen.syncs.clear()
            solution = Flow(denoiser, model.interpolant, model.decoder).solve(
                x, uniform_grid(6, "heun"), torch.tensor([0, 1, 1, 0])
            )
            assert not seen.syncs
            ends.append(model.decoder(solution.x).cpu())
    assert torch.equal(*ends)


def test_the_simulation_sees_waits_and_mixes() -> None:
    with simulated_device() as seen:
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        assert there.device.type == "cuda" and not seen.syncs
        for wait in (lambda: there.cpu(), lambda: there.sum().item(), lambda: there.unique(), lambda: there[there > 0]):
            seen.syncs.clear()
            wait()
            assert seen.syncs, wait
        with pytest.raises(AssertionError, match="tensors of the device and of the CPU"):
            there + here
