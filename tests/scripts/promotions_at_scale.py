"""A long history of two environments on a local forge, written at once by `git fast-import`.

It shares no code with what it is audited by: release files, evidence, messages and pull requests are put
together here, as somebody else's tool would that follows the documentation. A fault is a function that changes
one promotion of production before it is written.
"""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

REVERTED = "<reverted>"
START = datetime(2020, 1, 6, 9, tzinfo=UTC)
RELEASE = """# What runs here.
apiVersion: v1
kind: ConfigMap
metadata:
  name: release
  annotations:
    config.kubernetes.io/local-config: "true"
data:
  image_tag: "{image_tag}"
  model_version: "{model_version}"
  model_sha256: "{model_sha256}"
"""
RULES = {
    "staging": "needs_approval: false\nimages: false\n",
    "production": "needs_approval: true\nimages: false\n",
}
FILLING = "a line of the rendered difference\n" * 60
UNRELEASED = {"image_tag": "unreleased", "model_version": 0, "model_sha256": "0" * 64}

Release = dict[str, Any]
Files = dict[str, str | None]


@dataclass
class Change:
    """A commit on the trunk; with a `branch` the merge of a pull request.

    In message, text and branch `REVERTED` stands for the id of `reverts`. The own `id` is known at the end.
    """

    message: str
    files: Files
    branch: str | None = None
    body: str = ""
    author: str = "promoter"
    approvals: list[str] = field(default_factory=list)
    head_files: Files | None = None
    remembered_as: str | None = None
    reverts: "Change | None" = None
    number: int | None = None
    mark: int = 0
    id: str = ""


@dataclass
class Promotion(Change):
    """The merge of a promotion, with the parts that its files are made of."""

    environment: str = ""
    release: Release = field(default_factory=dict)
    replaces: Release = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
    then: list[Change] = field(default_factory=list)

    @property
    def evidence_path(self) -> str:
        """Where its evidence stands."""
        name = f"{self.release['model_version']}-{self.release['image_tag']}"
        return f"environments/{self.environment}/evidence/{name}.json"

    def write(self) -> None:
        """Files, message and text from release and evidence."""
        text = json.dumps(self.evidence, indent=2, sort_keys=True) + "\n"
        self.files = {
            release_path(self.environment): RELEASE.format(**self.release),
            self.evidence_path: text,
        }
        facts = {**trailers(self.release), "Evidence-Sha256": sha256(text.encode()).hexdigest()}
        self.message = message(
            f"{self.environment}: model {self.release['model_version']}", "Risk: Low", facts
        )
        self.body = f"## Promotion\n\n{FILLING}\n```json\n{text}```\n"


Fault = Callable[[Promotion], None]


def release_path(environment: str) -> str:
    return f"environments/{environment}/release.yaml"


def trailers(release: Release) -> dict[str, str]:
    return {
        "Requested-by": "ada",
        "Model-Version": str(release["model_version"]),
        "Model-Sha256": release["model_sha256"],
        "Image-Tag": release["image_tag"],
    }


def message(title: str, text: str, facts: Mapping[str, str]) -> str:
    lines = "".join(f"{key}: {value}\n" for key, value in facts.items())
    return f"{title}\n\n{text}\n\n{lines}"


def promotion(environment: str, release: Release, replaces: Release) -> Promotion:
    """A promotion as it should be."""
    name = f"{release['model_version']}-{release['image_tag']}"
    made = Promotion(
        "",
        {},
        branch=f"promote/{environment}/{name}-0123456789ab",
        approvals=["bo"] if environment == "production" else [],
        environment=environment,
        release=release,
        replaces=replaces,
        evidence={
            "format": 1,
            "environment": environment,
            "release": release,
            "replaces": replaces,
            "model": {"candidate": "mix", "registered_at": "2020-01-01T00:00:00+00:00", "run_id": name},
            "verdict": {"answer": "better", "ratio": 0.9, "lower": 0.85, "upper": 0.95},
            "benchmark": [
                {"candidate": f"candidate {index}", "wape": 0.4 + index / 100} for index in range(12)
            ],
            "gates": [{"name": "benchmark", "passed": True, "saw": "it", "needs": "it", "waiver": None}],
            "requested_by": "ada",
        },
    )
    made.write()
    return made


