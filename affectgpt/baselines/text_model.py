"""Classifiers of texts: a pretrained encoder or LLM, and a linear head on what it makes of a text.

An encoder (BERT, RoBERTa class) is read by the mean or the first of its tokens' last states, an LLM (Llama, Qwen,
SmolLM2) by that of the last token, which alone has seen all of a causal model's text: what transformers' sequence
classifiers compute. B texts, S tokens of the longest, D width, C classes.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from affectgpt import hub
from affectgpt.baselines.text_settings import TextModelSection
from affectgpt.baselines.texts import Text, TextEncoder
from affectgpt.environment import computing_dtype
from affectgpt.files import atomic_folder, parse_object
from affectgpt.models.lora import with_lora
from affectgpt.models.precision import cast_weights

MODEL, WEIGHTS, FACTS = "model", "model.safetensors", "model.json"


class TextClassifier(nn.Module):
    """A body and a head.

    Args:
        body: gives `last_hidden_state` [B, S, D] of ids and mask.
        classes: how many, C.
        pooling: "mean", "first" or "last" of a text's tokens.
        dropout: before the head.
    """

    def __init__(self, body: nn.Module, classes: int, pooling: str, dropout: float):
        super().__init__()
        self.body, self.pooling = body, pooling
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(body.config.hidden_size, classes)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def pooled(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """What the head sees [B, D], float32."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        halved = next((p.dtype for p in self.body.parameters() if p.dtype in (torch.bfloat16, torch.float16)), None)
        with torch.autocast(input_ids.device.type, halved or torch.bfloat16, enabled=halved is not None):
            states = self.body(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state
        states, mask = states.float(), attention_mask.to(torch.float32)
        if self.pooling == "mean":
            return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        if self.pooling == "first":
            return states[:, 0]
        return states[torch.arange(len(states), device=states.device), attention_mask.sum(1) - 1]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None,
                labels: Tensor | None = None) -> SimpleNamespace:
        """`logits` [B, C]; the loss is left to `train.classify`."""
        return SimpleNamespace(logits=self.head(self.dropout(self.pooled(input_ids, attention_mask, token_type_ids))))

    def train(self, mode: bool = True) -> TextClassifier:
        """A body of which nothing is trained stays as it is evaluated."""
        super().train(mode)
        if not any(p.requires_grad for p in self.body.parameters()):
            self.body.eval()
        return self


class Head(nn.Module):
    """The head of a classifier alone, on features that are computed once."""

    def __init__(self, classifier: TextClassifier):
        super().__init__()
        self.dropout, self.head = classifier.dropout, classifier.head

    def forward(self, features: Tensor, labels: Tensor | None = None) -> SimpleNamespace:
        """`logits` [B, C] of features [B, D]."""
        return SimpleNamespace(logits=self.head(self.dropout(features)))


def build(settings: TextModelSection, kind: str, classes: int, seed: int, device: str) -> TextClassifier:
    """A classifier with a new head, what is trained marked.

    Args:
        kind: "encoder" or "llm".
        device: where it will be computed; quantized weights are read to it.
    Raises:
        ValueError: a source that cannot be had or is no text model, quantization where it cannot be.
    """
    folder = hub.locate(settings.source, "model.source")
    torch.manual_seed(seed)
    body = _read(folder, settings, kind, device)
    if getattr(body, "pooler", None) is not None:
        body.pooler = None  # another head, which nothing would reach
    body.requires_grad_(settings.train == "all")
    if settings.train == "lora":
        lora = SimpleNamespace(lora_rank=settings.lora_rank, lora_alpha=settings.lora_alpha,
                               lora_dropout=settings.lora_dropout, lora_targets=settings.lora_targets)
        body.requires_grad_(False)
        try:
            body = with_lora(body, lora, settings.rank_stabilized)
        except ValueError as error:
            raise ValueError(f"model.lora_targets={','.join(settings.lora_targets)}: {error}") from error
    pooling = settings.pooling if settings.pooling != "auto" else {"encoder": "mean", "llm": "last"}[kind]
    return TextClassifier(body, classes, pooling, settings.dropout)


def _read(folder: str, settings: TextModelSection, kind: str, device: str) -> nn.Module:
    """The pretrained body: float32 where it is trained, else what the device computes natively."""
    options: dict = {}
    dtype = torch.float32
    if kind == "llm" and settings.train != "all":
        dtype = getattr(torch, computing_dtype("auto", device))
    if settings.quantization != "none":
        if torch.device(device).type != "cuda":
            raise ValueError(f"model.quantization={settings.quantization} computes on a GPU, and the device is "
                             f"{device}: set model.quantization=none")
        if importlib.util.find_spec("bitsandbytes") is None:
            raise ValueError(f"model.quantization={settings.quantization} needs bitsandbytes: pip install "
                             "'affectgpt[qlora]'")
        from transformers import BitsAndBytesConfig

        bits = settings.quantization
        options = {"device_map": {"": device}, "quantization_config": BitsAndBytesConfig(
            load_in_8bit=bits == "8bit", load_in_4bit=bits == "4bit", bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype)}
    try:
        body = AutoModel.from_pretrained(folder, dtype=dtype, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"model.source={settings.source}: no model of texts can be read from it ({error})") from error
    if not hasattr(body, "get_input_embeddings") or not hasattr(body.config, "vocab_size"):
        raise ValueError(f"model.source={settings.source} is a {type(body).__name__}, which reads no texts: name a "
                         "BERT or RoBERTa class, or a causal LM")
    return body if options else cast_weights(body, dtype)


