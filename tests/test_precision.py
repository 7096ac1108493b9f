"""What a change of number format leaves alone."""

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from affectgpt import loading
from affectgpt.models.precision import cast_weights
from tests import tiny


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), 1 / 3))
        self.register_buffer("kept", torch.full((2,), 1 / 3))
        self.register_buffer("table", torch.full((2,), 1 / 3), persistent=False)
        self.register_buffer("places", torch.arange(2))


def test_only_what_files_hold_is_cast():
    layer = cast_weights(nn.Sequential(Layer()), torch.bfloat16)[0]
    assert layer.weight.dtype == layer.kept.dtype == torch.bfloat16
    assert layer.table.dtype == torch.float32 and torch.equal(layer.table, torch.full((2,), 1 / 3))
    assert layer.places.dtype == torch.int64 and isinstance(layer.weight, nn.Parameter)


def test_tied_weights_stay_tied():
    model = cast_weights(tiny.language_model(), torch.bfloat16)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight \
        or not model.config.tie_word_embeddings


def test_llm_in_bfloat16_turns_its_positions_as_transformers_does(tmp_path):
    tiny.language_model().save_pretrained(tmp_path)
    ours = loading.load_language_model(str(tmp_path), torch.bfloat16)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    tables = [(name, table) for name, table in theirs.named_buffers() if "inv_freq" in name]
    assert tables and all(torch.equal(dict(ours.named_buffers())[name], table) for name, table in tables)
    ids = torch.randint(5, 50, (1, 300), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(ours(ids).logits, theirs(ids).logits)
