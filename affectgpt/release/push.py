"""`affectgpt push`: a released folder to a model hub; what would be sent is shown, and nothing is, until --yes.

    affectgpt push release/ --repo me/affectgpt-mine
    affectgpt push release/ --repo me/affectgpt-mine --private --yes
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def main(arguments: list[str]) -> int:
    """Parse the command line; show or send."""
    parser = argparse.ArgumentParser(prog="affectgpt push", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="a released folder")
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME", help="where to")
    parser.add_argument("--private", action="store_true", help="make the repository private, where it is new")
    parser.add_argument("--message", default="Release", help="of the commit")
    parser.add_argument("--yes", action="store_true", help="send; without it nothing leaves this machine")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if not _REPO.fullmatch(options.repo):
        raise ValueError(f"--repo {options.repo}: write OWNER/NAME")
    from affectgpt.release import manifest

    folder = Path(options.folder)
    found = list(manifest.problems(folder))
    if found:
        raise ValueError(f"{folder}: is not as it was released, and is not sent: {'; '.join(found[:4])}")
    names = [*manifest.read_manifest(folder), manifest.NAME]
    total = sum((folder / name).stat().st_size for name in names)
    for name in names:
        print(f"  {manifest.size_text((folder / name).stat().st_size):>10}  {name}")
    if not options.yes:
        print(f"{len(names)} files, {manifest.size_text(total)}, would go to {options.repo} "
              f"({'private' if options.private else 'public'}). Nothing was sent; --yes sends")
        return 0
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        api.create_repo(options.repo, private=options.private, exist_ok=True)
        sent = api.upload_folder(repo_id=options.repo, folder_path=str(folder), commit_message=options.message,
                                 allow_patterns=names)
    except (HfHubHTTPError, OSError) as error:
        raise ValueError(f"{options.repo}: the hub did not take it ({error}); log in with `hf auth login`, and run the "
                         "same command again: files that are there already are not sent twice") from error
    print(f"{len(names)} files, {manifest.size_text(total)}: {getattr(sent, 'commit_url', sent)}")
    return 0
