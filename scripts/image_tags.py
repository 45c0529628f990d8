"""`python -m scripts.image_tags`: all images of a commit carry one tag, and only what changed is built.

The tag is the full id of a commit of main. `plan` says which images of the commit are built, and which are, file
by file, those of an older commit; `tag` gives these the new tag when the others are there. What was done is read
from the registry, so a run that was killed is simply run again, and no tag is ever moved.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.errors import Broken, Refused
from scripts.history.git import Git
from scripts.images.image_registry import ImageRegistry
from scripts.images.image_sources import dockerfiles, sources
from scripts.manifests.overlay import overlay_of

BROKE, REFUSED, YES = 70, 1, 0

_REACH = 50  # commits that are looked back for an image; past that it is built


@dataclass(frozen=True)
class Plan:
    """How the images of a commit get its tag.

    Attributes:
        build: Images to build and push under it.
        keep: Image to the older commit whose image is made of the same files.
    """

    build: tuple[str, ...]
    keep: Mapping[str, str]


def plan(git: Git, head: str, is_there: Callable[[str, str], bool]) -> Plan:
    """What is to be done for a commit; nothing when every image is still that of one tag.

    Args:
        git: The repository, deep enough to hold the commits that were built.
        head: Full id of the commit.
        is_there: Whether the registry has an image under a tag.
    """
    known = dockerfiles(git, head)
    last = {image: next(_built(git, head, image, is_there), None) for image in sorted(known)}
    same = {
        image: commit
        for image, commit in last.items()
        if commit and sources(git, commit, known[image]) == sources(git, head, known[image])
    }
    if len(same) == len(last) and len(set(same.values())) <= 1:
        return Plan((), {})
    build = tuple(image for image in last if image not in same)
    return Plan(build, {image: commit for image, commit in same.items() if commit != head})


def _built(git: Git, head: str, image: str, is_there: Callable[[str, str], bool]) -> Iterator[str]:
    """The commits of main, newest first, that the registry has this image of."""
    commits = git.text("rev-list", f"--max-count={_REACH}", head).splitlines()
    return (commit for commit in commits if is_there(image, commit))


def main(arguments: list[str] | None = None, images: ImageRegistry | None = None) -> int:
    """Run one verb; the exit code comes back: 0, 1 for a refusal, 70 for what broke."""
    options = _parser().parse_args(arguments)
    try:
        answer, code = _run(options, images or ImageRegistry()), YES
    except Refused as refusal:
        answer, code = {"error": str(refusal), "reason": refusal.reason}, REFUSED
    except Broken as error:
        answer, code = {"error": str(error), "reason": "broke"}, BROKE
    print(json.dumps(answer))
    return code


def _run(options: argparse.Namespace, images: ImageRegistry) -> dict[str, Any]:
    git = Git(options.repository)
    head = git.text("rev-parse", "--verify", "--end-of-options", f"{options.head}^{{commit}}")
    known, repositories = dockerfiles(git, head), _repositories(git, head)
    for image in (*known, *([options.image] if options.image else ())):
        if image not in repositories:
            raise Refused("no_repository", f"no overlay under environments/ says where image {image!r} goes")
    if options.verb == "built":
        images.give_tag(repositories[options.image], options.digest, head)
        return {"tag": head, "image": options.image, "digest": options.digest}
    planned = plan(git, head, lambda image, tag: _is_there(images, repositories[image], tag))
    if options.verb == "tag":
        if planned.build:
            raise Refused(
                "not_built", f"image {planned.build[0]} of {head} is not in its registry; build it first"
            )
        for image, commit in planned.keep.items():
            images.give_tag(repositories[image], commit, head)
    build = [
        {"image": image, "dockerfile": known[image], "repository": repositories[image]}
        for image in planned.build
    ]
    return {"tag": head, "build": build, "keep": planned.keep}


def _repositories(git: Git, head: str) -> dict[str, str]:
    """Image to repository, as all overlays say together."""
    listing = git.text("ls-tree", "--name-only", f"{head}:environments").splitlines()
    paths = [f"environments/{name}/kustomization.yaml" for name in listing]
    found: dict[str, str] = {}
    for name, content in zip(listing, git.blobs([f"{head}:{path}" for path in paths]), strict=True):
        for image, repository in overlay_of(git, name, head).images.items() if content else ():
            if found.setdefault(image, repository) != repository:
                raise Refused("two_repositories", f"image {image} goes to {found[image]} and to {repository}")
    return found


def _is_there(images: ImageRegistry, repository: str, tag: str) -> bool:
    try:
        images.digest(repository, tag)
    except Refused as refusal:
        if refusal.reason != "no_image":
            raise
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="One tag for all images of a commit.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (
        ("plan", "which images are to be built, and which are those of an older commit"),
        ("built", "tag an image that was built and pushed without a tag"),
        ("tag", "tag the images that did not change, when all others are there"),
    ):
        one = verbs.add_parser(verb, help=text, description=text)
        one.add_argument("--head", required=True, help="commit of main whose images are wanted")
        one.add_argument("--repository", type=Path, default=Path(), help="a Git repository [here]")
        one.add_argument("--image", required=True) if verb == "built" else one.set_defaults(image=None)
        if verb == "built":
            one.add_argument("--digest", required=True, help="sha256:… of its manifest")
    return parser


if __name__ == "__main__":
    sys.exit(main())
