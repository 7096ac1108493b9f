"""What a textualized system does on one split: trains a classifier, joins basic emotions, or asks an LLM.

Each takes (settings, parts: name -> texts, labels: name -> classes, classes, seed, folder) and gives, of "validation"
and "test", {"predicted": [class], "shares": [{class: probability}]}, and perhaps "notes" and "facts" of the run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from affectgpt.baselines import text_model
from affectgpt.baselines.compound import PAIRS, compound_scores
from affectgpt.baselines.prompted import Asker, examples_of
from affectgpt.baselines.settings import settings_to_dict
from affectgpt.baselines.text_settings import TextualizedSettings
from affectgpt.baselines.texts import TextEncoder
from affectgpt.environment import process_device
from affectgpt.files import read_jsonl, write_jsonl
from affectgpt.train.classify import discard, fit, predict

FIT = "fit"
"""Folder of a run in which its checkpoints lie while it trains."""


def fitted(settings: TextualizedSettings, parts: dict, labels: dict, classes: list[str], seed: int,
           folder: Path) -> dict:
    """An encoder or an LLM with a head, trained."""
    device = process_device(settings.device, "device=")
    tokenizer = text_model.tokenizer_of(settings.model)
    encode = TextEncoder(tokenizer, settings.text.max_tokens, settings.kind == "encoder")
    numbers = {name: number for number, name in enumerate(classes)}
    sets = {name: text_model.TextSet(texts, [numbers[label] for label in labels[name]], encode)
            for name, texts in parts.items()}
    model = text_model.build(settings.model, settings.kind, len(classes), seed, device)
    facts = {"texts": _fingerprint(sets), "model": settings_to_dict(settings)["model"], "kind": settings.kind}
    if settings.initial:
        begun = text_model.find_classifier(settings.initial, seed)
        text_model.load_trained(model, begun, head=False)
        facts["initial"] = hashlib.sha256((begun / text_model.WEIGHTS).read_bytes()).hexdigest()[:16]
    collate, work = text_model.Collate(tokenizer.pad_token_id or 0), folder / FIT
    if settings.model.train == "head":
        trained = text_model.Head(model)
        sets = {name: FeatureSet(text_model.features(model, clips, collate, device), clips.labels)
                for name, clips in sets.items()}
        collate = _collate_features
    else:
        trained = model
    result = fit(trained, sets["train"], sets["validation"], collate, settings.fit, work, seed, device=device,
                 facts=facts, quiet=settings.model.train == "head")  # seconds: a line an epoch would bury the rest
    text_model.save_classifier(folder / text_model.MODEL, model, settings.model, settings.kind, classes)
    found = {name: _said(predict(trained, sets[name], collate, device=device), classes)
             for name in ("validation", "test")}
    discard(work)
    notes = [f"{encode.cut} texts were cut to {settings.text.max_tokens} tokens"] * bool(encode.cut)
    if settings.initial:
        notes.append(f"began from {begun}")
    return {**found, "notes": notes,
            "facts": {"steps": result.steps, "best_step": result.best_step, "validation": result.scores}}


class FeatureSet:
    """Features [N, D] with their classes, as `train.classify` takes them."""

    def __init__(self, features, labels: list[int]):
        self.features, self.labels = features, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        return {"features": self.features[index], "labels": self.labels[index]}


def _collate_features(rows: list[dict]) -> dict:
    return {"features": torch.stack([row["features"] for row in rows]),
            "labels": torch.tensor([row["labels"] for row in rows])}


def from_basic(settings: TextualizedSettings, parts: dict, labels: dict, classes: list[str], seed: int,
               folder: Path) -> dict:
    """Compound emotions from a classifier of basic ones; nothing is trained."""
    device = process_device(settings.device, "device=")
    begun = text_model.find_classifier(settings.initial, seed)
    model, own, kind, basic = text_model.read_classifier(begun, device)
    tokenizer = text_model.tokenizer_of(own)
    encode = TextEncoder(tokenizer, settings.text.max_tokens, kind == "encoder")
    found = {}
    for name in ("validation", "test"):
        clips = text_model.TextSet(parts[name], [0] * len(parts[name]), encode)
        logits = predict(model, clips, text_model.Collate(tokenizer.pad_token_id or 0), device=device)
        found[name] = _said(compound_scores(logits, basic, classes, settings.combine), classes)
    notes = [f"class {name} is no pair of basic emotions, and never answered" for name in classes if name not in PAIRS]
    return {**found, "notes": [f"answers are those of {begun}", *notes]}


def asked(settings: TextualizedSettings, parts: dict, labels: dict, classes: list[str], seed: int,
          folder: Path) -> dict:
    """An instruct LLM, asked; its examples are of the training clips."""
    examples = examples_of(parts["train"], labels["train"], settings.prompt.shots, seed)
    device = process_device(settings.device, "device=")
    asker = Asker(settings.model.source, settings.prompt, classes, examples, device, settings.text.max_tokens)
    kept = _Answers(folder / "answers.jsonl", {"settings": settings_to_dict(settings), "seed": seed,
                                               "classes": classes, "examples": examples})
    found = {}
    for name in ("validation", "test"):
        scores = [kept.get(text, lambda text=text: asker.scores(text).tolist())
                  for text in tqdm(parts[name], desc=f"asking, {name}", unit="clip", disable=None)]
        found[name] = _said(torch.tensor(scores), classes)
    return {**found, "notes": [f"{asker.cut} texts were cut to {settings.text.max_tokens} tokens"] * bool(asker.cut),
            "facts": {"examples": [name for _, name in examples]}}


class _Answers:
    """What an LLM answered, kept as it comes; what other settings answered is dropped."""

    def __init__(self, path: Path, begun: dict):
        self.path, self.known = path, {}
        digest = hashlib.sha256(json.dumps(begun, sort_keys=True).encode()).hexdigest()
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [row for _, row in read_jsonl(path, torn_tail=True)] if path.is_file() else []
        if rows and rows[0].get("run") == digest:
            self.known = {row["text"]: row["scores"] for row in rows[1:]}
        else:
            write_jsonl(path, [{"run": digest}])

    def get(self, text, ask) -> list[float]:
        """The scores of a text, asked for where they are not known."""
        name = json.dumps(dataclasses.astuple(text)[1:])
        if name not in self.known:
            self.known[name] = ask()
            write_jsonl(self.path, [{"text": name, "scores": self.known[name]}], append=True)
        return self.known[name]


def _said(logits: Tensor, classes: list[str]) -> dict:
    """Scores [N, C] -> the most likely class of each clip, and the share of every class."""
    shares = logits.double().softmax(-1)
    return {"predicted": [classes[place] for place in shares.argmax(-1).tolist()],
            "shares": [dict(zip(classes, (round(value, 6) for value in row), strict=True)) for row in shares.tolist()]}


def _fingerprint(sets: dict) -> str:
    return hashlib.sha256(json.dumps([clips.rows for clips in sets.values()]).encode()).hexdigest()[:16]


SYSTEMS = {"encoder": fitted, "llm": fitted, "prompted": asked, "compound-from-basic": from_basic}
"""Kind of a system -> what it does."""
