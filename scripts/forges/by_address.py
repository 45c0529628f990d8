"""Which forge a repository is on, from its path or address."""

import re
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from scripts.errors import Refused
from scripts.forges.forge import Forge
from scripts.forges.gitea import GiteaForge
from scripts.forges.github import API_VERSION, GitHubForge
from scripts.forges.local import LocalForge
from scripts.forges.transport import ForgeHttp, Patience

Kind = Literal["local", "gitea", "github"]

_NAME = r"[A-Za-z0-9._-]+"
_TOKEN = re.compile(r"[\x21-\x7e]+")
_GITHUB = "github.com"


def forge_at(
    repository: str,
    *,
    kind: Kind | None = None,
    account: str,
    token: str | None = None,
    patience: Patience | None = None,
) -> Forge:
    """The forge of a repository, seen by one account.

    Args:
        repository: Path of a bare repository, or address such as `https://github.com/owner/name`.
        kind: What serves it; may be left out for a path and for github.com.
        account: Who acts on a local forge. A forge of the network says itself whose token it is, and this name
            counts only where it does not, as for the token of a GitHub workflow (`github-actions[bot]`).
        token: Of the account; a local forge needs none.
        patience: Bounds of waiting for a forge of the network.

    Raises:
        Refused: The address or the token cannot be one.
    """
    if "://" not in repository:
        if kind not in {None, "local"}:
            raise Refused("bad_repository", f"{repository!r} is a path; a {kind} forge has an address")
        return LocalForge(Path(repository), account)
    parts = _address(repository)
    kind = kind or ("github" if parts.hostname == _GITHUB else None)
    path = re.fullmatch(rf"(/.*)?/({_NAME}/{_NAME}?)(?:\.git)?/?", parts.path)
    if path is None:
        raise Refused("bad_repository", f"{repository!r} does not end with owner/name")
    base, name = f"{parts.scheme}://{parts.netloc}{path[1] or ''}", path[2].removesuffix(".git")
    secret, patience = _valid(token, repository), patience or Patience()
    if kind == "gitea":
        http = ForgeHttp(f"{base}/api/v1", _headers("token", secret), secret, patience)
        return GiteaForge(http, name, f"{base}/{name}.git", secret, account)
    if kind == "github":
        api = f"https://api.{_GITHUB}" if parts.hostname == _GITHUB else f"{base}/api/v3"
        headers = {
            **_headers("Bearer", secret),
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": API_VERSION,
        }
        return GitHubForge(
            ForgeHttp(api, headers, secret, patience), name, f"{base}/{name}.git", secret, account
        )
    raise Refused("bad_repository", f"which kind of forge is at {repository}? Say --forge gitea or github")


def _address(repository: str) -> SplitResult:
    parts = urlsplit(repository)
    if parts.username is not None or parts.password is not None:
        raise Refused("bad_repository", "the repository's address holds credentials; give the token alone")
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.fragment:
        raise Refused("bad_repository", f"{repository!r} is not an address such as https://host/owner/name")
    if parts.hostname == _GITHUB and parts.scheme != "https":
        raise Refused("bad_repository", f"{repository!r} would send the token in the clear; use https")
    return parts


def _headers(scheme: str, token: str) -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}", "User-Agent": "purchase-prediction-promote"}


def _valid(token: str | None, repository: str) -> str:
    """The token, if it can be one; it is never repeated in an error."""
    if not token:
        raise Refused("no_token", f"{repository} needs a token, for example in PROMOTE_TOKEN")
    if not _TOKEN.fullmatch(token):
        raise Refused("bad_token", "the token holds characters that no token has, for example a line's end")
    return token
