"""Tiny random parts of the real classes, saved as Hugging Face folders so that `hub.resolve` takes them by path."""

from __future__ import annotations

import json
import os
import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from affectgpt.data.inputs import Inputs
from affectgpt.loading import from_parts, load_tokenizer
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.modeling import AffectGPTForConditionalGeneration
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.synthetic.corpus import make_corpus

CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nDefault.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXTS = [
    "Voice and face: Describe the person's emotion with its evidence. List the person's emotions.",
    "You read emotions. system user assistant The voice is loud and happy. Emotions: happy, sad. Polarity: positive.",
    "They conflict: the voice is angry, the words are sad. ###Human: Now, please answer my question based on all the "
    "provided information. The subtitle of this video is: <Subtitle></Subtitle>. ###Assistant: ",
]


def tokenizer():
    """A byte-level BPE of about 400 words with a ChatML template; its control tokens are those of Qwen."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIALS, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<|endoftext|>", eos_token="<|im_end|>",
                                   pad_token="<|endoftext|>", chat_template=CHATML, model_max_length=4096,
                                   clean_up_tokenization_spaces=False)


def language_model(kind: str = "qwen2"):
    """Two layers of width 64 with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    config_class, model_class = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}[
        kind
    ]
    torch.manual_seed(1)
    config = config_class(
        vocab_size=400, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, bos_token_id=0, eos_token_id=2, pad_token_id=0,
        tie_word_embeddings=kind == "llama")
    return _louder(model_class(config))


@torch.no_grad()
def _louder(model):
    """The usual small start answers nearly the same to everything, so that errors hide in the tolerance."""
    for name, parameter in model.named_parameters():
        if "norm" not in name and parameter.ndim > 1:
            parameter.mul_(4)
    return model


def whisper():
    from transformers import WhisperConfig, WhisperModel

    torch.manual_seed(2)
    return _louder(WhisperModel(WhisperConfig(
        vocab_size=20, num_mel_bins=80, d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=48,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=48, max_source_positions=1500,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)))


def hubert():
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(3)
    return _louder(HubertModel(HubertConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=48, conv_dim=(16, 16, 16),
        conv_stride=(5, 8, 8), conv_kernel=(10, 8, 8), num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer", do_stable_layer_norm=True)))


def clip():
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(4)
    return CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8,
        projection_dim=24))


def face_expression():
    from affectgpt.models.expression import FaceExpressionConfig, FaceExpressionModel

    torch.manual_seed(5)
    model = FaceExpressionModel(FaceExpressionConfig(channels=[4, 8, 8, 16], convolutions=2, image_size=32))
    with torch.no_grad():  # the usual small start leaves nothing above zero after its ReLUs
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.4 if parameter.ndim > 1 else 0.05))
    return model


BUILDERS = {"qwen2": language_model, "llama": lambda: language_model("llama"), "whisper": whisper, "hubert": hubert,
            "clip": clip, "face": face_expression}
PICTURE_MEANS = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}


def write_parts(folder: Path) -> dict[str, str]:
    """Save every part under `folder`; name -> its folder."""
    names = {}
    for name, builder in BUILDERS.items():
        path = folder / name
        builder().eval().save_pretrained(path)
        if name in ("qwen2", "llama"):
            tokenizer().save_pretrained(path)
        if name == "clip":
            (path / "preprocessor_config.json").write_text(json.dumps(PICTURE_MEANS))
        names[name] = str(path)
    return names


SMALL = dict(
    projector_hidden=16, dropout=0.0, lora_rank=4, lora_alpha=8, lora_dropout=0.0, audio_positions=3,
    audio_tokens=2, face_tokens=3, frame_tokens=1, fusion_tokens=2, fusion_width=16, frames=3,
    qformer_hidden=16, qformer_heads=2, qformer_intermediate=24, qformer_layers=2, qformer_dropout=0.0,
)
ALL_STREAMS = ["audio", "face", "frame", "fusion", "text"]


def config(parts: dict[str, str], llm: str = "qwen2", audio: str = "whisper", visual: str = "face",
           **values) -> AffectGPTConfig:
    """A small configuration on parts of `write_parts`."""
    chosen = {**SMALL, "streams": list(ALL_STREAMS), **values}
    return AffectGPTConfig(llm=parts[llm], audio_encoder=parts[audio], visual_encoder=parts[visual], **chosen)


def model_and_processor(
    parts: dict[str, str], **values
) -> tuple[AffectGPTForConditionalGeneration, AffectGPTProcessor]:
    """A model in evaluation mode whose new parts, LoRA included, are random and far from zero."""
    chosen = config(parts, **values)
    torch.manual_seed(6)
    model = from_parts(chosen).eval()
    randomise(model)
    return model, AffectGPTProcessor(load_tokenizer(chosen.llm), model.config)


