"""`python -m scripts.compose.release --image-tag TAG`: which release the containers run, and how there comes to be one.

Runs in the container `training`, where the forge, the registry and the model store are. stdout is one JSON object, the
release; stderr tells what is done. Exit code 0, or 1 when a step did not do what it says.
"""

import argparse
import contextlib
import sys

from ml.settings import MlSettings
from scripts.demo.story import Failed, Story
from scripts.demo.tools import ROOT, Tools
from scripts.forges.local import LocalForge
from scripts.release_file import Release


def released(tools: Tools, story: Story, image_tag: str, *, newest: bool) -> Release:
    """The merged release; where no model is released yet a first one is learned from a made-up shop and promoted.

    Args:
        tools: Commands on the state, the forge and the registry.
        story: Tells what is done.
        image_tag: Of the images that were built.
        newest: Whether these images are proposed where others are released.

    Raises:
        Failed: A step did not do what it says.
    """
    LocalForge.create(tools.forge, ROOT, "compose")
    release = tools.read_release()
    if not release.has_model:
        _learn(tools, story)
        _promote(tools, story, "--model", "challenger", "--image-tag", image_tag)
    elif newest and release.image_tag != image_tag:
        _promote(tools, story, "--image-tag", image_tag)
    return tools.read_release()


def _learn(tools: Tools, story: Story) -> None:
    """What `make demo` does with its first model, without the tour."""
    story.step("learn", "a first model from a small made-up shop")
    source = str(tools.state / "source")
    tools.ml("migrate")
    tools.ml("synthesize", "--out", source, "--products", "60", "--months", "31")
    tools.ml("ingest", "--events", source)
    tools.ml("panel")
    tools.ml("quality", "--as-of", "newest")
    version = str(tools.ml("train")["version"])
    tools.ml("forecast", "--model", version)


def _promote(tools: Tools, story: Story, *wish: str) -> None:
    story.step("promote", "a pull request on the release file, and its merge")
    opened = tools.promote("open", *wish, ok=(0, 1))
    if "error" in opened:
        raise Failed(opened["error"])
    tools.promote("merge", str(opened["pull_request"]), "--approve-as", "approver")
    tools.ml("models", "--champion", str(tools.read_release().model_version))


def main(arguments: list[str] | None = None) -> int:
    """Print the release; the exit code comes back."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compose.release", description=__doc__.partition("\n\n")[0]
    )
    parser.add_argument("--image-tag", required=True, help="tag of the images that were built")
    parser.add_argument("--newest", action="store_true", help="propose them where others are released")
    options = parser.parse_args(arguments)
    with contextlib.redirect_stdout(sys.stderr):
        story = Story(total=2)
        tools = Tools(MlSettings().state, {}, story)
        tools.prepare()
        try:
            release = released(tools, story, options.image_tag, newest=options.newest)
        except Failed as failed:
            story.fail(str(failed))
            return 1
    print(release.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
