"""`affectgpt vllm`: answers of a model from a vLLM server: it computes the LLM, encoders and projectors run here.

    affectgpt vllm export runs/mine/model --to llm/
    vllm serve llm/ --served-model-name mine --enable-prompt-embeds
    affectgpt vllm describe clips/ --model runs/mine/model --url http://127.0.0.1:8000/v1 --served mine

A server takes embeddings of a prompt (`prompt_embeds` of its completions protocol) where it was started so: base64 of a
tensor [S tokens, H LLM width] as torch.save writes it, with the chat template inside. It reads them with torch.load, so
start it so for people you trust, as its own documentation says.
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
from pathlib import Path
from typing import Any

from affectgpt.terminal import json_line, printable


def main(arguments: list[str]) -> int:
    """Parse the command line; export an LLM, or describe files through a server."""
    parser = argparse.ArgumentParser(prog="affectgpt vllm", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="action", required=True)
    export = verbs.add_parser("export", help="the LLM with LoRA added, as a plain folder that servers take")
    export.add_argument("model", help="a model folder")
    export.add_argument("--to", required=True, metavar="DIR")
    export.add_argument("--force", action="store_true", help="replace an earlier export")
    describe = verbs.add_parser("describe", help="describe files, the LLM computed by a server")
    describe.add_argument("files", nargs="+", metavar="FILE")
    describe.add_argument("--model", required=True, help="the model folder that the served LLM was exported from")
    describe.add_argument("--url", required=True, help="http://host:port/v1")
    describe.add_argument("--served", required=True, metavar="NAME", help="what the server calls the LLM")
    describe.add_argument("--subtitle", help="the words spoken in every FILE, '' for none; else they are recognised")
    describe.add_argument("--max-new-tokens", type=int, metavar="N")
    for one in (export, describe):
        one.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    from affectgpt.errors import quiet_libraries

    quiet_libraries()
    if options.action == "export":
        export_llm(options.model, options.to, options.force)
        print(f"{options.to}: the LLM of {options.model}\nnext:  vllm serve {options.to} --served-model-name NAME "
              "--enable-prompt-embeds")
        return 0
    return _describe(options)


def export_llm(model: str | Path, to: str | Path, overwrite: bool = False) -> None:
    """Write the LLM of a model folder, LoRA added, with its tokenizer: a Hugging Face folder of its own family.

    Raises:
        ValueError: no finished model, or `to` exists and is not to be replaced.
    """
    from affectgpt.files import atomic_folder
    from affectgpt.inference import Describer

    if Path(to).exists() and not overwrite:
        raise ValueError(f"--to {to}: exists already; --force replaces it")
    describer = Describer(model, "cpu")
    with atomic_folder(to, overwrite=overwrite) as folder:
        describer.model.language_model.save_pretrained(folder)
        describer.processor.tokenizer.save_pretrained(folder)


def prompt_embeddings(describer, inputs, question: str):
    """Embeddings of a whole prompt [S, H], streams in place, in the number format of the LLM.

    Args:
        describer: `inference.Describer`.
        inputs: of a clip (`data.reading.load_clip`).
    """
    import torch

    batch = describer.processor.collate([describer.processor.inference_sample(inputs, question)], side="left")
    batch = {key: value.to(describer.model.device) for key, value in batch.items()}
    del batch["attention_mask"]
    with torch.inference_mode():
        embeddings = describer.model.embed(**batch)[0]
    return embeddings.to(describer.model.dtype_of_llm).cpu().clone()


def request_fields(describer, embeddings, max_new_tokens: int | None = None) -> dict[str, Any]:
    """Fields of a completions request, beside the model's name: greedy, ending where the model's answers end."""
    import torch

    buffer = io.BytesIO()
    torch.save(embeddings, buffer)
    options = describer.processor.generation_options(max_new_tokens)
    fields = {"prompt": "", "prompt_embeds": base64.b64encode(buffer.getvalue()).decode("ascii"), "temperature": 0.0,
              "max_tokens": options["max_new_tokens"], "stop_token_ids": options["eos_token_id"]}
    if "stop_strings" in options:
        fields["stop"] = options["stop_strings"]
    return fields


def _describe(options: argparse.Namespace) -> int:
    from affectgpt.data import prompts, reading
    from affectgpt.data.clip import Clip
    from affectgpt.endpoint import Endpoint, Refused
    from affectgpt.inference import Describer
    from affectgpt.media import MediaError
    from affectgpt.media.finding import search

    endpoint = Endpoint(options.url, options.served)
    found = search(options.files)
    describer, failed = Describer(options.model), len(found.unusable)
    for path, reason in found.unusable:
        print(f"error: {printable(f'{path}: {reason}')}", file=sys.stderr)
    question = prompts.question_of("description", describer.processor.config.prompt_style)
    for file in found.files:
        try:
            inputs = reading.load_clip(describer.processor, Clip(str(file), media=file, words=options.subtitle),
                                       transcribe=True)
            embeddings = prompt_embeddings(describer, inputs, question)
            reply = endpoint.complete(**request_fields(describer, embeddings, options.max_new_tokens))
        except (MediaError, Refused) as error:
            failed += 1
            print(f"error: {printable(f'{file}: {error}')}", file=sys.stderr, flush=True)
            continue
        answer = prompts.parse_answer(reply.text.strip(), reply.finish_reason == "length")
        print(json_line({"file": str(file), "description": answer.description, "labels": list(answer.labels),
                         "polarity": answer.polarity, "words": inputs.words,
                         "finish_reason": reply.finish_reason}), flush=True)
    return 2 if failed else 0
