"""Text from outside must never become a control token: the one place that knows a tokenizer's control tokens."""

from __future__ import annotations

import re


class ControlTokens:
    """The added tokens of a tokenizer, and text encoded without them.

    Attributes:
        ids: spelling -> id.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.ids: dict[str, int] = {token.content: index for index, token in tokenizer.added_tokens_decoder.items()}
        self._all = frozenset(self.ids.values())  # `added_tokens_decoder` builds a dict each time it is asked
        names = sorted(self.ids, key=len, reverse=True)
        self._pattern = re.compile("(" + "|".join(map(re.escape, names)) + ")") if names else None
        self._backend = tokenizer.backend_tokenizer if getattr(tokenizer, "is_fast", False) else None

    def split(self, text: str) -> list[str]:
        """Text cut so that every spelling of a control token is a part of its own; empty parts are left out."""
        return [part for part in (self._pattern.split(text) if self._pattern else [text]) if part]

    def plain(self, text: str) -> list[int]:
        """Ids of text in which nothing is a control token, whatever it looks like."""
        ids = self.encode(text) if text else []
        if not self._all.isdisjoint(ids):
            # Added tokens that a tokenizer does not call special are still matched whole: break their spelling.
            ids = []
            for part in self.split(text):
                for piece in [part[:1], part[1:]] if part in self.ids else [part]:
                    ids += self.encode(piece) if piece else []
        return ids

    def encode(self, text: str) -> list[int]:
        """Ids of text; spellings of special tokens are text, other added tokens are not."""
        backend = self._backend
        if backend is None or backend.truncation is not None or backend.padding is not None:
            return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        # What the line above comes to, in a third of its time.
        backend.encode_special_tokens = True
        return backend.encode(text, add_special_tokens=False).ids
