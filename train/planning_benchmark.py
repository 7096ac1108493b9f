"""Planning: how many clips a second one process turns into token ids, for tokenizers of the shapes of Qwen and Llama 3.

    affectgpt benchmark --planning

No model hub is asked: the tokenizers are trained here on made-up text and filled up to the vocabulary and the added
tokens of their models. An epoch is planned by the lengths of its samples, so this bounds what GPUs can be fed.
"""

from __future__ import annotations

import json
import random
import time
from types import SimpleNamespace

from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.processing import AffectGPTProcessor

SHAPES = {"Qwen2.5": (151_643, 22), "Llama 3": (128_000, 256)}
"""Name -> words of the vocabulary, added tokens (those of `AffectGPTProcessor` not counted)."""

TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
SYLLABLES = ["an", "ba", "cor", "del", "e", "fi", "gra", "ho", "in", "jo", "ka", "lu", "men", "no", "or", "pre", "qui",
             "ro", "sta", "ti", "un", "ver", "wi", "ya", "zu", "ing", "ed", "ly", "tion", "s"]


def made_up_text(generator: random.Random, words: int) -> str:
    """Sentences of pronounceable words."""
    made = ["".join(generator.choices(SYLLABLES, k=generator.choice((1, 2, 2, 3)))) for _ in range(words)]
    return " ".join(word + ("." if number % 11 == 10 else "") for number, word in enumerate(made))


def tokenizer(words: int, added: int):
    """A byte-level BPE with this many entries and added tokens."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    text = [made_up_text(random.Random(seed), 2000) for seed in range(20)]
    bpe.train_from_iterator(text, trainers.BpeTrainer(
        vocab_size=8000, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    filling = [f"<|filling_{number}|>" for number in range(words - bpe.get_vocab_size())]
    # Entries that no text gives: the vocabulary's size is what a look-up sees of it.
    state = json.loads(bpe.to_str())
    state["model"]["vocab"] |= {word: len(state["model"]["vocab"]) + number for number, word in enumerate(filling)}
    bpe = Tokenizer.from_str(json.dumps(state))
    bpe.add_special_tokens([AddedToken(name, special=True) for name in
                            [*specials, *(f"<|reserved_{number}|>" for number in range(added - len(specials)))]])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>",
                                   chat_template=TEMPLATE)


def clips_a_second(processor, clips: int = 2000) -> tuple[float, float]:
    """(clips a CPU second of `training_text`, mean tokens of a sample)."""
    generator = random.Random(0)
    samples = [(SimpleNamespace(media_streams=["audio", "face"], words=made_up_text(generator, 14)),
                made_up_text(generator, 60)) for _ in range(clips)]
    processor.training_text(*samples[0][:1], "What do they feel?", "sad")
    started, tokens = time.process_time(), 0
    for inputs, answer in samples:
        tokens += len(processor.training_text(inputs, "What do they feel?", answer)["input_ids"])
    return clips / (time.process_time() - started), tokens / clips


def planning() -> None:
    """Print a row for each tokenizer."""
    print(f"{'tokenizer':<12}{'vocabulary':>12}{'added':>8}{'tokens a clip':>16}{'clips a CPU second':>22}")
    for name, (words, added) in SHAPES.items():
        made = AffectGPTProcessor(tokenizer(words, added), AffectGPTConfig(streams=["fusion", "audio", "face", "text"]))
        rate, tokens = clips_a_second(made)
        print(f"{name:<12}{words:>12,}{len(made.controls):>8}{tokens:>16.0f}{rate:>22,.0f}")


if __name__ == "__main__":
    planning()
