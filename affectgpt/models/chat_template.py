"""A user's message in an LLM's own chat template, whatever that template asks for; checked when it is rendered."""

from __future__ import annotations

HOLE = "AffectGPTUserMessage"
"""Stands for the user's message while a template is rendered; letters alone, which no template escapes."""

DAY = {"%d": "26", "%-d": "26", "%b": "Jul", "%B": "July", "%m": "07", "%Y": "2024", "%y": "24", "%a": "Fri",
       "%A": "Friday", "%H": "12", "%I": "12", "%M": "00", "%S": "00", "%p": "PM", "%Z": "UTC", "%z": "+0000",
       "%F": "2024-07-26", "%T": "12:00:00"}
"""The day that Llama's templates fall back to. Templates that print today's would give other tokens every day."""

THINKING = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<|START_THINKING|>", "<|END_THINKING|>"),
            ("[THINK]", "[/THINK]"), ("<seed:think>", "</seed:think>"), ("<|think_start|>", "<|think_end|>"))
"""Marks around what an LLM thinks before it answers."""


def render(tokenizer, system: str, name: str) -> tuple[str, str]:
    """The text before and after the user's message, up to where the answer begins.

    The system message is a turn of its own; where a template has none, it opens the user's message. Content is given
    as text, or as a list of parts to a template that asks for one. The answer begins outside of any thinking.

    Args:
        name: of the LLM, for messages.
    Raises:
        ValueError: no chat template, or one that does not show both messages once.
    """
    try:
        template = tokenizer.get_chat_template()
    except (ValueError, AttributeError) as error:
        raise ValueError(f"model.llm={name} has no chat template, so there is no way to ask it a question: take its "
                         "instruct (chat) version, or model.preset=published, which needs none") from error
    if "strftime_now" in template:
        text = "format" + "".join(f" | replace('{code}', '{value}')" for code, value in DAY.items())
        template = "{%- macro strftime_now(format) -%}{{ " + text + " }}{%- endmacro -%}" + template
    reasons = []
    for as_parts in (False, True):
        for own_turn in (True, False):
            turns = [("system", system), ("user", HOLE)] if own_turn else [("user", f"{system}\n\n{HOLE}")]
            messages = [{"role": role, "content": [{"type": "text", "text": text}] if as_parts else text}
                        for role, text in turns]
            try:
                rendered = tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True, chat_template=template,
                    date_string="26 Jul 2024", enable_thinking=False, thinking=False)
            except Exception as error:  # a template raises what it likes: Jinja's errors, TypeError, ...
                reasons.append(str(error))
                continue
            if rendered.count(HOLE) == rendered.count(system) == 1 and rendered.index(system) < rendered.index(HOLE):
                before, after = rendered.split(HOLE)
                return before, _thought(after)
            reasons.append("a message is not shown, or shown twice")
    raise ValueError(f"model.llm={name}: its chat template does not show a system message and a user's message once "
                     f"each ({'; '.join(dict.fromkeys(reasons))}): take another LLM, or model.preset=published, which "
                     "needs no template")


def _thought(after: str) -> str:
    """Thinking that a template begins is ended at once: answers are taught without it."""
    for start, end in THINKING:
        if after.rfind(start) > after.rfind(end):
            return f"{after.rstrip()}\n\n{end}\n\n"
    return after
