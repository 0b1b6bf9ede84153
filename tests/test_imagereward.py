"""ImageReward on random weights of the published names and shapes, against a restatement in float64."""

import logging
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from noise_search.core.source import Hub
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.errors import Refused
from noise_search.networks import imagereward
from noise_search.networks.imagereward import MEAN, STD, ImageReward, Sizes, Words, load_imagereward
from noise_search.networks.reward_head import folded
from noise_search.verifiers.imagereward import ImageRewardVerifier
from tests.conftest import Evil

HEAD = (16, 12, 8, 6, 4, 1)
TINY = Sizes(32, 16, 8, 2, 2, vocabulary=20, positions=40, text_depth=2, text_heads=4, head=HEAD)
LETTERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "a", "fox", "snow", "##y", ","]


def published(s: Sizes) -> dict[str, tuple[int, ...]]:
    """Every tensor of the published file, by name."""
    w, t, head = s.width, s.head[0], dict(zip((0, 2, 4, 6, 7), zip(s.head[1:], s.head, strict=False), strict=True))

    def linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

    def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

    see, read = "blip.visual_encoder", "blip.text_encoder"
    out = {f"{see}.cls_token": (1, 1, w), f"{see}.pos_embed": (1, (s.image // s.patch) ** 2 + 1, w)}
    out |= {f"{see}.patch_embed.proj.weight": (w, 3, s.patch, s.patch), f"{see}.patch_embed.proj.bias": (w,)}
    for i in range(s.depth):
        block = f"{see}.blocks.{i}"
        out |= norm(f"{block}.norm1", w) | norm(f"{block}.norm2", w)
        out |= linear(f"{block}.attn.qkv", 3 * w, w) | linear(f"{block}.attn.proj", w, w)
        out |= linear(f"{block}.mlp.fc1", 4 * w, w) | linear(f"{block}.mlp.fc2", w, 4 * w)
    out |= norm(f"{see}.norm", w) | norm(f"{read}.embeddings.LayerNorm", t)
    out |= {f"{read}.embeddings.word_embeddings.weight": (s.vocabulary, t)}
    out |= {f"{read}.embeddings.position_embeddings.weight": (s.positions, t)}
    out |= {f"{read}.embeddings.position_ids": (1, s.positions)}
    for i in range(s.text_depth):
        layer = f"{read}.encoder.layer.{i}"
        for part, seen in (("attention", t), ("crossattention", w)):
            out |= linear(f"{layer}.{part}.self.query", t, t) | linear(f"{layer}.{part}.self.key", t, seen)
            out |= linear(f"{layer}.{part}.self.value", t, seen) | linear(f"{layer}.{part}.output.dense", t, t)
            out |= norm(f"{layer}.{part}.output.LayerNorm", t)
        out |= linear(f"{layer}.intermediate.dense", 4 * t, t) | linear(f"{layer}.output.dense", t, 4 * t)
        out |= norm(f"{layer}.output.LayerNorm", t)
    out |= linear("blip.vision_proj", 256, w) | linear("blip.text_proj", 256, t)
    for k, (outputs, inputs) in head.items():
        out |= linear(f"mlp.layers.{k}", outputs, inputs)
    return out


def random_state(seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(shape, generator=draw) * 0.5 for name, shape in published(TINY).items()}
    return state | {"blip.text_encoder.embeddings.position_ids": torch.arange(TINY.positions)[None]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(random_state(), tmp_path / "ImageReward.pt")
    return tmp_path / "ImageReward.pt"


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    (tmp_path / "vocab.txt").write_text("\n".join(LETTERS) + "\n")
    return tmp_path / "vocab.txt"


def restated(state: dict[str, Tensor], images: Tensor, tokens: list[int]) -> float:
    """The reward of one image [3, 32, 32], normalised, and one text without padding: loops, in float64."""
    p = {name: value.double() for name, value in state.items()}

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(name: str, x: Tensor, eps: float) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]

    def gelu(x: Tensor) -> Tensor:
        return x * 0.5 * (1 + torch.erf(x / 2**0.5))

    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        size, out = q.shape[1] // heads, []
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            out.append((q[:, part] @ k[:, part].T / size**0.5).softmax(1) @ v[:, part])
        return torch.cat(out, 1)

    see, read, side = "blip.visual_encoder", "blip.text_encoder", TINY.image // TINY.patch
    kernel, x = p[f"{see}.patch_embed.proj.weight"].flatten(1), [p[f"{see}.cls_token"][0, 0]]
    for row in range(side):
        for column in range(side):
            at = (slice(None), slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16))
            x.append(kernel @ images.double()[at].flatten() + p[f"{see}.patch_embed.proj.bias"])
    image = torch.stack(x) + p[f"{see}.pos_embed"][0]
    for i in range(TINY.depth):
        block = f"{see}.blocks.{i}"
        q, k, v = linear(f"{block}.attn.qkv", norm(f"{block}.norm1", image, 1e-6)).split(TINY.width, 1)
        image = image + linear(f"{block}.attn.proj", attention(q, k, v, TINY.heads))
        inner = gelu(linear(f"{block}.mlp.fc1", norm(f"{block}.norm2", image, 1e-6)))
        image = image + linear(f"{block}.mlp.fc2", inner)
    image = norm(f"{see}.norm", image, 1e-6)
    words = p[f"{read}.embeddings.word_embeddings.weight"][tokens]
    x = words + p[f"{read}.embeddings.position_embeddings.weight"][: len(tokens)]
    text = norm(f"{read}.embeddings.LayerNorm", x, 1e-12)
    for i in range(TINY.text_depth):
        layer = f"{read}.encoder.layer.{i}"
        for part in ("attention", "crossattention"):
            to = text if part == "attention" else image
            q, k, v = (
                linear(f"{layer}.{part}.self.query", text),
                *(linear(f"{layer}.{part}.self.{name}", to) for name in ("key", "value")),
            )
            found = linear(f"{layer}.{part}.output.dense", attention(q, k, v, TINY.text_heads))
            text = norm(f"{layer}.{part}.output.LayerNorm", found + text, 1e-12)
        inner = linear(f"{layer}.output.dense", gelu(linear(f"{layer}.intermediate.dense", text)))
        text = norm(f"{layer}.output.LayerNorm", inner + text, 1e-12)
    reward = text[0]
    for k in (0, 2, 4, 6, 7):
        reward = linear(f"mlp.layers.{k}", reward)
    return float((reward - 0.16717362830052426) / 1.0333394966054072)


def test_the_network_has_the_published_names_and_shapes() -> None:
    with torch.device("meta"):
        net = ImageReward(Sizes(), "float32")
    ours = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    theirs = published(Sizes())
    unused = {name for name in theirs if name.startswith(imagereward.UNUSED)}
    assert len(unused) == 5
    assert ours == {k: v for k, v in theirs.items() if k not in unused and not k.startswith("mlp.")}
    held = sum(value.numel() for value in (*net.parameters(), *net.buffers())) * 4
    assert ImageRewardVerifier.weight_bytes == held
    folded({k.removeprefix("mlp."): torch.zeros(v) for k, v in theirs.items() if k.startswith("mlp.")}, "")


def test_rewards_are_those_of_the_definition(file: Path, vocabulary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagereward, "load_imagereward", partial(load_imagereward, sizes=TINY))
    verifier = ImageRewardVerifier(str(file), str(vocabulary)).load(Surroundings())
    images = torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    texts = ("A red fox, snowy", "fox")
    tokens = ([2, 5, 4, 6, 9, 7, 8, 3], [2, 6, 3])
    scores = verifier.score(Candidates(images, torch.tensor([0, 1]), texts=texts))
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    expected = [[restated(random_state(), ((x + 1) / 2 - mean) / std, tokens[b]) for x in images[b]] for b in range(2)]
    assert torch.allclose(scores.double(), torch.tensor(expected).double(), atol=1e-4)
    assert scores.flatten().unique().numel() == 6
    assert set(verifier.weights) == {"ImageReward.pt", "vocab.txt"}
    assert verifier.name == "ImageReward 1.0 (224 px centre crop, float32)"
    leaf = images.clone().requires_grad_()
    verifier.score(Candidates(leaf, torch.tensor([0, 1]), texts=texts)).sum().backward()
    assert (leaf.grad.flatten(2).norm(dim=2) > 0).all()


def test_texts_are_read_as_published(vocabulary: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = Words(vocabulary, "verifier.vocabulary")
    long = " ".join(["fox"] * 34)
    with caplog.at_level(logging.WARNING, "noise_search"):
        tokens, mask = words(["Red, zebra", long, long])
    assert tokens.shape == mask.shape == (3, 35)
    assert tokens[0].tolist() == [2, 4, 9, 1, 3] + [0] * 30 and mask[0].sum() == 5
    assert tokens[1].tolist() == [2] + [6] * 33 + [3] and mask[1].all()
    assert "the end of 1 texts is lost" in caplog.text
    caplog.clear()
    words([long])
    assert not caplog.text  # told once


def test_another_file_is_refused(tmp_path: Path, file: Path) -> None:
    state = random_state()
    for changed, words in (
        ({k: v for k, v in state.items() if "norm.bias" not in k}, r"not the weights of ImageReward: .*Missing"),
        (state | {"blip.itm_head.weight": torch.zeros(2)}, "Unexpected key.*itm_head"),
        (state | {"mlp.layers.2.weight": torch.zeros(3, 3)}, r"layers.2.weight is \[3, 3\], expected \[8, 12\]"),
        ({k: v for k, v in state.items() if "mlp.layers.7" not in k}, "layers.7.bias is missing"),
        (state | {"mlp.layers.1.weight": torch.zeros(3)}, "layers.1.weight is .*no such tensor"),
        ({"code": Evil(tmp_path / "made")}, "refused: it wants to run"),
    ):
        torch.save(changed, file)
        with pytest.raises(Refused, match=words) as caught:
            load_imagereward(file, "float32", TINY)
        assert "\n" not in str(caught.value) and not (tmp_path / "made").exists()


def test_what_is_missing_or_wrong_is_told_in_one_line(file: Path, vocabulary: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"verifier.file=no.pt: .*`noise-search prefetch`"):
        ImageRewardVerifier("no.pt", str(vocabulary)).load(Surroundings())
    with pytest.raises(FileNotFoundError, match=r"verifier.vocabulary=no.txt: .*`noise-search prefetch`"):
        ImageRewardVerifier(str(file), "no.txt").load(Surroundings())
    with pytest.raises(Refused, match="precision=half: one of"):
        ImageRewardVerifier(str(file), str(vocabulary), "half")
    vocabulary.write_text("red\nfox\n")
    with pytest.raises(Refused, match=r"no vocabulary of BERT's, it has no \[CLS\]"):
        Words(vocabulary, "verifier.vocabulary")


def test_its_files_come_from_the_hub_to_where_it_reads_them() -> None:
    for source, target in zip(ImageRewardVerifier("a.pt", "b.txt").sources, ("a.pt", "b.txt"), strict=True):
        assert isinstance(source, Hub) and source.target == target
