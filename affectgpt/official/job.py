"""`affectgpt convert`: an official checkpoint becomes an ordinary model folder, or a model folder an official one.

    affectgpt convert checkpoint_000060_loss_0.300.pth --to official/
    affectgpt convert official/ --to back.pth

Every tensor of the file is mapped by one table, strictly: nothing missing, nothing left over, every shape held against
the parts that are named. The kinds of projector and pre-fusion, tokens of Q-Formers and LoRA's rank are read from the
tensors. The folder names its base parts; their weights are needed when it is used, not to convert.
"""

from __future__ import annotations

import argparse
from pathlib import Path

LLM, AUDIO, VISION = "Qwen/Qwen2.5-7B-Instruct", "TencentGameMate/chinese-hubert-large", "openai/clip-vit-large-patch14"
"""Base parts of the published checkpoints."""


def main(arguments: list[str]) -> int:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(prog="affectgpt convert", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="FILE.pth|FOLDER", help="an official checkpoint, or a model folder")
    parser.add_argument("--to", required=True, metavar="PATH", help="folder to make; of a FOLDER the .pth file to make")
    parser.add_argument("--llm", default=LLM, help=f"hub id or folder of the LLM (default: {LLM})")
    parser.add_argument("--audio", default=AUDIO, help=f"of the audio encoder (default: {AUDIO})")
    parser.add_argument("--vision", default=VISION, help=f"of the visual encoder (default: {VISION})")
    parser.add_argument("--tokens", type=int, default=None, metavar="K", help="tokens of each stream, where projectors "
                        "are no Q-Formers (default: 1, which the file cannot say)")
    parser.add_argument("--qformer-heads", type=int, default=12, metavar="N",
                        help="attention heads of Q-Formers, which the file cannot say either (default: 12)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"),
                        help="what the folder's LLM computes in: float32 gives the official numbers to 5e-7, the "
                        "others take half of the memory (default: float32)")
    parser.add_argument("--force", action="store_true", help="replace what is at --to")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if Path(options.source).is_dir():
        return _back(options)
    if Path(options.to).exists() and not options.force:  # told before anything is read
        raise ValueError(f"--to {options.to}: exists already; --force replaces it, or choose another name")
    from affectgpt.errors import quiet_libraries

    quiet_libraries()
    from affectgpt.models.streams import MEDIA_STREAMS
    from affectgpt.official.checkpoint import convert, official_config, read_official_checkpoint

    values = {"llm": options.llm, "audio_encoder": options.audio, "visual_encoder": options.vision,
              "qformer_heads": options.qformer_heads}
    if options.tokens is not None:
        found = official_config(read_official_checkpoint(options.source))
        if found.projector == "qformer":
            raise ValueError(f"--tokens {options.tokens}: this checkpoint has Q-Formers, whose tensors say how many "
                             f"({found.audio_tokens}); leave it out")
        values |= {f"{stream}_tokens": options.tokens for stream in MEDIA_STREAMS}
        if found.fusion != "qformer":
            values["fusion_tokens"] = options.tokens
    model = convert(options.source, options.to, options.force, options.dtype, **values)
    config = model.config
    print(f"{options.source}: projector {config.projector}, pre-fusion {config.fusion}, LoRA of rank "
          f"{config.lora_rank}; tokens of audio {config.audio_tokens}, face {config.face_tokens}, fusion "
          f"{config.fusion_tokens}")
    for part, frozen, trained in model.part_sizes():
        print(f"  {part:<16}{trained or frozen:>15,} {'from the file' if trained else 'of its base'}")
    trained = sum(trained for *_, trained in model.part_sizes())
    print(f"  {'in all':<16}{trained:>15,} from the file; see official.json for each tensor\n"
          f"\nmodel: {options.to}\nnext:  affectgpt describe CLIP --model {options.to}")
    return 0


def _back(options: argparse.Namespace) -> int:
    from affectgpt.errors import quiet_libraries

    quiet_libraries()
    from affectgpt.official.checkpoint import convert_back

    count = convert_back(options.source, options.to, options.force)
    print(f"{options.to}: {count} tensors by their official names")
    return 0
