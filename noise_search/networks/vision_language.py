"""Any vision-language model of transformers, from a folder: one question with its images at a time."""

import io
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from noise_search.errors import Refused
from noise_search.networks.precision import dtype_of
from noise_search.storage.atomic import sha256
from noise_search.storage.weights import told

YES = ("yes", "Yes", "YES", " yes", " Yes", " YES")


def files_of(folder: Path) -> dict[str, str]:
    """Name -> sha256 of all that decides what a model answers."""
    kinds = (".safetensors", ".json", ".txt", ".jinja", ".model")
    return {f"{folder.name}/{p.name}": sha256(p) for p in sorted(folder.iterdir()) if p.suffix in kinds}


class VisionLanguage:
    """folder: config, safetensors, processor and chat template, no code. key: the setting that names the folder."""

    def __init__(self, folder: Path, precision: str, device: str, key: str) -> None:
        try:
            import transformers
        except ImportError as error:
            raise Refused("verifier=vlm: transformers is not installed; `pip install noise_search[text]`") from error
        self.library, self.device = f"transformers {version('transformers')}", device
        recent = tuple(map(int, version("transformers").split(".")[:2])) >= (4, 56)
        kind: dict[str, Any] = {"dtype" if recent else "torch_dtype": dtype_of(precision)}
        options = {"local_files_only": True, "trust_remote_code": False}
        try:
            self.processor: Any = transformers.AutoProcessor.from_pretrained(folder, **options)
            net: Any = transformers.AutoModelForImageTextToText.from_pretrained(
                folder, use_safetensors=True, **kind, **options
            )
        except Exception as error:  # no such architecture, damaged or missing files: libraries say it in many ways
            raise Refused(f"{key}={folder}: no vision-language model of transformers ({told(error)})") from error
        if not getattr(self.processor, "chat_template", None):
            raise Refused(f"{key}={folder}: its processor has no chat template, so how to ask it is not known")
        self.net = net.to(device).eval().requires_grad_(False)
        self.tokenizer: Any = self.processor.tokenizer
        self.yes = self.tokens_of_yes()

    def tokens_of_yes(self) -> list[int]:
        """Single tokens that say yes."""
        found = [self.tokenizer(word, add_special_tokens=False)["input_ids"] for word in YES]
        single = {ids[0] for ids in found if len(ids) == 1}
        return sorted(one for one in single if self.tokenizer.decode([one]).strip().lower() == "yes")

    def inputs(self, question: str, images: Sequence[bytes]) -> Any:
        content = [{"type": "image"} for _ in images] + [{"type": "text", "text": question}]
        text = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        pictures = [Image.open(io.BytesIO(image)).convert("RGB") for image in images]
        given = self.processor(text=[text], images=pictures, return_tensors="pt")
        return given.to(self.device, self.net.dtype)  # of floating-point values only

    @torch.inference_mode()
    def answer(self, question: str, images: Sequence[bytes], longest: int) -> str:
        """Its most probable answer, token by token."""
        given = self.inputs(question, images)
        said: Tensor = self.net.generate(**given, max_new_tokens=longest, do_sample=False)
        return str(self.tokenizer.decode(said[0, given["input_ids"].shape[1] :], skip_special_tokens=True))

    @torch.inference_mode()
    def log_yes(self, question: str, images: Sequence[bytes]) -> float:
        """log p(yes) as the first token of its answer, in whatever case."""
        if not self.yes:
            raise Refused("verifier.ask=yes: this model has no single token that says yes; ask=rubric or pairwise")
        logits = self.net(**self.inputs(question, images)).logits[0, -1].double()
        return float(logits.log_softmax(0)[self.yes].logsumexp(0))
