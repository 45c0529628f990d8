"""Which files of a commit an image is made of, read from its Dockerfile.

The COPY lines are the import closure of the service: a test refuses a Dockerfile that copies a module too many or
too few. They also name its lock and its templates, which no import does.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from scripts.history.git import Git

_SERVICE = re.compile(r"apps/(?P<image>[a-z][a-z0-9-]*)/Dockerfile")
_TRAINING = {"training": "ml/Dockerfile"}
_IGNORED = ".dockerignore"
_READS_NO_FILE = frozenset(
    {"ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"}
    | {"SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
_NOT_PLAIN = re.compile(r"""[\[\]*?$'"`\\<]""")
_LINK = "120000"

Sources = dict[str, str]


def dockerfiles(git: Git, commit: str) -> dict[str, str]:
    """Image name to the path of its Dockerfile, for every image of a commit."""
    tree = _tree(git, commit)
    services = {match["image"]: match[0] for match in map(_SERVICE.fullmatch, tree) if match}
    return dict(sorted(services.items())) | {k: path for k, path in _TRAINING.items() if path in tree}


def sources(git: Git, commit: str, dockerfile: str) -> Sources:
    """Path to `<mode> <blob>` of every file that can change the image.

    Where a Dockerfile cannot be followed to the last file, that is every file of the commit: an image may be built
    in vain, but is never left as it was.
    """
    tree = _tree(git, commit)
    copied = _copied((git.read(commit, dockerfile) or b"").decode(errors="replace"))
    if copied is None or not all(_is_plain(tree, path) for path in copied):
        return tree
    wanted = {dockerfile, _IGNORED, *copied}
    return {path: entry for path, entry in tree.items() if wanted.intersection(_with_folders(path))}


def changed_images(git: Git, base: str | None, head: str) -> dict[str, str]:
    """Images of `head`, with their Dockerfile, that `base` makes of other files; all of them without a base."""
    return {
        image: dockerfile
        for image, dockerfile in dockerfiles(git, head).items()
        if base is None or sources(git, base, dockerfile) != sources(git, head, dockerfile)
    }


def _tree(git: Git, commit: str) -> Sources:
    listing = git.run("ls-tree", "-rz", commit).decode(errors="surrogateescape")
    entries = (entry.partition("\t") for entry in listing.split("\0") if entry)
    return {path: " ".join(facts.split()[::2]) for facts, _, path in entries}


def _is_plain(tree: Sources, path: str) -> bool:
    """Whether a copied path is a file or a folder, and no link or path through a link."""
    if path in tree:
        return not tree[path].startswith(_LINK)
    return path == "." or any(each.startswith(f"{path}/") for each in tree)


def _with_folders(path: str) -> Iterator[str]:
    yield path
    yield from map(str, PurePosixPath(path).parents)


def _copied(dockerfile: str) -> set[str] | None:
    """The sources of the COPY lines; None when only Docker itself can say what they are."""
    copied: set[str] = set()
    for instruction, rest in _instructions(dockerfile):
        if instruction == "COPY":
            named = _named(rest)
            if named is None:
                return None
            copied |= named
        elif instruction == "RUN":
            if "--mount" in rest:
                return None
        elif instruction not in _READS_NO_FILE:
            return None
    return copied


def _instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    lines = (line.strip() for line in dockerfile.split("\n"))
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    for line in text.replace("\\\n", " ").split("\n"):
        instruction, _, rest = line.partition(" ")
        yield instruction.upper(), rest


def _named(rest: str) -> set[str] | None:
    """The sources of one COPY line as paths from the root of the repository; None when they are not plain."""
    if _NOT_PLAIN.search(rest):
        return None
    words = rest.split()
    paths = [PurePosixPath(word) for word in words if not word.startswith("--")][:-1]
    if any(word.startswith("--from=") for word in words):
        return set()
    return None if not paths or any(".." in path.parts for path in paths) else set(map(str, paths))
