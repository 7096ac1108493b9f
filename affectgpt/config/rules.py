"""What the settings of a recipe must hold together. The range of each is written beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from affectgpt.config.sections import Recipe


def contradictions(recipe: Recipe) -> list[str]:
    """One phrase for each setting that contradicts another; empty where all is well."""
    model, data, train = recipe.model.with_preset(), recipe.data, recipe.train
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
        (model.preset == "published" and model.projector_hidden != 0,
         "model.preset=published has linear projectors; set model.projector_hidden=0"),
        (model.train_encoders and data.cache,
         "model.train_encoders=true changes the features that data.cache=true keeps; set one to false"),
        *_scale_rules(model, data, train),
        (model.lora_targets == [], "model.lora_targets is empty; name modules, or set model.lora_rank=0"),
        (model.attention == "flash_attention_2" and model.dtype == "float32",
         f"model.attention=flash_attention_2 needs model.dtype=bfloat16, but it is {model.dtype}"),
        (model.attention == "flash_attention_2" and train.device == "cpu",
         "model.attention=flash_attention_2 needs a GPU, but train.device=cpu"),
        (data.speed_perturbation and "audio" not in streams,
         "data.speed_perturbation changes the sound, but model.streams has no audio"),
        (data.speed_perturbation and not data.cache,
         "data.speed_perturbation keeps features of each speed, but data.cache=false"),
        (model.projector == "qformer" and model.preset == "affectgpt" and max(model.audio_positions, model.frames) > 64,
         "model.projector=qformer tells 64 positions apart; lower model.audio_positions or model.frames"),
        (model.audio_window_seconds > 30 and "whisper" in str(model.audio_encoder),
         "model.audio_window_seconds is above the 30 s that Whisper hears at once"),
        *_corpora_rules(data),
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


def _corpora_rules(data) -> list[tuple[bool, str]]:
    """Rules about where clips come from."""
    short = data.manifests and "{reader: manifest, root: " + data.manifests[0] + "}"
    rules = [
        (bool(data.manifests and data.corpora),
         "data.manifests and data.corpora both name clips: write data.corpora=[] to take the manifests alone, or "
         f"data.manifests=[] and {short} among data.corpora"),
        (bool(data.corpora) and data.root is not None,
         f"data.root={data.root} belongs to data.manifests: write the folder of each corpus as data.corpora.0.root, "
         "and of a manifest's media as data.corpora.0.options.root"),
        (bool(data.corpora) and not any(corpus.weight for corpus in data.corpora),
         "data.corpora: all weights are 0, so nothing is trained on: one weight must be above 0"),
    ]
    for number, corpus in enumerate(data.corpora):
        key, limits = f"data.corpora.{number}", corpus.valence_range
        rules += [
            (corpus.questions is not None and sum(corpus.questions.values()) <= 0,
             f"{key}.questions asks nothing: one weight must be above 0, or null for data.questions"),
            (limits is not None and not (len(limits) == 2 and limits[0] < limits[1]),
             f"{key}.valence_range={limits} must be two numbers, the lower one first"),
            (not corpus.reader.strip(), f"{key}.reader is empty: name a reader, as affectgpt data list shows them"),
        ]
    return rules


def _scale_rules(model, data, train) -> tuple[tuple[bool, str], ...]:
    """Rules about engines, batches and what is trained."""
    engine, offloads = train.engine, train.offload_optimizer or train.offload_parameters
    return (
        (model.train_llm and model.lora_rank > 0,
         f"model.train_llm=true trains what model.lora_rank={model.lora_rank} adapts; set model.lora_rank=0"),
        (model.encoder_dtype == "bfloat16" and data.cache,
         "model.encoder_dtype=bfloat16, but data.cache=true keeps features, which are computed in float32; set "
         "data.cache=false or model.encoder_dtype=float32"),
        (model.encoder_dtype == "bfloat16" and model.train_encoders,
         "model.encoder_dtype=bfloat16, but model.train_encoders=true trains weights, which are float32; set one of "
         "them"),
        (model.train_llm and model.quantization != "none",
         f"model.train_llm=true, but model.quantization={model.quantization} leaves weights that cannot be trained"),
        (model.quantization != "none" and train.zero_stage == 3,
         f"model.quantization={model.quantization} packs weights that train.zero_stage=3 cannot share out; use 2"),
        (model.quantization != "none" and model.preset == "published",
         f"model.quantization={model.quantization} is not what model.preset=published computes"),
        (model.train_encoders and train.zero_stage == 3,
         "model.train_encoders=true, but with train.zero_stage=3 ranks without a stream would wait for those with it; "
         "use zero_stage 2"),
        (not data.cache and train.zero_stage == 3,
         "data.cache=false runs encoders in each step, but with train.zero_stage=3 ranks without a stream would wait "
         "for those with it; set data.cache=true or use zero_stage 2"),
        (train.alignment_epochs > 0 and not data.cache,
         f"train.alignment_epochs={train.alignment_epochs} would encode every clip anew in each of them with "
         "data.cache=false; set alignment_epochs=0 or cache=true"),
        (data.store is not None and not data.cache,
         f"data.store={data.store} holds features that data.cache=false does not use; set one of them"),
        (train.batching == "packed" and train.pack_tokens == 0,
         "train.batching=packed needs the size of a row: set train.pack_tokens, for example to 8192"),
        (train.batching == "packed" and train.batch_size != 1,
         f"train.batching=packed fills one row, but train.batch_size={train.batch_size}; set it to 1 and choose "
         "train.pack_tokens"),
        (data.questions_together and train.batching != "packed",
         f"data.questions_together=true shares a prompt inside a packed row, but train.batching={train.batching}; set "
         "train.batching=packed"),
        (data.questions_together and model.attention == "flash_attention_2",
         "data.questions_together=true needs attention by branches, which model.attention=flash_attention_2 does not "
         "have; use sdpa or auto"),
        (train.batching != "packed" and train.pack_tokens > 0,
         f"train.pack_tokens={train.pack_tokens} packs, but train.batching={train.batching}; set "
         "train.batching=packed"),
        (train.batching == "packed" and model.attention == "eager",
         "model.attention=eager with train.batching=packed wastes memory on masks; use sdpa or flash_attention_2"),
        (engine == "torch" and (train.zero_stage > 0 or offloads or train.deepspeed_config is not None),
         f"train.engine=torch, but train.zero_stage={train.zero_stage}, offload_optimizer={train.offload_optimizer}, "
         f"offload_parameters={train.offload_parameters}, deepspeed_config={train.deepspeed_config}: these need "
         "train.engine=deepspeed"),
        (engine == "deepspeed" and train.offload_optimizer and train.zero_stage == 0,
         "train.offload_optimizer=true, but train.zero_stage=0 keeps the whole optimizer on the device; use 1, 2 or 3"),
        (engine == "deepspeed" and train.offload_parameters and train.zero_stage != 3,
         f"train.offload_parameters=true, but train.zero_stage={train.zero_stage} keeps all weights on the device; "
         "use 3"),
    )
