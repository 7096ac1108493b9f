"""How each family of other people's models is asked: one row a model type of transformers, and one default.

What a family was trained on is what it is asked with: `video` parts with the times of their frames, sound and pictures
of one clip interleaved by time, and of models that also speak only the part that writes text. The rows were written
from the processors of transformers 5.23 and are tested with tiny random models of the same classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """How one model type is asked.

    `video`: pictures of a clip go in as one `video` part; else as so many `image` parts. `rate`: its processor is told
    frames a second ("fps"), because it reads no times of frames. `aligned`: sound and video of a clip are one part,
    interleaved by time. `thinker`: the model also speaks; its thinker alone is loaded and asked. `batches`: several
    clips can share a batch; their inputs are joined as `chat_inputs.join` does it.
    """

    video: bool = True
    rate: bool = False
    aligned: bool = False
    thinker: bool = False
    batches: bool = True


DEFAULT = Family()
_OMNI = Family(rate=True, aligned=True, thinker=True)
_THINKER = Family(rate=True, aligned=True)
FAMILIES: dict[str, Family] = {
    "qwen2_vl": DEFAULT,
    "qwen2_5_vl": DEFAULT,
    "qwen3_vl": DEFAULT,
    "qwen3_vl_moe": DEFAULT,
    "qwen2_5_omni": _OMNI,
    "qwen3_omni_moe": _OMNI,
    "qwen2_5_omni_thinker": _THINKER,  # a thinker that was saved alone
    "qwen3_omni_moe_thinker": _THINKER,
    "internvl": DEFAULT,
    "llava_onevision": DEFAULT,
    "video_llama_3": DEFAULT,
    # Its processor flattens the patches of a batch into rows of its own kind: one clip at a time.
    "minicpmv4_6": Family(batches=False),
    "minicpmv4_7": Family(batches=False),
}
"""Model type -> how it is asked; any other type is asked as `DEFAULT`."""

NATIVE = {
    "internvl_chat": "OpenGVLab/InternVL3-8B-hf (the same weights for transformers' own class; likewise InternVL2_5 "
                     "and InternVL3_5, whose names end in -hf)",
    "videollama3_qwen2": "lkhl/VideoLLaMA3-7B-Image-HF (for transformers' own class video_llama_3)",
    "minicpmv": "openbmb/MiniCPM-V-4.6 (the first MiniCPM-V with a class of transformers)",
    "minicpmo": "openbmb/MiniCPM-V-4.6 (the first MiniCPM-V with a class of transformers)",
    "llava_qwen": "llava-hf/llava-onevision-qwen2-7b-ov-hf",
    "llava_llama": "llava-hf/llava-1.5-7b-hf",
    "llava_mistral": "llava-hf/llava-v1.6-mistral-7b-hf",
}
"""Model type of a folder that needs its own code -> the folder of the same model that does not."""

OWN_LAYOUTS = {"LlavaQwenForCausalLM": "llava_qwen", "LlavaLlamaForCausalLM": "llava_llama",
               "LlavaMistralForCausalLM": "llava_mistral"}
"""Classes of the LLaVA code, whose folders call themselves a type that transformers knows but lay it out otherwise."""

_SEES = re.compile(r"(mm_)?(vision|visual|vit|image|video)_?(config|model|tower|encoder|backbone)?\w*", re.IGNORECASE)
_HEARS = re.compile(r"(mm_)?(audio|speech|sound)_?(config|model|tower|encoder|backbone)?\w*", re.IGNORECASE)
_PARTS = ("config", "tower", "encoder", "backbone")


def family_of(model_type: str | None) -> Family:
    """The row of a model type; `DEFAULT` where it has none."""
    return FAMILIES.get(model_type or "", DEFAULT)


def check_folder(config: dict[str, Any], name: str, known: bool, trust: bool) -> None:
    """Refuse a folder that transformers has no class for.

    Args:
        config: its config.json.
        known: whether transformers has a class for its model type.
        trust: whether the user lets its own code run.
    Raises:
        ValueError: says which folder to take instead, where one is known.
    """
    kind = config.get("model_type")
    own = next((OWN_LAYOUTS[word] for word in config.get("architectures") or () if word in OWN_LAYOUTS), None)
    kind, known = (own, False) if own else (kind, known)
    if known or not kind or trust and kind not in NATIVE:
        return
    advice = f"use {NATIVE[kind]}" if kind in NATIVE else "look for a folder of the same model whose name ends in -hf"
    code = "" if kind in NATIVE else "; or, where it brings its own code, read it, then add --trust-remote-code"
    where = "answers through the code that it brings (`chat`), not as a Hugging Face chat model" if kind in NATIVE \
        else "is none that transformers has a class for"
    raise ValueError(f"hf:{name}: a {kind!r} model {where}: {advice}{code}; or serve it with its own code and ask "
                     "endpoint:URL#NAME")


def senses(config: dict[str, Any]) -> set[str]:
    """"sees" and "hears", as the parts of a model's config.json say it: what takes pictures, what takes sound."""
    found: set[str] = set()
    for key, value in config.items():
        if key in ("talker_config", "token2wav_config", "code2wav_config", "auto_map"):  # parts that speak
            continue
        part = key.lower().startswith("mm_") and isinstance(value, str) \
            or isinstance(value, dict) and any(word in key.lower() for word in _PARTS)
        if part and _SEES.fullmatch(key):
            found.add("sees")
        elif part and _HEARS.fullmatch(key):
            found.add("hears")
        elif isinstance(value, dict) and key.endswith("_config"):
            found |= senses(value)
    return found


def check_senses(config: dict[str, Any], able: set[str], name: str, processor: str) -> None:
    """Refuse a folder whose model takes what its processor cannot give it: it would be asked with words alone.

    Args:
        able: of "sees" and "hears", what its processor can.
        processor: name of the class that was found.
    Raises:
        ValueError: names what is missing.
    """
    missing = senses(config) - able
    if missing:
        words = " and ".join({"sees": "pictures", "hears": "sound"}[sense] for sense in sorted(missing, reverse=True))
        kind = config.get("model_type")
        advice = f"use {NATIVE[kind]}" if kind in NATIVE else \
            "use the folder of this model that is made for transformers (its name often ends in -hf), or add the " \
            "missing preprocessor_config.json, processor_config.json or video_preprocessor_config.json"
        raise ValueError(f"hf:{name}: its config.json has parts for {words}, and what transformers finds to prepare "
                         f"them is a {processor}, which takes none: it would be asked without them, and that would be "
                         f"no fair answer. {advice[0].upper()}{advice[1:]}")
