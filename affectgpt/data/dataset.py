"""Training samples: a clip's inputs, a question, the streams that are hidden, and the answer that fits what is left."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from affectgpt.data import prompts
from affectgpt.data.branches import Size, join, size_of
from affectgpt.data.clip import Clip, Targets, clip_labels, spoken
from affectgpt.data.mixture import Mixture
from affectgpt.data.readers import record_of
from affectgpt.models.streams import MEDIA_STREAMS
from affectgpt.words import lexicon

LEFT_OUT = ("no target", "unreadable", "nothing to show", "too long")
"""Why a clip is not learned from: no question has an answer, its media cannot be read, it has no stream that is
looked at, none of its samples fits into the LLM's context."""


class InstructionDataset:
    """One question and answer a clip and epoch, or all its questions.

    Every draw follows from (seed, epoch, clip), so a run can be resumed. An index is a place in `items`; a clip that an
    epoch takes again has its place + len(items) as well, and draws anew there.

    Args:
        processor: makes token ids and tensors of a sample.
        clips: the clips of a split.
        inputs: clip key -> `Inputs` (raw or features); clips without inputs are left out. A mapping that reads files
            has `facts(key)` as well: `media_streams` and `words` without the tensors.
        variants: clip key -> further `Inputs` of the clip, of which training draws one, or the first, each epoch.
        questions: question kind -> weight.
        modality_dropout: chance that a present medium is hidden; at least one stream always stays.
        text_dropout: chance that the words are hidden.
        training: False asks every clip one question with nothing hidden, each kind for an equal share of the clips.
        mixture: says how often an epoch takes a clip, what it is asked instead of `questions`, and the record of its
            corpus; without one every clip is taken once, and its corpus is looked up by name.
        questions_together: training asks every clip all kinds of `questions` that it has an answer to, as branches of
            one sample (`data.branches`); the weights then only say which are asked.
    Attributes:
        too_long: clip key -> question kind -> tokens, of samples beyond the LLM's context: they are left out.
    """

    def __init__(self, processor, clips: list[Clip], inputs: Mapping, questions: dict[str, float],
                 modality_dropout: float = 0.0, text_dropout: float = 0.0, seed: int = 0, training: bool = True,
                 variants: Mapping[str, list] | None = None, questions_together: bool = False,
                 mixture: Mixture | None = None):
        self.processor, self.inputs, self.training, self.seed = processor, inputs, training, seed
        self._facts = getattr(inputs, "facts", inputs.__getitem__)
        # A window of clips is planned by its lengths before its batches are made: tokens are made once.
        self._kept_texts = lru_cache(maxsize=4096)(self._text)
        self._kept_sizes = lru_cache(maxsize=65536)(self._size)
        self.modality_dropout, self.text_dropout = modality_dropout, text_dropout
        self.style = processor.config.prompt_style
        self.variants, self.mixture = variants or {}, mixture
        self._records: dict = {}
        self._epoch_clips: int | None = None
        self.questions_together = questions_together and training
        self.epoch = 0
        self.items: list[tuple[Clip, dict[str, float]]] = []
        self.left_out: dict[str, list[Clip]] = {reason: [] for reason in LEFT_OUT}
        self.too_long: dict[str, dict[str, int]] = {}
        for clip in clips:
            streams = self.streams_of(clip) if clip.key in inputs else []
            asked = mixture.questions_of(clip) if mixture else questions
            kinds = {kind: weight for kind, weight in asked.items() if weight > 0 and streams
                     and prompts.answerable(clip.targets, kind, streams, self.style, self._record_of(clip))}
            long = self._too_long(clip, kinds)
            if long:
                self.too_long[clip.key] = long
            fitting = {kind: weight for kind, weight in kinds.items() if kind not in long}
            if fitting:
                self.items.append((clip, fitting))
            else:
                reason = ("unreadable" if clip.key not in inputs else "too long" if long
                          else "no target" if streams else "nothing to show")
                self.left_out[reason].append(clip)
        if not self.items and self.too_long:
            key, long = next(iter(self.too_long.items()))
            raise ValueError(f"all clips are too long: a sample has {max(long.values())} tokens (clip {key}), "
                             f"model.llm={processor.config.llm} has {processor.context} positions")
        if not self.items:
            counts = ", ".join(f"{len(clips)} {reason}" for reason, clips in self.left_out.items())
            raise ValueError("no clip of this split has readable media and a target that one of data.questions "
                             f"asks for ({counts})")
        self._places = [] if training else self._places_in_corpora()

    def _places_in_corpora(self) -> list[tuple[int, int]]:
        """(place, clips) of each item among those of its part of the mixture."""
        part = [id(self.mixture.part_of(clip)) if self.mixture else 0 for clip, _ in self.items]
        counts, places = Counter(part), Counter()
        found = []
        for one in part:
            found.append((places[one], counts[one]))
            places[one] += 1
        return found

    def _too_long(self, clip: Clip, kinds: dict[str, float]) -> dict[str, int]:
        """Question kind -> tokens, of those samples of a clip that do not fit into the LLM's context."""
        if not kinds:
            return {}
        facts, long = self._facts(clip.key), {}
        for kind in kinds:
            for question, answer in self.taught(clip, kind):
                tokens = self.processor.too_long(facts, question, answer)
                if tokens is not None:
                    long[kind] = max(tokens, long.get(kind, 0))
        return long

    def _record_of(self, clip: Clip):
        if self.mixture is not None:
            return self.mixture.record_of(clip)
        if clip.corpus not in self._records:
            self._records[clip.corpus] = record_of(clip.corpus)
        return self._records[clip.corpus]

    def taught(self, clip: Clip, kind: str) -> list[tuple[str, str]]:
        """Every question of a kind that a clip may be asked, with its answer where nothing is hidden."""
        streams = self.streams_of(clip)
        return [(self._question(clip, kind, targets), prompts.answer(targets, kind, streams, self.style))
                for targets in prompts.kind_of(kind).variants(clip.targets)]

    def _question(self, clip: Clip, kind: str, targets: Targets) -> str:
        return prompts.question_of(kind, self.style, corpus=self._record_of(clip), targets=targets)

    def drawn(self) -> list[int]:
        """Indices that this epoch takes; those of a split that is not trained on are all clips, once each."""
        clips = [clip for clip, _ in self.items]
        if self.mixture is None or not self.training:
            return list(range(len(clips)))
        return self.mixture.order(clips, self.seed, self.epoch)

    @property
    def epoch_clips(self) -> int:
        """How many clips an epoch takes, those that it takes again included: the same in every epoch."""
        if self._epoch_clips is None:
            self._epoch_clips = len(self.drawn())
        return self._epoch_clips

    def words_of(self, clip: Clip) -> str | None:
        """What is said in a clip, where the model reads words."""
        return self._facts(clip.key).words if "text" in self.processor.config.streams else None

    def __len__(self) -> int:
        return len(self.items)

    def set_epoch(self, epoch: int) -> None:
        """Draw other questions and other hidden streams from now on."""
        self.epoch = epoch

    def streams_of(self, clip: Clip) -> list[str]:
        """Streams that the clip has and the model looks at, without the fused one."""
        inputs, looked_at = self._facts(clip.key), self.processor.config.streams
        streams = [stream for stream in inputs.media_streams if stream in looked_at]
        return streams + (["text"] if spoken(inputs.words) and "text" in looked_at else [])

    def draw(self, index: int) -> tuple[str, list[str]]:
        """(question kind, hidden streams) of a clip in this epoch."""
        (clip, kinds), again = self.items[index % len(self.items)], index // len(self.items)
        if not self.training:
            # Kinds in blocks rather than in turns: neighbours are of like length, and batches of little padding.
            place, count = self._places[index]
            return list(kinds)[place * len(kinds) // count], []
        generator = self._generator(clip, "question", again)
        kind = generator.choices(list(kinds), list(kinds.values()))[0]
        streams = self.streams_of(clip)
        hidden = [stream for stream in streams
                  if generator.random() < (self.text_dropout if stream == "text" else self.modality_dropout)]
        if len(hidden) == len(streams):
            hidden.remove(generator.choice(hidden))
        # What is left may be streams of which nothing is known, such as a voice where only the face has evidence.
        while hidden and not prompts.answer(clip.targets, kind, [s for s in streams if s not in hidden], self.style):
            hidden.remove(generator.choice(hidden))
        return kind, hidden

    def asked(self, index: int) -> tuple[list[str], list[str]]:
        """(question kinds, hidden streams) of a clip's sample in this epoch.

        Streams are hidden from all of its kinds; those that only the hidden ones have an answer to are not asked.
        """
        kind, hidden = self.draw(index)
        if not self.questions_together:
            return [kind], hidden
        clip, kinds = self.items[index % len(self.items)]
        visible = self._visible(clip, hidden)
        return [kind for kind in kinds if prompts.answer(clip.targets, kind, visible, self.style)], hidden

    def _visible(self, clip: Clip, hidden: list[str]) -> list[str]:
        return [stream for stream in self.streams_of(clip) if stream not in hidden]

    def _generator(self, clip: Clip, purpose: str, again: int = 0) -> random.Random:
        key = f"{self.seed}:{self.epoch}:{clip.key}:{purpose}" + f":{again}" * bool(again)
        return random.Random(hashlib.sha256(key.encode()).digest())

    def text(self, index: int) -> dict:
        """`input_ids`, `labels`, the streams `shown` and perhaps `branches` of a sample; no media are read."""
        return self._kept_texts(index, self.epoch)

    def _text(self, index: int, epoch: int) -> dict:
        clip, again = self.items[index % len(self.items)][0], index // len(self.items)
        kinds, hidden = self.asked(index)
        visible, facts = self._visible(clip, hidden), self._facts(clip.key)
        if "text" not in self.streams_of(clip):  # blank words are not shown either
            hidden = [*hidden, "text"]
        texts = []
        for kind in kinds:
            variants = prompts.kind_of(kind).variants(clip.targets)
            targets = variants[0] if len(variants) == 1 else self._generator(clip, "turn", again).choice(variants)
            answer = prompts.answer(targets, kind, visible, self.style)
            texts.append(self.processor.training_text(facts, self._question(clip, kind, targets), answer,
                                                      tuple(hidden)))
        return join(texts, set(self.processor.config.placeholder_ids.values()))

    def sizes(self, indices: list[int]) -> list[Size]:
        """What samples of this epoch cost."""
        return [self._kept_sizes(index, self.epoch) for index in indices]

    def _size(self, index: int, epoch: int) -> Size:
        return size_of(self._kept_texts(index, epoch))

    def lengths(self, indices: list[int]) -> list[int]:
        """Tokens of samples in this epoch."""
        return [size.tokens for size in self.sizes(indices)]

    def __getitem__(self, index: int) -> dict:
        clip, again = self.items[index % len(self.items)][0], index // len(self.items)
        text = self.text(index)
        choices = 1 + (len(self.variants.get(clip.key, ())) if self.training else 0)
        choice = self._generator(clip, "variant", again).randrange(choices) if choices > 1 else 0
        inputs = self.variants[clip.key][choice - 1] if choice else self.inputs[clip.key]
        sample = {key: value for key, value in text.items() if key != "shown"} | {"clip": clip}
        sample |= {stream: getattr(inputs, stream) for stream in MEDIA_STREAMS if stream in text["shown"]}
        if "audio" in sample:
            sample["audio_lengths"] = inputs.audio_lengths
        return sample


def label_space(clips: list[Clip]) -> list[str]:
    """Words that the targets of these clips come down to (`Lexicon.meaning`), sorted; unknown labels have none."""
    meaning = lexicon.load().meaning
    words = {meaning(word) for clip in clips for word in (*clip.targets.cues.values(), *clip_labels(clip))}
    return sorted(word for word in words if word)


def alignment_targets(clip: Clip, visual: str, space: list[str]) -> dict[str, list[float]]:
    """What the tokens of each stream should be near to: a distribution over `space` (zeros where unknown).

    A stream with a cue of its own is drawn to that; otherwise all streams share the clip's labels. The fused
    stream is drawn to what sound and picture carry between them.
    """
    meaning = lexicon.load().meaning
    cues = {stream: meaning(cue) for stream, cue in clip.targets.cues.items()}
    whole = [meaning(label) for label in clip_labels(clip)]
    words = {stream: [cues[stream]] if stream in cues else whole for stream in MEDIA_STREAMS}
    if "frame" not in cues and "face" in cues:
        words["frame"] = words["face"]
    both = list(dict.fromkeys(words["audio"] + words[visual]))
    words["fusion"] = [word for word in both if word != "neutral"] or both
    targets = {}
    for stream, names in words.items():
        known = {name for name in names if name in space}
        targets[stream] = [1 / len(known) if word in known else 0.0 for word in space]
    return targets
