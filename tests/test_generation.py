"""Generation: equal to greedy search written out, whatever else is in the batch."""

from __future__ import annotations

import pytest
import tiny
import torch
from model_variants import END, QUESTION, default, fresh, training_batch  # noqa: F401  fixtures too
from tiny import parts  # noqa: F401  a fixture


def greedy_without_cache(model, batch: dict, steps: int) -> list[int]:
    ids, found = batch["input_ids"], []
    streams = {key: value for key, value in batch.items() if key not in ("input_ids", "attention_mask")}
    with torch.no_grad():
        for _ in range(steps):
            logits = model(input_ids=ids, **streams).logits[0, -1]
            logits[END] = -torch.inf
            found.append(int(logits.argmax()))
            ids = torch.cat([ids, torch.tensor([[found[-1]]])], dim=1)
    return found


def test_generation_equals_greedy_search_without_cache_and_padding(default):  # noqa: F811
    model, processor = default
    samples = [processor.inference_sample(inputs, QUESTION) for inputs in tiny.mixture(processor)]
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": END}
    batch = processor.collate(samples, side="left")
    assert (batch["attention_mask"][:, 0] == 0).any() and (batch["attention_mask"][:, -1] == 1).all()
    together = model.generate(**batch, **options).tolist()
    singles = [model.generate(**tiny.alone(processor, sample, "left"), **options)[0].tolist() for sample in samples]
    assert together == singles
    assert singles[:3] == [greedy_without_cache(model, tiny.alone(processor, sample), 6) for sample in samples[:3]]
    assert len({tuple(row) for row in singles}) > 3  # a model that says the same of everything would pass too


def test_merging_lora_keeps_the_logits(parts):  # noqa: F811
    model, processor = fresh(parts)
    _, batch = training_batch(processor)
    with torch.no_grad():
        before = model(**batch, return_logits=True).logits
        model.merge_lora()
        after = model(**batch, return_logits=True).logits
    torch.testing.assert_close(before, after, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("clips", [1, 4])
def test_the_head_gets_states_that_lie_together(default, clips):  # noqa: F811
    """Where they do not, torch on a CPU copies the head's matrix for each row of the batch."""
    model, processor = default
    samples = [processor.inference_sample(inputs, QUESTION) for inputs in tiny.mixture(processor)[:clips]]
    head, seen = model.language_model.get_output_embeddings(), []
    forward = head.forward
    head.forward = lambda states: (seen.append(states.is_contiguous()), forward(states))[1]
    try:
        model.generate(**processor.collate(samples, side="left"), max_new_tokens=3, min_new_tokens=3, do_sample=False)
    finally:
        del head.forward
    assert seen == [True] * 3 and not head._forward_pre_hooks


@pytest.mark.parametrize("inherited", [
    {"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 1}, {"suppress_tokens": list(range(0, 400, 2))},
    {"bad_words_ids": [[number] for number in range(1, 400, 2)]}, {"forced_eos_token_id": 7}, {"min_length": 400},
    {"do_sample": True, "temperature": 9.0, "top_p": 0.9, "top_k": 50}, {"num_beams": 3}, {"min_new_tokens": 5},
    {"begin_suppress_tokens": list(range(400))[::3]}, {"stop_strings": ["a", "e"]}, {"max_length": 3},
    {"exponential_decay_length_penalty": [1, 2.0]}, {"repetition_penalty": 1.05, "temperature": 0.7, "top_p": 0.8},
])
def test_what_the_llm_asks_for_changes_no_greedy_answer(parts, tmp_path, default, inherited):  # noqa: F811
    """Its generation_config.json holds penalties and sampling for chatting."""
    import json
    import shutil

    from affectgpt import loading

    model, processor = default
    folder = tmp_path / "llm"
    shutil.copytree(parts["qwen2"], folder)
    (folder / "generation_config.json").write_text(json.dumps(inherited))
    other = loading.load_language_model(str(folder), torch.float32)
    samples = [processor.inference_sample(inputs, QUESTION) for inputs in tiny.mixture(processor)[:3]]
    batch = processor.collate(samples, side="left")
    before = model.generate(**batch, **processor.generation_options(12))
    own = model.language_model.generation_config
    try:
        model.language_model.generation_config = other.generation_config
        after = model.generate(**batch, **processor.generation_options(12))
    finally:
        model.language_model.generation_config = own
    assert torch.equal(before, after)


def test_a_model_folder_says_how_it_decodes(default, tmp_path):  # noqa: F811
    import json

    _, processor = default
    processor.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "generation_config.json").read_text())
    assert written["repetition_penalty"] == 1.0 and written["do_sample"] is False and written["eos_token_id"] == [END]
