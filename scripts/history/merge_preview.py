"""What the trunk would hold after a merge, before anybody merges."""

from scripts.errors import Refused
from scripts.history.git import Git, GitFailed
from scripts.history.repository import TRUNK


def merged_tree(git: Git, head: str) -> str:
    """The tree that merging a commit into the trunk of now would give.

    Raises:
        Refused: Both changed the same lines.
    """
    try:
        return git.text("merge-tree", "--write-tree", "--no-messages", TRUNK, head)
    except GitFailed as failure:
        if failure.stderr:
            raise
        message = f"{head[:12]} and the trunk changed the same lines; make the change anew from the trunk"
        raise Refused("conflict", message) from None
