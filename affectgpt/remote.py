"""Models that are named by hub id: whether they can be had, found out at once and said with the setting that named
them.

The libraries that load them try a hub that does not answer for minutes, file by file, and name neither.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from functools import lru_cache
from pathlib import Path

TIMEOUT = 4.0
"""Seconds for a hub to answer a first question."""


def check(name: str, setting: str, weights: bool = True) -> None:
    """Raise ValueError where a hub id can neither be read from the cache nor fetched.

    Where no hub answers and the cache has all of it, the libraries are told to ask no hub in this process.

    Args:
        setting: what named the model, for the message: "model.llm", "--llm".
        weights: whether more than its configuration is needed.
    """
    from huggingface_hub import constants

    whole = is_cached(name, weights)
    if constants.HF_HUB_OFFLINE:
        if not whole:
            raise ValueError(f"{setting}={name}: not in the cache ({constants.HF_HUB_CACHE}), and HF_HUB_OFFLINE is "
                             "set; give a local folder")
        return
    answered, reason = _ask(name)
    if answered and not reason:
        return
    if whole:
        print(f"note: {setting}={name} is taken from the cache: {reason}", file=sys.stderr, flush=True)
        constants.HF_HUB_OFFLINE = True
    elif answered:
        raise ValueError(f"{setting}={name}: {reason}; check the name, log in with `hf auth login` if it is private or "
                         "gated, or give a local folder")
    else:
        raise ValueError(f"{setting}={name}: not in the cache and no hub is reachable ({reason}); give a local folder")


def is_cached(name: str, weights: bool = True) -> bool:
    """Whether the cache has a model's configuration, and all files of its weights."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    if not isinstance(found, str):
        return False
    folder = Path(found).parent
    if not weights or any((folder / f"{stem}").is_file() for stem in ("model.safetensors", "pytorch_model.bin")):
        return True
    for index in (folder / "model.safetensors.index.json", folder / "pytorch_model.bin.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if shards and all((folder / str(shard)).is_file() for shard in shards):
            return True
    return False


@lru_cache(maxsize=None)
def _ask(name: str) -> tuple[bool, str]:
    """(whether a hub answered, what is wrong; "" where it has the model). Takes no longer than twice `TIMEOUT`."""
    result: list[tuple[bool, str]] = []
    # Looking up a host's name knows no timeout, so the question is asked beside this thread.
    asking = threading.Thread(target=lambda: result.append(_question(name)), daemon=True)
    asking.start()
    asking.join(2 * TIMEOUT)
    return result[0] if result else (False, f"no answer within {2 * TIMEOUT:.0f} s")


def _question(name: str) -> tuple[bool, str]:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        found = get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=TIMEOUT)
    except GatedRepoError:
        return True, "the hub gives it to those alone who have accepted its terms"
    except RepositoryNotFoundError:
        return True, "the hub has no such model, or it is private"
    except EntryNotFoundError:
        return True, "the hub has no config.json of it"
    except HfHubHTTPError as error:
        return False, f"HTTP {getattr(getattr(error, 'response', None), 'status_code', 'error')}"
    except Exception as error:  # of whatever library asks: no connection, a proxy that refuses, no certificate
        return False, type(error).__name__
    # A portal that asks for a login answers anything with a page of its own.
    return (True, "") if found.commit_hash else (False, "what answers is no hub")