def rollback(undone: Promotion) -> Change:
    """The tool's rollback of a promotion: only the release file goes back."""
    facts = {"requested_by": "ada", "reason": "slow", "reverts": [REVERTED]}
    return Change(
        message("production: back", f"This reverts commit {REVERTED}.\n\nslow", trailers(undone.replaces)),
        {release_path("production"): RELEASE.format(**undone.replaces)},
        branch=f"rollback/production/{REVERTED}",
        body=f"## Rollback\n\n```json\n{json.dumps(facts)}\n```\n",
        approvals=["bo"],
        reverts=undone,
    )


def plain_revert(undone: Promotion) -> Change:
    """A person's `git revert` in a pull request of their own: the evidence goes too."""
    return Change(
        f'Revert "production"\n\nThis reverts commit {REVERTED}.\n',
        {release_path("production"): RELEASE.format(**undone.replaces), undone.evidence_path: None},
        branch=f"revert-{REVERTED}",
        author="cy",
        approvals=["bo"],
        reverts=undone,
    )


def reapplied(revert: Change, undone: Promotion) -> Change:
    """A person's `git revert` of their `git revert`: release and evidence come back."""
    files: Files = {release_path("production"): undone.files[release_path("production")]}
    files[undone.evidence_path] = undone.files[undone.evidence_path]
    return Change(
        f'Reapply "production"\n\nThis reverts commit {REVERTED}.\n',
        files,
        branch=f"reapply-{REVERTED}",
        author="cy",
        approvals=["bo"],
        reverts=revert,
    )


def story(promotions: int, faults: Mapping[int, Fault]) -> Iterator[Change]:
    """Every change in its order."""
    live = dict.fromkeys(RULES, UNRELEASED)
    first: Files = {release_path(name): RELEASE.format(**UNRELEASED) for name in RULES}
    first |= {f"environments/{name}/promotion.yaml": rules for name, rules in RULES.items()}
    yield Change("environments: as they stand in the checkout\n", first)
    for index in range(promotions):
        release = moved(live["production"], index)
        if index % 4 == 0:
            yield promotion("staging", release, live["staging"])
            live["staging"] = release
        made = promotion("production", release, live["production"])
        if index in faults:
            faults[index](made)
        live["production"] = release
        yield from (made, *made.then)
        for change in [] if index in faults else returns(made, index):
            live["production"] = made.replaces if live["production"] == release else release
            yield change
        yield from asides(index)


def moved(live: Release, index: int) -> Release:
    """In turn the model alone, the image alone, both; the first moves both."""
    model = {"model_version": index + 1, "model_sha256": sha256(str(index).encode()).hexdigest()}
    image = {"image_tag": f"{index:07x}"}
    return live | (model if index % 3 != 1 else {}) | (image if index % 3 != 0 or index == 0 else {})


def returns(made: Promotion, index: int) -> Iterator[Change]:
    """Some promotions are rolled back, some reverted by a person, some of those applied again."""
    if index % 12 == 5:
        yield rollback(made)
    elif index % 25 == 7:
        reverting = plain_revert(made)
        yield reverting
        if index % 50 == 7:
            yield reapplied(reverting, made)


def asides(index: int) -> Iterator[Change]:
    """What else happens on a trunk."""
    if index % 10 == 3:
        yield Change("docs: a word\n", {f"docs/{index}.md": "word\n"})
    if index % 100 == 9:
        yield Change(
            "base: a probe\n", {"environments/base/probe.yaml": f"{index}\n"}, branch=f"probe-{index}"
        )


