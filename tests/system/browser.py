"""A headless Chromium that is told what to do over its debugging pipe (the Chrome DevTools Protocol)."""

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HEADLESS = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
TIMEOUT_SECONDS = 60


class Browser:
    """Commands and their answers; Chromium reads descriptor 3 and writes 4, messages end in a zero byte."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._rest, self._last = commands, answers, b"", 0
        self.console: list[str] = []

    def call(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        """The result of one command."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        os.write(
            self._commands, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        )
        while (answer := self._message()).get("id") != self._last:
            if answer.get("method") == "Runtime.consoleAPICalled":
                self.console.append(" ".join(str(part.get("value")) for part in answer["params"]["args"]))
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> "Page":
        """A page that has loaded."""
        target = self.call("Target.createTarget", url=url)["targetId"]
        page = Page(
            self, target, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        )
        page.call("Runtime.enable")
        until(lambda: page.run("location.href + ' ' + document.readyState") == f"{url} complete")
        return page

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            readable, _, _ = select.select([self._answers], [], [], TIMEOUT_SECONDS)
            assert readable, "Chromium says nothing"
            self._rest += os.read(self._answers, 65_536)
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


class Page:
    """One tab."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self.browser, self.target, self.session = browser, target, session

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def go(self, url: str, arrives: str | None = None) -> None:
        """Load another page in the same tab, which is `arrives` where the address leads on."""
        self.call("Page.navigate", url=url)
        loaded = f"{arrives or url} complete"
        until(lambda: self.run("location.href + ' ' + document.readyState") == loaded)

    def press(self, key: str) -> None:
        """One key of the keyboard: Tab or Enter."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r")}[key]
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **typed)

    def click(self, name: str) -> None:
        """Press the button with this id."""
        self.run(f"document.getElementById('{name}').click()")

    def url(self) -> str:
        """Where the page is."""
        targets = self.browser.call("Target.getTargets")["targetInfos"]
        return next(str(each["url"]) for each in targets if each["targetId"] == self.target)

    def close(self) -> None:
        """As a person closes a tab: the page is told."""
        self.call("Page.close")


def until(happened: Any, seconds: float = TIMEOUT_SECONDS) -> None:
    """Return once `happened()` is true."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, gone at the end."""
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    descriptors = f'exec "$@" 3<&{command_read} 4>&{answer_write}'
    with (profile.parent / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "bash",
                "-c",
                descriptors,
                "bash",
                *HEADLESS,
                "--remote-debugging-pipe",
                f"--user-data-dir={profile}",
            ],
            pass_fds=(command_read, answer_write),
            stdout=log,
            stderr=log,
        )
    os.close(command_read)
    os.close(answer_write)
    try:
        yield Browser(command_write, answer_read)
    finally:
        process.kill()
        process.wait()
        os.close(command_write)
        os.close(answer_read)
