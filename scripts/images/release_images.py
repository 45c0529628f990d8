"""The images of a release: which they are, which bytes their tag names, and that it still names the same."""

from collections.abc import Mapping

from scripts.errors import Refused
from scripts.history import deployment_history
from scripts.history.git import Git
from scripts.history.past_evidence import evidence_that_brought
from scripts.history.repository import TRUNK
from scripts.images.image_registry import Images
from scripts.manifests.overlay import overlay_of
from scripts.release_file import Release


def digests(images: Images, git: Git, environment: str, tag: str) -> dict[str, str]:
    """Digest by service of every image that an environment would run with this tag.

    Raises:
        Refused: The environment's overlay names no image, or one is not in its registry.
    """
    found = {}
    for service, name in names(git, environment, tag).items():
        found[service] = images.digest(name.removesuffix(f":{tag}"), tag)
    return found


def names(git: Git, environment: str, tag: str) -> dict[str, str]:
    """Image by service, with registry and tag, of every image that an environment would run with this tag.

    Raises:
        Refused: The environment's overlay names no image.
    """
    repositories = overlay_of(git, environment, TRUNK).images
    if not repositories:
        raise Refused("bad_overlay", f"the overlay of {environment} says of no image where it comes from")
    return {service: f"{image}:{tag}" for service, image in sorted(repositories.items())}


def recorded(git: Git, environment: str, release: Release) -> dict[str, str]:
    """The digests in the evidence that brought a release; none where it came without."""
    history = deployment_history.read(git, environment, TRUNK)
    evidence = evidence_that_brought(git, history, release)
    return dict(evidence.images) if evidence else {}


def refuse_moved(now: Mapping[str, str], before: Mapping[str, str], tag: str, environment: str) -> None:
    """Refuse a tag that names other bytes than those that an environment was given.

    Raises:
        Refused: It moved, so nobody has tried what it names now.
    """
    for service, digest in now.items():
        if before.get(service) not in {None, digest}:
            raise Refused(
                "moved_tag",
                f"image {service}:{tag} was {before[service][:19]}… in {environment} and is {digest[:19]}… now;"
                " a tag must not move, build the image under a new one",
            )


def refuse_untried(now: Mapping[str, str], tried: Mapping[str, str], tag: str, environment: str) -> None:
    """Refuse images that an environment was not given, or of which nobody wrote down the bytes.

    Raises:
        Refused: One is new, or its tag moved.
    """
    unknown = sorted(set(now) - set(tried))
    if unknown:
        message = f"nobody recorded the bytes of {unknown[0]}:{tag} in {environment}; promote it there again"
        raise Refused("unrecorded_image", message)
    refuse_moved(now, tried, tag, environment)