class Writer:
    """Puts changes into a new bare repository, with the records that a local forge keeps of pull requests."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        self._git("init", "--quiet", "--bare", "--template=", "--initial-branch=main")
        self._import = self._fast_import()
        self._now, self._marks, self._trunk = START, 0, 0
        self._merges: list[tuple[Change, int, datetime]] = []

    def put(self, change: Change) -> None:
        """One more commit, and the head of its pull request."""
        self._now += timedelta(hours=3)
        if change.reverts:
            reverted = self._id_of(change.reverts)
            for name in ("message", "body", "branch"):
                setattr(change, name, getattr(change, name).replace(REVERTED, reverted))
        if change.branch:
            change.number = len(self._merges) + 1
            ref = f"refs/pull/{change.number}/head"
            head = self._commit(ref, change.head_files or change.files, change.message, change.author)
            self._merges.append((change, head, self._now))
            if change.branch.startswith(("promote/", "rollback/")):
                change.message = f"{change.message.rstrip()}\nPull-Request: #{change.number}\n"
        change.mark = self._commit("refs/heads/main", change.files, change.message, change.author)
        self._trunk = change.mark

    def close(self, changes: Sequence[Change]) -> None:
        """Everything is on the disk after this, and every change knows its id."""
        _end(self._import)
        lines = (self.directory / "marks").read_text().splitlines()
        ids = {int(mark[1:]): sha for mark, sha in (line.split(" ") for line in lines)}
        for change in changes:
            change.id = ids[change.mark]
        records = self._fast_import()
        for number, (change, head, at) in enumerate(self._merges, start=1):
            text = json.dumps(_record(change, ids[head], at))
            _write(records, f"blob\nmark :{number}\n{_data(text)}")
        _end(records)
        lines = (self.directory / "marks").read_text().splitlines()
        metas = (line[1:].split(" ") for line in lines)
        self._git(
            "update-ref", "--stdin", stdin="".join(f"create refs/pull/{n}/meta {sha}\n" for n, sha in metas)
        )
        self._git("pack-refs", "--all")

    def _commit(self, ref: str, files: Files, text: str, author: str) -> int:
        self._marks += 1
        start = f"from :{self._trunk}\n" if self._trunk else ""
        who = f"{author} <{author}@forge.invalid> {int(self._now.timestamp())} +0000"
        head = f"commit {ref}\nmark :{self._marks}\ncommitter {who}\n"
        changes = "".join(_file(path, content) for path, content in files.items())
        _write(self._import, f"{head}{_data(text)}{start}{changes}")
        return self._marks

    def _id_of(self, change: Change) -> str:
        _write(self._import, f"get-mark :{change.mark}\n")
        assert self._import.stdin
        self._import.stdin.flush()
        assert self._import.stdout
        return self._import.stdout.readline().decode().strip()

    def _fast_import(self) -> "subprocess.Popen[bytes]":
        command = ["git", "fast-import", "--quiet", "--force", "--export-marks=marks"]
        return subprocess.Popen(
            command, cwd=self.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=2**20
        )

    def _git(self, *arguments: str, stdin: str = "") -> None:
        subprocess.run(
            ["git", *arguments], cwd=self.directory, input=stdin.encode(), check=True, capture_output=True
        )


def write(directory: Path, promotions: int, faults: Mapping[int, Fault] | None = None) -> list[Change]:
    """A bare repository for a local forge in a new directory; every change in it, oldest first."""
    writer, written = Writer(directory), list[Change]()
    for change in story(promotions, faults or {}):
        writer.put(change)
        written.append(change)
    writer.close(written)
    return written


def _record(change: Change, head: str, at: datetime) -> dict[str, Any]:
    return {
        "number": change.number,
        "title": change.message.partition("\n")[0],
        "body": change.body,
        "branch": change.branch,
        "head": head,
        "author": change.author,
        "opened_at": at.isoformat(),
        "approvals": dict.fromkeys(change.approvals, head),
        "merge_commit": change.remembered_as or change.id,
    }


def _file(path: str, content: str | None) -> str:
    return f"D {path}\n" if content is None else f"M 100644 inline {path}\n{_data(content)}"


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"


def _write(process: "subprocess.Popen[bytes]", text: str) -> None:
    assert process.stdin
    process.stdin.write(text.encode())


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.communicate()
    assert process.returncode == 0
