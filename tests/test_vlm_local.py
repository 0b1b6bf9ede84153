"""The grader by a vision-language model on this machine: a tiny LLaVA of random weights, made here."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from noise_search.core.source import Hub
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.errors import Refused
from noise_search.verifiers.vlm import Grader
from noise_search.verifiers.vlm_local import Local
from noise_search.verifiers.vlm_questions import MARKS, question

MARKED = "{" + ",".join(f'"{name}":{6 + 0.5 * (name == "overall")}' for name in MARKS) + "}"  # one word of its own
WORDS = [MARKED, "<pad>", "<s>", "</s>", "<image>", "<unk>", "yes", "No", "Yes", "fox", "USER:", "ASSISTANT:"]
TEMPLATE = (
    "{% for message in messages %}USER: {% for part in message['content'] %}{% if part['type'] == 'image' %}<image> "
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %} ASSISTANT:{% endfor %}"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `save_pretrained` writes it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    folder = tmp_path_factory.mktemp("models") / "tiny-llava"
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, additional_special_tokens=["<image>"], **special)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    seeing = CLIPVisionConfig(**sizes, image_size=28, patch_size=14, projection_dim=16)
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
    reading = LlamaConfig(**sizes, num_key_value_heads=2, vocab_size=len(WORDS), **ends)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlavaConfig(vision_config=seeing, text_config=reading, image_token_index=4, vision_feature_layer=-1)
        net = LlavaForConditionalGeneration(config)
        for values in net.parameters():
            torch.nn.init.normal_(values, std=0.3)
    pixels = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    asked = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    net.save_pretrained(folder)
    LlavaProcessor(pixels, tokenizer, chat_template=TEMPLATE, image_token="<image>", **asked).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISE_SEARCH_CACHE", str(tmp_path / "cache"))


def some() -> Candidates:
    draw = np.random.default_rng(0).uniform(-1, 1, (1, 3, 3, 28, 28))
    return Candidates(torch.from_numpy(draw).float(), torch.tensor([0]), texts=("a fox",))


def test_yes_is_its_share_of_the_first_token(made: Path) -> None:
    """Against the softmax of transformers' own forward, token by token, in float64."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    verifier = Grader(Local(str(made), precision="float32"), "yes").load(Surroundings())
    scores = verifier.score(some())
    net, processor = AutoModelForImageTextToText.from_pretrained(made).float(), AutoProcessor.from_pretrained(made)
    expected = []
    for image in ((some().images[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy():
        text = f"USER: <image> {question('yes', 'a fox')} ASSISTANT:"
        given = processor(text=[text], images=[Image.fromarray(image)], return_tensors="pt")
        with torch.no_grad():
            powers = [math.exp(value) for value in net(**given).logits[0, -1].double().tolist()]
        expected.append(math.log((powers[6] + powers[8]) / sum(powers)))
    assert scores[0].tolist() == pytest.approx(expected, abs=1e-4) and len(set(expected)) == 3
    assert {name.split("/")[0] for name in verifier.weights} == {"tiny-llava", "question"}
    assert "tiny-llava/model.safetensors" in verifier.weights and verifier.name == "grader tiny-llava (yes)"
    assert verifier.weight_bytes is not None and verifier.weight_bytes > 0


def test_marks_and_pairs_are_written_by_the_model(made: Path, tmp_path: Path) -> None:
    """With a last norm of zeros all words are as likely, and the first is written: the marks."""
    verifier = Grader(Local(str(made), precision="float32", longest=3), retries=1).load(Surroundings())
    with pytest.raises(Refused, match="2 answers to one question cannot be read"):
        verifier.score(some())
    folder = tmp_path / "certain"
    folder.mkdir()
    for file in made.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    state = load_file(made / "model.safetensors")
    (norm,) = (name for name in state if name.endswith(("language_model.norm.weight", "model.norm.weight")))
    save_file(state | {norm: torch.zeros_like(state[norm])}, folder / "model.safetensors", {"format": "pt"})
    certain = Grader(Local(str(folder), longest=3)).load(Surroundings())
    assert (certain.score(some()) == 6.5).all()
    pairs = Grader(Local(str(folder), longest=3), "pairwise", retries=0).load(Surroundings())
    with pytest.raises(Refused, match="better is None, neither 1 nor 2"):
        pairs.combine(pairs.scores(some()), 3)


def test_a_folder_that_is_no_model_is_told_in_one_line(made: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder=nowhere: there is no folder .*`noise-search prefetch`"):
        Grader(Local("nowhere", "some/repo")).load(Surroundings())
    (tmp_path / "config.json").write_text("{}")
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in made.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[: 1000 if file.suffix == ".safetensors" else None])
    for folder in (tmp_path, broken):
        with pytest.raises(Refused, match="no vision-language model of transformers") as caught:
            Grader(Local(str(folder))).load(Surroundings())
        assert "\n" not in str(caught.value)
    with pytest.raises(Refused, match="precision=auto: one of bfloat16, float32"):
        Local(str(made), precision="auto")
    with pytest.raises(Refused, match="longest=0: tokens, at least 1"):
        Local(str(made), longest=0)
    (source,) = Local("weights/there", "some/repo").sources
    assert isinstance(source, Hub) and (source.repo, source.target) == ("some/repo", "weights/there/")
