"""Every LLM family: loss and logits are those of its own forward pass, padded and packed."""

from __future__ import annotations

import copy

import pytest
import tiny
import torch
from tiny_llms import FAMILIES, WINDOWED, family

from affectgpt.data.inputs import Inputs
from affectgpt.models.attention import BY_CLIP
from affectgpt.models.collate import collate_packed
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.head import LogitRule
from affectgpt.models.llm_checks import CHECKED
from affectgpt.models.loss import labelled_loss
from affectgpt.models.modeling import AffectGPTForConditionalGeneration
from affectgpt.models.processing import AffectGPTProcessor

ANSWERS = ["sad", "Emotions: happy, sad. Polarity: positive. " * 3, "angry and calm"]


def model_of(name: str, llm=None):
    """A model that looks at words alone on a tiny LLM, LoRA included and far from zero; its processor."""
    llm = llm if llm is not None else family(name)
    config = AffectGPTConfig(text_config=copy.deepcopy(llm.config), streams=["text"], **tiny.SMALL)
    model = AffectGPTForConditionalGeneration(config, llm).eval()
    tiny.randomise(model)
    return model, AffectGPTProcessor(tiny.tokenizer(), config)


def samples_of(processor) -> list[dict]:
    return [processor.training_sample(Inputs(words=f"I am number {number}"), "How do they feel?", answer)
            for number, answer in enumerate(ANSWERS)]


def test_the_checked_families_are_those_of_the_tests():
    assert set(CHECKED) == set(FAMILIES)
    assert all(family(name).config.model_type == name for name in FAMILIES)


@pytest.mark.parametrize("name", [*FAMILIES, *WINDOWED])
def test_loss_and_logits_are_the_llms_own(name):
    model, processor = model_of(name)
    batch = processor.collate(samples_of(processor))
    with torch.no_grad():
        made = model(**batch, return_logits=True)
        own = model.language_model(**batch)
    seen = batch["attention_mask"].bool()
    assert float((made.logits - own.logits)[seen].abs().max()) <= 1e-5 * max(1, float(own.logits.abs().max()))
    assert float(made.loss) == pytest.approx(float(own.loss), abs=1e-5)
    model.check_logits()


@pytest.mark.parametrize("name", [*FAMILIES, *WINDOWED])
def test_a_packed_row_equals_padded_clips(name):
    model, processor = model_of(name)
    samples = samples_of(processor)
    with torch.no_grad():
        padded = model(**processor.collate(samples))
        model.language_model.set_attn_implementation(BY_CLIP)
        packed = model(**collate_packed(samples))
    for clip in range(len(samples)):
        torch.testing.assert_close(packed.token_losses[packed.token_clips == clip],
                                   padded.token_losses[padded.token_clips == clip], atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("name", ["granite", "cohere", "gemma2", "minicpm3", "llama"])
@pytest.mark.parametrize("chunk", [5, 1000])
def test_gradients_of_a_frozen_head_are_autograds(name, chunk):
    llm = family(name)
    head, rule = llm.get_output_embeddings(), LogitRule.of(llm.config)
    generator = torch.Generator().manual_seed(2)
    hidden = 3 * torch.randn(2, 9, 64, generator=generator)
    labels = torch.randint(0, 400, (2, 9), generator=generator)
    gradients = []
    for frozen in (True, False):
        head.weight.requires_grad_(not frozen)
        states = hidden.clone().requires_grad_()
        losses, _ = labelled_loss(head, states, labels, chunk, rule)
        (losses * torch.arange(1.0, len(losses) + 1)).sum().backward()
        gradients.append(states.grad)
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)
    assert float(gradients[0].abs().max()) > 0.1


def test_the_head_is_called_once_whatever_the_labels():
    """ZeRO 3 gathers its weights at each call: ranks with other labels would wait for each other for ever."""
    head, calls = torch.nn.Linear(8, 30, bias=False), []
    head.register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    for trained in (True, False):
        head.weight.requires_grad_(trained)
        for count in (0, 1, 7, 40):
            labels = torch.full((1, 50), -100)
            labels[0, 1 : 1 + count] = 3
            losses, _ = labelled_loss(head, torch.randn(1, 50, 8, requires_grad=True), labels, chunk=6)
            losses.sum().backward()
            assert calls.pop() == count and not calls and "forward" not in head.__dict__


@pytest.mark.parametrize("name, rule", [("granite", LogitRule()), ("gemma2", LogitRule()), ("llama", LogitRule(1.5))])
def test_an_llm_with_other_logits_is_refused(name, rule):
    model, _ = model_of(name)
    model.logit_rule = rule  # as where a family does something that no setting of its configuration names
    with pytest.raises(ValueError, match="model.llm=.* computes its logits in a way that AffectGPT does not know"):
        model.check_logits()


@pytest.mark.parametrize("name", ["gemma", "gemma2", "gemma3_text", "llama"])
def test_stream_tokens_have_the_size_of_words_as_the_llm_sees_them(name):
    llm = family(name)
    config = AffectGPTConfig(text_config=copy.deepcopy(llm.config), visual_config=tiny.face_expression().config,
                             streams=["face", "text"], **tiny.SMALL)
    model = AffectGPTForConditionalGeneration(config, llm, None, tiny.face_expression())
    words = model.get_input_embeddings()(torch.arange(400)).float()
    assert float(model.token_norms["face"].size) == pytest.approx(float(words.pow(2).mean().sqrt()), rel=1e-4)
