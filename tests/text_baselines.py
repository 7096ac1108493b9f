"""Tiny encoders and LLMs of texts, and a toy corpus in which words decide the class."""

from __future__ import annotations

from pathlib import Path

import tiny
import torch
from test_baseline_texts import tiny_bert_tokenizer

from affectgpt.baselines.settings import FitSettings
from affectgpt.baselines.split import Split
from affectgpt.baselines.text_settings import PromptSection, TextModelSection, TextSection, TextualizedSettings
from affectgpt.data.clip import Clip, Targets

CLASSES = ("happy", "sad", "angry")
WORDS = {"happy": "good", "sad": "bad", "angry": "odd"}


def write_encoder(folder: Path) -> str:
    """A BERT of two layers of width 16."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    tokenizer = tiny_bert_tokenizer()
    BertModel(BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                         intermediate_size=24, max_position_embeddings=64)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def write_llm(folder: Path, kind: str = "llama") -> str:
    """An LLM of two layers of width 64 with a chat template."""
    tiny.language_model(kind).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return str(folder)


def clips(split: str, count: int, classes=CLASSES) -> tuple[Clip, ...]:
    """`count` clips of each class, three turns a dialogue."""
    found = []
    for number in range(count * len(classes)):
        name = classes[number % len(classes)]
        found.append(Clip(id=f"{split}{number}", corpus="toy", split=split, words=f"one {WORDS[name]} two",
                          dialogue=f"{split}-{number // 3}", turn=number % 3, targets=Targets(emotion=name)))
    return tuple(found)


def split(**parts) -> Split:
    made = {"train": clips("train", 16), "validation": clips("validation", 4), "test": clips("test", 4)}
    return Split("official", **{**made, **parts})


def settings(source: str, kind: str = "encoder", **values) -> TextualizedSettings:
    model = TextModelSection(source=source, **values.pop("model", {}))
    fit = FitSettings(**{"epochs": 4, "batch_size": 8, "learning_rate": 0.01, "warmup_ratio": 0.0,
                         **values.pop("fit", {})})
    made = TextualizedSettings(name="toy", kind=kind, model=model, fit=fit, device="cpu",
                               text=TextSection(**values.pop("text", {})),
                               prompt=PromptSection(**values.pop("prompt", {})),
                               **values)
    made.validate()
    return made
