"""What the settings of a recipe must hold, alone and together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import Recipe

_AT_LEAST_ONE = (
    "model.audio_tokens", "model.face_tokens", "model.frame_tokens", "model.fusion_tokens", "model.frames",
    "model.audio_positions", "model.words_max_tokens", "train.batch_size",
    "train.accumulation", "train.keep_checkpoints", "train.log_every",
)
_AT_LEAST_ZERO = (
    "model.projector_hidden", "model.lora_rank", "data.workers", "model.feature_noise", "train.weight_decay",
    "train.clip_norm", "train.seed", "train.evaluate_every", "train.save_every", "train.alignment_epochs",
    "train.alignment_weight", "train.threads",
)
_ABOVE_ZERO = (
    "model.audio_window_seconds", "model.lora_alpha", "train.epochs", "train.learning_rate",
    "train.projector_learning_rate", "train.alignment_learning_rate",
)
_BELOW_ONE = ("model.dropout", "model.lora_dropout", "data.modality_dropout", "data.text_dropout",
              "data.max_skip_ratio", "train.warmup_ratio")


def problems_of(recipe: Recipe) -> list[str]:
    """One phrase for each setting that is out of range or contradicts another; empty where all is well."""
    return [*_out_of_range(recipe), *_contradictions(recipe)]


def _out_of_range(recipe: Recipe) -> list[str]:
    rules = (
        (_AT_LEAST_ONE, lambda value: value >= 1, "must be at least 1"),
        (_AT_LEAST_ZERO, lambda value: value >= 0, "must not be negative"),
        (_ABOVE_ZERO, lambda value: value > 0, "must be above 0"),
        (_BELOW_ONE, lambda value: 0 <= value < 1, "must be at least 0 and below 1"),
        (("train.max_steps",), lambda value: value == -1 or value >= 1, "must be -1 or at least 1"),
    )
    problems = []
    for keys, holds, demand in rules:
        for key in keys:
            group, name = key.split(".")
            value = getattr(getattr(recipe, group), name)
            if not holds(value):
                problems.append(f"{key}={value} {demand}")
    return problems


def _contradictions(recipe: Recipe) -> list[str]:
    model, data, train = recipe.model, recipe.data, recipe.train
    streams, weights = set(model.streams), data.questions.values()
    visual = sorted(streams & {"face", "frame", "fusion"})
    splits = [data.train_split, data.validation_split, data.test_split]
    rules = (
        (not streams, "model.streams is empty: name at least one of audio, face, frame, fusion, text"),
        (len(model.streams) > len(streams), "model.streams names a stream twice"),
        (streams & {"audio", "fusion"} and model.audio_encoder is None,
         "model.streams has audio or fusion, but model.audio_encoder is null"),
        (visual and model.visual_encoder is None,
         f"model.streams has {', '.join(visual)}, but model.visual_encoder is null"),
        (model.fusion != "none" and not {"audio", model.fusion_visual} <= streams,
         f"model.fusion={model.fusion} merges audio and {model.fusion_visual}, but model.streams does not "
         "have both; add them or set model.fusion=none"),
        (model.fusion != "none" and "fusion" not in streams,
         f"model.fusion={model.fusion}, but model.streams has no fusion; add it or set model.fusion=none"),
        (model.fusion == "none" and "fusion" in streams,
         "model.streams has fusion, but model.fusion=none; remove it or choose a fusion"),
        # The usual value is left to the preset (train/sft.py: model_config).
        (model.preset == "published" and model.projector_hidden not in (0, type(model)().projector_hidden),
         "model.preset=published has linear projectors; set model.projector_hidden=0"),
        (model.train_encoders and data.cache,
         "model.train_encoders=true changes the features that data.cache=true keeps; set one to false"),
        (model.lora_targets == [], "model.lora_targets is empty; name modules, or set model.lora_rank=0"),
        (model.attention == "flash_attention_2" and model.dtype == "float32",
         "model.attention=flash_attention_2 needs model.dtype=bfloat16"),
        (model.attention == "flash_attention_2" and train.device == "cpu",
         "model.attention=flash_attention_2 needs a GPU, but train.device=cpu"),
        (any(weight < 0 for weight in weights), "data.questions has a negative weight"),
        (any(not 0.5 <= speed <= 2 for speed in data.speed_perturbation),
         "data.speed_perturbation must hold speeds from 0.5 to 2"),
        (data.speed_perturbation and "audio" not in streams,
         "data.speed_perturbation changes the sound, but model.streams has no audio"),
        (data.speed_perturbation and not data.cache,
         "data.speed_perturbation keeps features of each speed, but data.cache=false"),
        (model.projector == "qformer" and model.preset == "affectgpt" and max(model.audio_positions, model.frames) > 64,
         "model.projector=qformer tells 64 positions apart; lower model.audio_positions or model.frames"),
        (model.audio_window_seconds > 30 and "whisper" in str(model.audio_encoder),
         "model.audio_window_seconds is above the 30 s that Whisper hears at once"),
        (sum(weights) <= 0, "data.questions asks nothing: one weight must be above 0"),
        (len(set(splits)) < 3, "data.train_split, data.validation_split and data.test_split must differ"),
        (data.transcribe and "text" not in streams,
         "data.transcribe=true makes words that nobody reads: model.streams has no text"),
        (bool(train.evaluate_every) != bool(train.save_every)
         or (train.evaluate_every > 0 and train.save_every % train.evaluate_every > 0),
         "train.save_every must be a multiple of train.evaluate_every, or both 0: "
         "a checkpoint is chosen by its validation loss"),
        (not train.output.strip(), "train.output is empty: name a folder"),
    )
    return [message for broken, message in rules if broken]
