"""The evidence under which a release once came, read from the commit that brought it."""

import hashlib

from scripts.errors import Refused
from scripts.history import recorded_evidence
from scripts.history.deployment_history import DeploymentHistory
from scripts.history.git import Git
from scripts.history.recorded_evidence import RecordedEvidence
from scripts.release_file import Release, evidence_path_of


def evidence_that_brought(git: Git, history: DeploymentHistory, release: Release) -> RecordedEvidence | None:
    """The evidence of the newest promotion to this release; None where none was written.

    A revert deletes the file, so it is read from the commit that the release came with.

    Raises:
        Refused: The commit speaks of other evidence than it holds.
    """
    path = evidence_path_of(history.environment, release)
    for deployment in reversed(history.deployments):
        digest = deployment.commit.trailer("Evidence-Sha256")
        if deployment.after != release or digest is None:
            continue
        data = git.read(deployment.commit.id, path) or b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise Refused(
                "bad_evidence", f"{path} in {deployment.commit.id[:12]} is not what its commit says"
            )
        return recorded_evidence.read(data)
    return None
