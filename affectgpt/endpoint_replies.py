"""What servers of the OpenAI chat protocol send, in the forms that they are known to send it, and what to do about it.

The protocol is read as vLLM, SGLang, llama.cpp, OpenAI, Azure and Mistral speak it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any


def parse_extra(text: str | None, option: str) -> dict[str, Any]:
    """Fields for every request from JSON: {"max_tokens": null, "max_completion_tokens": 256}; null removes a field.

    Args:
        option: how the user gives it, for messages.
    Raises:
        ValueError: no JSON object, or one of the fields that a job makes itself.
    """
    if not text:
        return {}
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{option}: not JSON ({error}); for example '{{\"max_tokens\": null, "
                         "\"max_completion_tokens\": 256}'") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{option}: {type(fields).__name__} is no JSON object; give {{\"FIELD\": VALUE}}, null "
                         "removes a field")
    for name in ("messages", "model", "stream", "n"):
        if name in fields:
            raise ValueError(f"{option}: {name!r} cannot be set or removed: the job makes it, or reads one whole "
                             "answer")
    return fields


def read_content(content: Any) -> tuple[str, str]:
    """(text, refusal) of a message's content: text, or a list of parts of which thoughts are left out.

    Raises:
        TypeError: neither of them.
    """
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        raise TypeError(f"content is a {type(content).__name__}")
    texts, refusals = [], []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") in ("text", "output_text"):
            texts.append(str(part.get("text") or ""))
        elif part.get("type") == "refusal":
            refusals.append(str(part.get("refusal") or "refusal"))
    return "".join(texts), "".join(refusals)


def mean_probability(logprobs: Any) -> float | None:
    """Mean probability of the tokens of a reply; None where the server did not send each of them a number."""
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list) or not tokens:
        return None
    values = [token.get("logprob") if isinstance(token, dict) else None for token in tokens]
    if not all(type(value) in (int, float) and not math.isnan(value) for value in values):
        return None
    return sum(math.exp(min(value, 0.0)) for value in values) / len(values)


def filtered(response) -> bool:
    """Whether an error says that a filter of content stopped the request (Azure and others: HTTP 400 with this
    code)."""
    return any(word in response.data for word in (b"content_filter", b"ResponsibleAIPolicyViolation",
                                                  b"content_policy_violation"))


def advice_of(said: str) -> str:
    """What to do about a request that is not taken, by what servers are known to say."""
    lower = said.lower()
    if re.search(r"at most \d+ (image|video|audio)", lower):
        return ("; the server takes fewer of them in one request: start vLLM with --limit-mm-per-prompt "
                "'{\"image\": 16, \"video\": 1, \"audio\": 1}', or show fewer with --frames")
    if "max_completion_tokens" in lower:
        return "; add --endpoint-extra '{\"max_tokens\": null, \"max_completion_tokens\": 512}'"
    fields = re.search(r"(temperature|top_p|seed|logprobs|top_k|max_tokens)", lower)
    if fields and re.search("unsupported|not support|unrecognized|unknown|unexpected|not permitted|only the default",
                            lower):
        return f"; a field can be removed: --endpoint-extra '{{\"{fields[1]}\": null}}'"
    return ""
