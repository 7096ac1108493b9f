"""A local Hugging Face causal LM that answers conversations in batches.

Shapes: B conversations, S tokens of the longest, padded on the left.
"""

from __future__ import annotations

import hashlib
import re

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from affectgpt import hub
from affectgpt.errors import quiet_libraries
from affectgpt.models.control_tokens import ControlTokens

_HOLE = "\u2063{}\u2063"  # stands for a message while the chat template is rendered


class LocalChat:
    """A loaded model with its tokenizer.

    Args:
        source: folder, hub id or starter name, as `hub.locate` takes them.
        device: "auto", "cpu" or "cuda".
        option: what the source was given as, for messages.
    Raises:
        ValueError: no causal LM can be read there.
    """

    def __init__(self, source: str, device: str = "auto", option: str = "--llm"):
        quiet_libraries()
        folder = hub.locate(source, option)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self.model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to(device).eval()
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{option}: no causal LM can be loaded from {source} ({error})") from error
        self.control_tokens = ControlTokens(self.tokenizer)
        eos = self.tokenizer.eos_token_id
        self.pad_id = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else eos or 0
        self.longest = getattr(self.model.config, "max_position_embeddings", None) or 1 << 30

    def encode(self, messages: list[dict[str, str]]) -> list[int]:
        """Ids of a conversation up to where the answer starts. Control tokens come from the template alone."""
        rendered = self._render([message | {"content": _HOLE.format(index)} for index, message in enumerate(messages)])
        contents = {_HOLE.format(index): message["content"] for index, message in enumerate(messages)}
        begin = self.tokenizer.bos_token_id if self.tokenizer.chat_template is None else None
        ids, text = [] if begin is None else [begin], ""
        for part in re.split("(" + "|".join(map(re.escape, contents)) + ")", rendered):
            if part in contents:
                text += contents[part]
                continue
            for piece in self.control_tokens.split(part):
                if piece in self.control_tokens.ids:
                    ids += [*self.control_tokens.plain(text), self.control_tokens.ids[piece]]
                    text = ""
                else:
                    text += piece  # neighbouring texts are joined first, so that words merge as in one string
        return ids + self.control_tokens.plain(text)

    def _render(self, messages: list[dict[str, str]]) -> str:
        import jinja2

        if self.tokenizer.chat_template is None:  # a base model goes on with a transcript
            titles = {"system": "", "user": "Text: ", "assistant": "Answer: "}
            return "\n".join(titles[message["role"]] + message["content"] for message in messages) + "\nAnswer:"
        options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
        try:
            return self.tokenizer.apply_chat_template(messages, **options)
        except jinja2.TemplateError:  # a template that knows no system message
            first, second, *rest = messages
            joined = second | {"content": f"{first['content']}\n\n{second['content']}"}
            return self.tokenizer.apply_chat_template([joined, *rest], **options)

    def answer(self, conversations: list[list[dict[str, str]]], max_tokens: int, decoding) -> list[str]:
        """Texts [B] for conversations [B]; the oldest tokens of one that is too long for the model are left out.

        decoding: `llm.Decoding`; a sampled answer depends on its seed and its own conversation, where B is 1.
        """
        rows = [self.encode(messages)[-max(1, self.longest - max_tokens):] for messages in conversations]
        width = max(map(len, rows))
        ids = torch.tensor([[self.pad_id] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        options = {"max_new_tokens": max_tokens, "pad_token_id": self.pad_id, "do_sample": False, "temperature": None,
                   "top_p": None, "top_k": None, "repetition_penalty": decoding.repetition_penalty}
        if decoding.temperature > 0:
            options |= {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}
            own = hashlib.sha256(repr(rows).encode()).digest()
            torch.manual_seed(decoding.seed + int.from_bytes(own[:6], "big"))
        device = self.model.device
        with torch.inference_mode():
            produced = self.model.generate(input_ids=ids.to(device), attention_mask=mask.to(device), **options)
        return [text.strip() for text in self.tokenizer.batch_decode(produced[:, width:], skip_special_tokens=True)]
