"""Clips -> descriptions with labels, by the recipe's models; whatever is found goes through the journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from affectgpt.caption import prompts, textual
from affectgpt.caption.cue_models import Merger, open_cue_model
from affectgpt.caption.filters import Caption
from affectgpt.caption.settings import RULES, TEXTUAL, CaptionRecipe
from affectgpt.caption.sources import Failures
from affectgpt.data.clip import Clip, spoken
from affectgpt.extractors import llm
from affectgpt.journal import Journal, files_of, short_digest
from affectgpt.words import lexicon


class Describer:
    """The models of a recipe and the journal of its output.

    Attributes:
        notes: what the user should know of the descriptions, a line each.
    Raises:
        ValueError: a model that does not exist or does not take its stream.
    """

    def __init__(self, recipe: CaptionRecipe, journal: Journal):
        self.recipe, self.journal, models = recipe, journal, recipe.models
        self.notes: list[str] = []
        self.models = {stream: model for stream in ("audio", "visual")
                       if (model := open_cue_model(stream, models)) is not None}
        self.merger = None if models.merge == TEXTUAL else Merger(models)
        self.asker = None if models.labels == RULES else llm.Asker(
            llm.open_model(models.labels, models.batch_size, models.device, models.endpoint_timeout))

    def captions(self, clips: list[Clip]) -> tuple[list[Caption], Failures]:
        """Captions of the clips that give one, in their order, and why the others give none."""
        failed: Failures = {}
        cues: dict[str, dict[str, Any]] = {clip.key: {} for clip in clips}
        by_key = {clip.key: clip for clip in clips}
        for stream, model in self.models.items():
            def find(keys: list[str], model=model) -> Iterator[dict]:
                return model.cues([by_key[key] for key in keys])

            by = {clip.key: f"{model.identity} {files_of(stream, clip)}" for clip in clips}
            said = []
            for key, cue in self._fill(stream, by, find, model.chunk):
                if "error" in cue:
                    failed.setdefault(key, (f"{stream} cue", cue["error"]))
                if "text" in cue:
                    said.append(cue["text"])
                cues[key][stream] = cue
            self._look_at(f"{stream} cue", said)
        left = [clip for clip in clips if clip.key not in failed]
        voices = textual.VoiceBaselines(clips, {key: one.get("audio", {}).get("facts") for key, one in cues.items()},
                                        self.recipe.textual)
        merge = self._merged if self.merger else self._textual
        texts = merge(left, {clip.key: self._measured(clip, cues[clip.key], voices) for clip in left}, cues, failed)
        return self._labelled(texts, failed), failed

    def _fill(self, stage: str, by: Mapping[str, str], find: Callable[[list[str]], Iterator[Any]],
              chunk: int) -> Iterator[tuple[str, Any]]:
        from tqdm import tqdm

        return tqdm(self.journal.fill(by, stage, find, chunk), total=len(by), desc=stage, unit="clip", disable=None)

    def _measured(self, clip: Clip, cues: dict, voices: textual.VoiceBaselines) -> dict[str, textual.Cue]:
        """"audio", "face" and "text" -> cue, of the streams whose facts were measured and of the words."""
        found = {}
        if "facts" in cues.get("audio", {}):
            found["audio"] = voices.cue(clip, cues["audio"]["facts"])
        if "facts" in cues.get("visual", {}):
            found["face"] = textual.face_cue(cues["visual"]["facts"], self.recipe.textual)
        if (words := textual.words_cue(clip.words)) is not None:
            found["text"] = words
        return found

    def _textual(self, clips: list[Clip], measured: dict, cues: dict, failed: Failures) -> dict[str, str]:
        texts = {}
        for clip in clips:
            text = textual.describe(measured[clip.key], self.recipe.textual)
            if text is None:
                failed[clip.key] = ("no cue", "none of its streams says anything of emotion: "
                                    + (", ".join(measured[clip.key]) or "there is none"))
            else:
                texts[clip.key] = text
        return texts

    def _merged(self, clips: list[Clip], measured: dict, cues: dict, failed: Failures) -> dict[str, str]:
        talks: dict[str, list[dict[str, str]]] = {}
        for clip in clips:
            notes = {stream: cue["text"] for stream, cue in cues[clip.key].items() if cue.get("text")}
            notes |= {stream: measured[clip.key][name].sentence for stream, name in (("audio", "audio"),
                      ("visual", "face")) if name in measured[clip.key]}
            if not notes and spoken(clip.words) is None:
                failed[clip.key] = ("no cue", "none of its streams gives a cue")
            else:
                talks[clip.key] = prompts.merge_conversation(notes, spoken(clip.words))
        # What is merged is part of the identity: other cues make another description.
        by = {key: f"{self.merger.identity} {short_digest(json.dumps(talk))}" for key, talk in talks.items()}
        texts = {}
        for key, value in self._fill("merge", by, lambda keys: self.merger.descriptions([talks[k] for k in keys]),
                                     self.merger.chunk):
            if "error" in value:
                failed[key] = ("merge", value["error"])
            else:
                texts[key] = value["text"]
        self._look_at("merge", texts.values())
        return texts

    def _look_at(self, stage: str, texts: Collection[str]) -> None:
        """Note how many answers of a model are empty, or end in the middle of a sentence."""
        empty, cut = sum(not text for text in texts), sum(bool(text) and text[-1].isalnum() for text in texts)
        if empty:
            self.notes.append(f"{stage}: of {empty} of {len(texts)} clips the model says nothing")
        if cut:
            self.notes.append(f"{stage}: {cut} of {len(texts)} answers end in the middle of a sentence; where "
                              "models.max_new_tokens cuts them off, raise it")

    def _labelled(self, texts: dict[str, str], failed: Failures) -> list[Caption]:
        polarity_of = lexicon.load().polarity_of
        if self.asker is None:
            from affectgpt.extractors import rules

            labels = {key: list(rules.extractor().extract(text).labels) for key, text in texts.items()}
        else:
            by = {key: f"{self.asker.model.identity} {llm.LABELS.version} {short_digest(text)}"
                  for key, text in texts.items()}
            labels = {}
            for key, value in self._fill("labels", by, lambda keys: self._ask([texts[k] for k in keys]),
                                         4 * self.recipe.models.batch_size):
                if isinstance(value, dict):
                    failed[key] = ("labels", value["error"])
                else:
                    labels[key] = value
            if self.asker.not_a_list:
                self.notes.append(f"labels: {self.asker.not_a_list} answers were no list of labels, and count as none")
        return [Caption(key, texts[key], tuple(dict.fromkeys(found)), polarity_of(found))
                for key, found in labels.items()]

    def _ask(self, texts: list[str]) -> Iterator[list[str] | dict]:
        """Labels of each text by the LLM; an error for those without any where a server refused some of them."""
        refused = self.asker.refused
        found = self.asker.labels(texts)
        error = {"error": "refused by the server"}
        return iter([labels if labels or self.asker.refused == refused else error for labels in found])
