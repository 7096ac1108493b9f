"""What the tests of label extraction share: a small lexicon, a scripted LLM, a tiny real one."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from affectgpt.extractors.rules import RuleExtractor, Rules

WORDS = {"happy": "happy", "happiness": "happy", "joyful": "happy", "glad": "happy", "angry": "angry",
         "anger": "angry", "sad": "sad", "sadness": "sad", "fear": "afraid", "annoyed": "annoyed", "calm": "calm",
         "tense": "tense", "worried": "worried", "content": "content", "at ease": "calm", "proud": "proud",
         "tears": "sad", "self-conscious": "self-conscious"}
POSITIVE = {"happy", "happiness", "joyful", "glad", "proud", "calm", "at ease"}


class SmallLexicon:
    """A lexicon of a few words, so that these tests do not move with the real one."""

    def surface_words(self) -> dict[str, str]:
        return WORDS

    def family(self, word: str) -> str | None:
        return WORDS.get(word)

    def polarity(self, word: str) -> str | None:
        return None if word not in WORDS else "positive" if word in POSITIVE else "negative"


def extract(text: str, rules: Rules = Rules()) -> list[str]:
    return list(RuleExtractor(SmallLexicon(), rules).extract(text).labels)


class FakeModel:
    """Answers with a fixed text and counts what it is asked."""

    name, identity = "fake", "fake 1"

    def __init__(self, answer="[tired, sad]"):
        self.answer, self.texts = answer, []

    def answers(self, conversations, max_tokens, decoding):
        for conversation in conversations:
            self.texts.append(conversation[-1]["content"])
            yield self.answer(self.texts[-1]) if callable(self.answer) else self.answer


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A tiny random causal LM with a chat template."""
    from transformers import LlamaConfig, LlamaForCausalLM

    path = tmp_path_factory.mktemp("llm")
    tokenizer = tiny.tokenizer()
    tokenizer.save_pretrained(path)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                         num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=2048,
                         bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    LlamaForCausalLM(config).save_pretrained(path)
    return path