def tokenizer_of(settings: TextModelSection):
    """The tokenizer of a classifier's body; texts are padded by the end token where it has no other."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(hub.locate(settings.source, "model.source", weights=False))
    except (OSError, KeyError) as error:
        raise ValueError(f"model.source={settings.source}: has no tokenizer ({error})") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


class TextSet:
    """Texts with their classes, as `train.classify` takes them.

    Args:
        encode: text -> ids.
        labels: class numbers.
    Attributes:
        lengths: tokens of each.
    """

    def __init__(self, texts: Sequence[Text], labels: Sequence[int], encode: TextEncoder):
        self.rows, self.labels = [encode(text) for text in texts], list(labels)
        self.lengths = [len(row["input_ids"]) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        return {**self.rows[index], "labels": self.labels[index]}


class Collate:
    """Rows of a `TextSet` -> a batch, padded on the right: `input_ids`, `attention_mask`, perhaps `token_type_ids`
    [B, S], `labels` [B]."""

    def __init__(self, pad_id: int):
        self.pad_id = pad_id

    def __call__(self, rows: list[dict]) -> dict[str, Tensor]:
        longest = max(len(row["input_ids"]) for row in rows)
        typed = all("token_type_ids" in row for row in rows)
        fills = {"input_ids": self.pad_id} | ({"token_type_ids": 0} if typed else {})
        batch = {key: torch.tensor([row[key] + [fill] * (longest - len(row[key])) for row in rows])
                 for key, fill in fills.items()}
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        batch["attention_mask"] = (torch.arange(longest)[None] < lengths[:, None]).long()
        return batch | {"labels": torch.tensor([row["labels"] for row in rows])}


@torch.no_grad()
def features(model: TextClassifier, clips: TextSet, collate: Collate, device: str, batch_size: int = 64) -> Tensor:
    """What the head sees of texts [N, D], on the CPU."""
    model.to(device).eval()
    found = torch.empty(len(clips), model.head.in_features)
    order = sorted(range(len(clips)), key=lambda index: -clips.lengths[index])
    for start in range(0, len(order), batch_size):
        members = order[start : start + batch_size]
        batch = {key: value.to(device) for key, value in collate([clips[index] for index in members]).items()
                 if key != "labels"}
        found[members] = model.pooled(**batch).cpu()
    return found


# ------------------------------------------------------------------ folders


def save_classifier(folder: Path, model: TextClassifier, settings: TextModelSection, kind: str,
                    classes: Sequence[str]) -> None:
    """Write what was trained, and what it was trained on top of, into `folder`, whole or not at all."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.named_parameters() if value.requires_grad}
    facts = {"kind": kind, "classes": list(classes), "model": asdict(settings)}
    with atomic_folder(folder, overwrite=True) as temporary:
        save_file(state, temporary / WEIGHTS)
        (temporary / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def find_classifier(initial: str, seed: int) -> Path:
    """The model folder that the setting `initial` names; of several seeds that of this one, else the first.

    Raises:
        ValueError: no finished classifier lies there, or several do.
    """
    folder = Path(initial)
    for place in (folder, folder / MODEL):
        if (place / FACTS).is_file():
            return place
    found = sorted(path.parent for path in folder.glob(f"*/seed-*/{MODEL}/{FACTS}"))
    own = [path for path in found if path.parent.name == f"seed-{seed}"] or found
    if len({path.parent.parent for path in found}) > 1:
        raise ValueError(f"initial={initial}: holds classifiers of several splits ({own[0].parent.parent.name}, ...): "
                         "name one, OUTPUT/NAME/SPLIT/seed-N")
    if not own:
        raise ValueError(f"initial={initial}: no finished classifier of texts lies there: give "
                         "OUTPUT/NAME/SPLIT/seed-N of a run of affectgpt textualized")
    return own[0]


def read_classifier(folder: Path, device: str) -> tuple[TextClassifier, TextModelSection, str, list[str]]:
    """(classifier in evaluation mode, its settings, its kind, its classes) of a model folder.

    Raises:
        ValueError: a folder that is damaged.
    """
    settings, kind, classes = read_facts(folder)
    model = build(settings, kind, len(classes), 0, device)
    load_trained(model, folder, head=True)
    return model.eval(), settings, kind, classes


def read_facts(folder: Path) -> tuple[TextModelSection, str, list[str]]:
    """(settings, kind, classes) of a model folder."""
    from affectgpt.config import typed

    file = folder / FACTS
    facts = parse_object(file.read_text(encoding="utf-8"), str(file))
    kind, classes = facts.get("kind"), facts.get("classes")
    if kind not in ("encoder", "llm") or not isinstance(classes, list):
        raise ValueError(f"{file}: is not what a run of affectgpt textualized wrote")
    return typed.build(TextModelSection, facts.get("model"), str(file)), kind, classes


def load_trained(model: TextClassifier, folder: Path, head: bool) -> None:
    """Put the trained weights of a model folder into a classifier of the same body; without `head`, its body's alone.

    Raises:
        ValueError: weights of another model.
    """
    try:
        saved = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{folder / WEIGHTS}: cannot be read ({error})") from error
    saved = {name: value for name, value in saved.items() if head or not name.startswith("head.")}
    state = model.state_dict()
    other = [name for name, value in saved.items() if name not in state or state[name].shape != value.shape]
    if other:
        raise ValueError(f"{folder} is of another model than model.source and model.train say ({other[0]}, "
                         f"{len(other)} such weights): use the same ones")
    model.load_state_dict(saved, strict=False)
