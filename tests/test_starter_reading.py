"""Starter parts read straight from their folders are those that `from_pretrained` reads."""

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, WhisperConfig, WhisperForConditionalGeneration, WhisperModel

from affectgpt import hub, loading
from affectgpt.starter import reading, save_model


def same_state(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_llm_is_that_of_from_pretrained(dtype):
    name = "starter:smollm2-135m-instruct"
    ours = loading.load_language_model(name, dtype)
    theirs = AutoModelForCausalLM.from_pretrained(hub.resolve(name), dtype=dtype)
    same_state(ours.state_dict(), theirs.state_dict())
    same_state(dict(ours.named_buffers()), dict(theirs.named_buffers()))
    assert ours.get_output_embeddings().weight is ours.get_input_embeddings().weight
    assert ours.generation_config.to_dict() == theirs.generation_config.to_dict()
    assert ours.config.to_dict() == theirs.config.to_dict() and not ours.training
    ids = torch.tensor([[5, 9, 200, 31]])
    with torch.inference_mode():
        assert torch.equal(ours(ids).logits, theirs(ids).logits)


def test_encoders_are_those_of_from_pretrained():
    audio, visual = "starter:whisper-tiny.en", "starter:face-expression"
    same_state(loading.load_audio_model(audio, torch.float32).state_dict(),
               WhisperModel.from_pretrained(hub.resolve(audio)).encoder.state_dict())
    ours = loading.load_visual_model(visual, torch.float32)
    same_state(ours.state_dict(), AutoModel.from_pretrained(hub.resolve(visual)).state_dict())


def test_half_of_a_whisper_from_elsewhere(tmp_path, caplog):
    config = WhisperConfig(vocab_size=40, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1,
                           decoder_attention_heads=1, encoder_ffn_dim=8, decoder_ffn_dim=8, pad_token_id=1,
                           bos_token_id=1, eos_token_id=1, decoder_start_token_id=1)
    for folder, model in ((tmp_path / "whole", WhisperForConditionalGeneration(config)),
                          (tmp_path / "base", WhisperModel(config))):
        model.save_pretrained(folder)
        same_state(loading.load_audio_model(str(folder), torch.float32).state_dict(),
                   model.get_encoder().state_dict())
    assert "decoder" not in caplog.text


def test_file_that_does_not_fit_its_model_is_refused(tmp_path):
    config = WhisperConfig(vocab_size=40, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1,
                           decoder_attention_heads=1, encoder_ffn_dim=8, decoder_ffn_dim=8, pad_token_id=1,
                           bos_token_id=1, eos_token_id=1, decoder_start_token_id=1)
    save_model(tmp_path, WhisperModel, config, WhisperModel(config).state_dict())
    config.encoder_layers = 2
    with pytest.raises(ValueError, match="missing weights .*layers.1.*delete"):
        reading.read_model(tmp_path, lambda: WhisperModel(config), torch.float32)
    config.encoder_layers = 0
    with pytest.raises(ValueError, match="unexpected weights .*layers.0"):
        reading.read_model(tmp_path, lambda: WhisperModel(config), torch.float32)
