"""What the house rules share: the repository's files, and how a broken rule is told.

A rule is an executable file here. Its docstring is the rule, the why and the way out, and is printed
with the places when the rule is broken.
"""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LADDER = ["base", "storage", "schemas", "ingest", "tools"]


def files(*suffixes, under=None):
    """The repository's own files (tracked or about to be), as paths from its root."""
    listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached",
                             "--others", "--exclude-standard"],
                            cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in sorted(set(listed.split("\0"))):
        path = Path(name)
        if not name or not (ROOT / path).is_file():
            continue
        if under and path.parts[0] not in under:
            continue
        if not suffixes or path.suffix in suffixes:
            yield path


def lines(path):
    return (ROOT / path).read_text(errors="replace").splitlines()


def finish(rule, places):
    """Exit 0 where there are no places, else tell the rule and the places and exit 1."""
    if not places:
        sys.exit(0)
    print(rule.strip())
    for place in places:
        print(f"  {place}")
    sys.exit(1)