@torch.no_grad()
def randomise(model) -> None:
    """LoRA starts as zero and scales as one: give every new part values that matter."""
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
        if name.startswith("token_norms."):
            parameter.copy_(1.5 + torch.rand((), generator=generator))
    for norm in model.norms.values():
        norm.mean.copy_(0.3 * torch.randn(norm.mean.shape, generator=generator))
        norm.deviation.copy_(0.5 + torch.rand(norm.deviation.shape, generator=generator))


@cache
def _noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(processor: AffectGPTProcessor, seed: int, streams: str = "audio face frame text",
           seconds: float = 0.6, pictures: int = 3) -> Inputs:
    """Random raw media of one clip, with the named streams only."""
    made, size = Inputs(), processor.config.visual_size
    if "audio" in streams:
        wave = 0.1 * (1 + seed) * _noise(seed, round(seconds * 16000))
        made.audio, made.audio_lengths = processor.windows(wave.clamp(-1, 1).numpy())
    for stream in ("face", "frame"):
        if stream in streams:
            noise = _noise(seed + (100 if stream == "face" else 200), pictures, 3, size, size)
            setattr(made, stream, (noise * 60 + 128).clamp(0, 255).to(torch.uint8))
    if "text" in streams:
        made.words = f"I am number {seed}"
    return made


def alone(processor: AffectGPTProcessor, sample: dict, side: str = "right") -> dict:
    """A batch of one sample."""
    return processor.collate([sample], side)


MIXTURE = [  # seed, streams, seconds of sound, pictures
    (1, "audio face frame text", 0.6, 3),
    (2, "audio text", 1.3, 3),
    (3, "text", 0.6, 3),
    (4, "face frame", 0.6, 2),
    (5, "audio face", 0.25, 1),
    (6, "frame text", 0.6, 3),
    (7, "audio", 0.07, 3),
]
"""Clips with every kind of gap: other streams, other lengths, other numbers of pictures."""


def mixture(processor: AffectGPTProcessor) -> list[Inputs]:
    return [inputs(processor, *clip) for clip in MIXTURE]


@pytest.fixture(scope="session")
def parts(tmp_path_factory) -> dict[str, str]:
    """Folders of the tiny parts; import it into a test module to use it."""
    folder = tmp_path_factory.getbasetemp() / "tiny_parts"
    if folder.is_dir():
        return {name: str(folder / name) for name in BUILDERS}
    return write_parts(folder)


def write_bundled_model(parts: dict[str, str], folder: Path, **values) -> Path:
    """A whole model folder that needs no other one: frozen weights are inside."""
    model, processor = model_and_processor(parts, **values)
    model.config.llm = model.config.audio_encoder = model.config.visual_encoder = None
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def drawn_corpus(tmp_path_factory, folder: Path, clips: int, speakers: int) -> Path:
    """The manifest of a starter corpus in `folder`: a copy of one that is drawn once for all processes of the tests."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"drawn-{clips}-{speakers}"
    with FileLock(f"{shared}.lock"):
        if not shared.is_dir():
            made = shared.with_name(f"{shared.name}.part")
            shutil.rmtree(made, ignore_errors=True)
            make_corpus(made, clips=clips, speakers=speakers, workers=1, progress=False)
            made.rename(shared)
    shutil.copytree(shared, folder)
    return folder / "manifest.jsonl"


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Six clips of the starter corpus: their faces are found, their voices heard."""
    return drawn_corpus(tmp_path_factory, tmp_path_factory.mktemp("corpus") / "c", clips=6, speakers=3)


def recipe_file(folder: Path, parts, corpus: Path, **groups) -> Path:
    """A recipe on the tiny parts: two steps."""
    small = {key: SMALL[key] for key in (
        "projector_hidden", "dropout", "lora_rank", "lora_alpha", "lora_dropout", "audio_positions", "audio_tokens",
        "face_tokens", "fusion_tokens", "frames")}
    recipe = {
        "name": "tiny", "model": {"llm": parts["llama"], "audio_encoder": parts["whisper"],
                                  "visual_encoder": parts["face"],
                                  "streams": ["audio", "face", "fusion", "text"], "lora_targets": ["q_proj", "v_proj"],
                                  "face_margin": 0.0, **small, **groups.get("model", {})},
        "data": {"manifests": [str(corpus)], "store_dtype": "float32", **groups.get("data", {})},
        "train": {"output": str(folder / "run"), "max_steps": 2, "batch_size": 1, "alignment_epochs": 2, "threads": 1,
                  "log_every": 1, "evaluate_every": 1, "save_every": 1, "device": "cpu", **groups.get("train", {})}}
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(recipe))  # JSON is YAML
    return path
