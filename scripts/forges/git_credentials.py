"""How Git gets in at a forge: by its environment, so that no URL, argument or file holds the token."""

import base64
from collections.abc import Mapping

_STALLED_SECONDS = 30


def environment_for(remote: str, token: str) -> Mapping[str, str]:
    """Git's configuration for one remote: the token as a header, no redirects, no waiting for ever."""
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    settings = {
        f"http.{remote}.extraHeader": f"Authorization: Basic {basic}",
        "http.followRedirects": "false",
        "http.lowSpeedLimit": "1",  # bytes a second
        "http.lowSpeedTime": str(_STALLED_SECONDS),
        "credential.helper": "",
    }
    environment = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment
