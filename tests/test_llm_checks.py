"""What is asked of an LLM is checked before its weights are read; too long samples are left out and counted."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import tiny
from tiny_llms import family

from affectgpt.config import Recipe
from affectgpt.data.clip import Clip, Targets
from affectgpt.data.dataset import InstructionDataset
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.llm_checks import check_llm, check_lora_targets, context_length
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.train.lengths import check_lengths, check_manifest, print_lengths


def checked(kind: str = "llama", llm_values: dict | None = None, **values) -> list[str]:
    llm_config = copy.deepcopy(family(kind).config)
    for key, value in (llm_values or {}).items():
        setattr(llm_config, key, value)
    config = AffectGPTConfig(
        text_config=llm_config, llm="some/llm", streams=tiny.ALL_STREAMS, **{**tiny.SMALL, **values}
    )
    return check_llm(config, AffectGPTProcessor(tiny.tokenizer(), config))


def test_a_checked_family_passes_and_another_is_named():
    assert checked() == []
    from transformers import OPTConfig

    config = AffectGPTConfig(text_config=OPTConfig(vocab_size=400, hidden_size=32, num_attention_heads=2, ffn_dim=48,
                                                   num_hidden_layers=1, word_embed_proj_dim=32), llm="some/opt",
                             streams=["text"], **tiny.SMALL)
    assert "some/opt is a 'opt' model, a kind that is not among" in check_llm(
        config, AffectGPTProcessor(tiny.tokenizer(), config))[0]


@pytest.mark.parametrize("targets, message", [
    (["q_proj", "value_proj"], "no module value_proj; it has .*q_proj.*v_proj"),
    (["qproj"], "no module qproj"), (["proj"], "no module proj;"),
    (["q_proj", ""], "no module ;"), (["layers"], "no module layers"),
])
def test_every_lora_target_must_be_there(targets, message):
    with pytest.raises(ValueError, match=f"model.lora_targets: the LLM has {message}"):
        checked(lora_targets=targets)


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "self_attn.v_proj"], [r"lm_head"], r".*\.(q|v)_proj"])
def test_targets_that_are_there_pass(targets):
    check_lora_targets(family("llama"), targets)
    with pytest.raises(ValueError, match="no module nothing_"):
        check_lora_targets(family("llama"), "nothing_.*")


@pytest.mark.parametrize("values, message", [
    ({"max_position_embeddings": 12}, "model.llm=some/llm has 12 positions"),
    ({"vocab_size": 300}, "has a token 3.., and its configuration knows 300 tokens"),
])
def test_an_llm_that_cannot_serve_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        checked(llm_values=values)


def test_an_llm_that_is_no_causal_lm_is_refused():
    from transformers import T5Config

    config = AffectGPTConfig(text_config=T5Config(vocab_size=400), llm="some/t5", streams=["text"], **tiny.SMALL)
    with pytest.raises(ValueError, match="model.llm=some/t5 is a 't5' model, which is no causal language model"):
        check_llm(config, AffectGPTProcessor(tiny.tokenizer(), config))


def test_a_tokenizer_without_an_end_is_refused():
    tokenizer = tiny.tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="model.llm=some/llm: its tokenizer has no end-of-text token"):
        AffectGPTProcessor(tokenizer, AffectGPTConfig(llm="some/llm", streams=["text"], **tiny.SMALL))


def test_the_context_is_found_under_every_name():
    from transformers import Gemma3Config, GPT2Config

    assert context_length(family("llama").config) == 2048 and context_length(GPT2Config(n_positions=96)) == 96
    nested = Gemma3Config(text_config={"max_position_embeddings": 77})
    assert context_length(nested) == 77 and context_length(None) is None


# ---------------------------------------------------------------------------- samples that are too long


def processor_with(context: int) -> AffectGPTProcessor:
    llm_config = copy.deepcopy(family("llama").config)
    llm_config.max_position_embeddings = context
    return AffectGPTProcessor(tiny.tokenizer(), AffectGPTConfig(text_config=llm_config, llm="some/llm",
                                                                streams=["text"], **tiny.SMALL))


def clips_of(descriptions: list[str], words: str | None = "hm") -> list[Clip]:
    return [Clip(id=f"c{number}", corpus="t", words=words, split="train",
                 targets=Targets(description=text, labels=("sad",), emotion="sad"))
            for number, text in enumerate(descriptions)]


def dataset_of(processor, clips, **questions) -> InstructionDataset:
    facts = {clip.key: SimpleNamespace(media_streams=[], words=clip.words) for clip in clips}
    return InstructionDataset(processor, clips, facts, questions or {"description": 1, "labels": 1}, training=False)


@pytest.mark.parametrize("long", ["slowly " * 400, "慢" * 900, "x" * 100_000])
def test_a_sample_beyond_the_context_is_left_out_and_counted(long, capsys):
    processor = processor_with(700)
    clips = clips_of(["short.", long, "also short."])
    dataset = dataset_of(processor, clips)
    assert list(dataset.too_long) == ["t/c1"] and list(dataset.too_long["t/c1"]) == ["description"]
    assert [sorted(kinds) for _, kinds in dataset.items] == [["description", "labels"], ["labels"],
                                                             ["description", "labels"]]
    assert all(len(dataset.text(index)["input_ids"]) <= 700 for index in range(3))
    recipe = Recipe()
    recipe.data.max_skip_ratio = 0.5
    check_lengths(dataset, 3, recipe)
    recipe.data.max_skip_ratio = 0.1
    with pytest.raises(ValueError, match="1 of 3 clips .* a sample has .* tokens .clip t/c1, question description.*"
                                         "has 700 positions.* 10.0% .*data.max_skip_ratio"):
        check_lengths(dataset, 3, recipe)
    print_lengths(dataset, "train", 3)
    assert "split train: 1 of 3 clips have a sample that is too long" in capsys.readouterr().out


def test_where_all_are_too_long_the_first_says_how_long():
    recipe = Recipe()
    recipe.data.questions = {"description": 1.0}
    with pytest.raises(
        ValueError, match=r"a sample has \d+ tokens \(clip t/c0\), model.llm=some/llm has 700 positions"
    ):
        check_manifest(processor_with(700), {"train": clips_of(["slowly " * 400])}, recipe)


def test_short_samples_need_no_tokenizer(monkeypatch):
    processor = processor_with(2048)
    dataset_of(processor, clips_of(["short."]))  # the fixed parts are made now
    monkeypatch.setattr(processor.control_tokens, "encode", lambda text: pytest.fail("a tokenizer was asked"))
    assert not dataset_of(processor, clips_of(["short.", "also short."])).too_long


def test_clips_with_cut_words_are_counted(capsys):
    processor = processor_with(2048)
    print_lengths(dataset_of(processor, clips_of(["a", "b"], "sad happy " * 300)), "train", 2)
    out = capsys.readouterr().out
    assert "split train: the words of 2 of 2 clips are cut (clip t/c0: after 128 of" in out
    print_lengths(dataset_of(processor, clips_of(["a", "b"])), "train", 2)
    assert capsys.readouterr().out == ""
