"""The release file is edited by line; every other byte stays."""

import re
import string

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from scripts.errors import Refused
from scripts.release_file import BadReleaseFile, Release, edit, evidence_path_of, parse, path_of
from tests.scripts.world import RELEASE

SHA = "5f0c" * 16
TAG = string.ascii_letters + string.digits + "_.-"

releases = st.builds(
    Release,
    image_tag=st.builds("{}{}".format, st.sampled_from(TAG[:-2]), st.text(TAG, max_size=20)),
    model_version=st.integers(0, 10**9 - 1),
    model_sha256=st.integers(0, 2**256 - 1).map("{:064x}".format),
)
prose = st.text("#:\"'{}[]|>&*!%@` -abcçğüşİ1", max_size=12)
comments = st.one_of(st.just(""), prose.map("  # {}".format), prose.map(" #{}".format))
fillers = st.lists(
    st.one_of(st.just(""), st.just("   "), prose.map("  # {}".format), prose.map("#{}".format)), max_size=2
)


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, Release]:
    """A valid release file of any looks, and what it says."""
    release = draw(releases)
    end = draw(st.sampled_from(["\n", "\r\n"]))
    indent = " " * draw(st.integers(1, 6))
    order = draw(st.permutations(["image_tag", "model_version", "model_sha256"]))
    head = ["apiVersion: v1", "kind: ConfigMap", "metadata:", "  name: release", "  annotations:"]
    head.append('    config.kubernetes.io/local-config: "true"')
    lines = [
        *draw(fillers),
        *draw(st.sampled_from([[], ["---"]])),
        *head,
        *draw(fillers),
        "data:" + draw(comments),
    ]
    for key in order:
        gap = " " * draw(st.integers(1, 4))
        lines += [f'{indent}{key}:{gap}"{getattr(release, key)}"{draw(comments)}', *draw(fillers)]
    text = end.join(lines) + draw(st.sampled_from(["", end, end + end]))
    return text.encode(), release


@given(files())
def test_a_file_says_what_it_was_written_with(file: tuple[bytes, Release]) -> None:
    data, release = file
    assert parse(data) == release


@given(files(), releases)
@example((RELEASE, parse(RELEASE)), Release(image_tag="9c0d7e2", model_version=12, model_sha256=SHA))
def test_an_edit_changes_the_values_and_no_other_byte(file: tuple[bytes, Release], new: Release) -> None:
    data, old = file
    changed = edit(data, new)
    assert parse(changed) == new
    assert yaml.safe_load(changed)["data"] == {key: str(value) for key, value in new.model_dump().items()}
    assert edit(changed, old) == data  # so nothing but the values was touched
    before, after = data.split(b"\n"), changed.split(b"\n")
    differing = [one for one, other in zip(before, after, strict=True) if one != other]
    wanted = sum(
        getattr(old, key) != getattr(new, key) for key in ("image_tag", "model_version", "model_sha256")
    )
    assert len(differing) == wanted


@given(files(), releases)
def test_an_edit_twice_is_an_edit_once(file: tuple[bytes, Release], new: Release) -> None:
    assert edit(edit(file[0], new), new) == edit(file[0], new)


def replaced(old: str, new: str) -> bytes:
    assert old.encode() in RELEASE
    return RELEASE.replace(old.encode(), new.encode())


VERSION = '  model_version: "0"\n'
BAD = {
    "missing key": (replaced(VERSION, ""), 12, "model_version is missing"),
    "key there twice": (replaced(VERSION, VERSION * 2), 12, "there twice, first in line 11"),
    "unknown key": (replaced(VERSION, VERSION + '  data: "1"\n'), 12, "'data' is none of"),
    "no quotes": (replaced('"0"', "0"), 11, "double quotes"),
    "single quotes": (replaced('"0"', "'0'"), 11, "double quotes"),
    "escape in quotes": (replaced('"0"', '"\\x30"'), 11, "double quotes"),
    "quote not closed": (replaced('"0"', '"0'), 11, "double quotes"),
    "text after the value": (replaced('"0"', '"0" 1'), 11, "double quotes"),
    "comment without a space": (replaced('"0"', '"0"#x'), 11, "double quotes"),
    "block scalar": (replaced('"0"', "|\n    0"), 11, "double quotes"),
    "version not a number": (replaced('"0"', '"12a"'), 11, "not a whole number"),
    "version with zeros": (replaced('"0"', '"012"'), 11, "not a whole number"),
    "version in other digits": (replaced('"0"', '"١٢"'), 11, "not a whole number"),
    "version below zero": (replaced('"0"', '"-1"'), 11, "not a whole number"),
    "version too large": (replaced('"0"', '"1000000000"'), 11, "less than 1000000000"),
    "sha too short": (replaced('0000000000"\n', '"\n'), 12, "should match pattern"),
    "sha in capitals": (replaced('0000000000"\n', 'ABCDEFABCD"\n'), 12, "should match pattern"),
    "tag with a slash": (replaced("unreleased", "a/b"), 9, "should match pattern"),
    "empty tag": (replaced("unreleased", ""), 9, "should match pattern"),
    "tag too long": (replaced("unreleased", "a" * 129), 9, "should match pattern"),
    "no data": (replaced("data:\n", "other:\n"), 13, "image_tag is missing"),
    "data twice": (RELEASE + b'data:\n  image_tag: "x"\n', 14, "there twice"),
    "flow style": (
        RELEASE[: RELEASE.index(b"\ndata:") + 1] + b'data: {image_tag: "x"}\n',
        9,
        "image_tag is missing",
    ),
    "tabs": (replaced(VERSION, VERSION.replace("  ", "\t")), 13, "missing"),
    "other kind": (replaced("ConfigMap", "Secret"), 1, "must be a ConfigMap"),
    "reaches the cluster": (replaced('"true"', '"false"'), 1, "must be a ConfigMap"),
    "not YAML": (replaced("metadata:", "metadata: ["), 6, "not YAML"),
    "not UTF-8": (RELEASE + b"# \xff\n", 1, "not YAML"),
    "a line break only YAML knows": (
        RELEASE.replace(b"commit of", 'x\u2028  image_tag: "other"'.encode()),
        10,
        "not YAML",
    ),
    "empty": (b"", 1, "image_tag is missing"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_its_line(name: str) -> None:
    data, line, text = BAD[name]
    with pytest.raises(BadReleaseFile, match=re.escape(text)) as caught:
        parse(data)
    assert caught.value.line == line
    with pytest.raises(BadReleaseFile):
        edit(data, parse(RELEASE))


def test_names_come_from_the_release() -> None:
    release = Release(image_tag="9c0d7e2", model_version=12, model_sha256=SHA)
    assert release.name == "12-9c0d7e2"
    assert path_of("staging") == "environments/staging/release.yaml"
    assert evidence_path_of("staging", release) == "environments/staging/evidence/12-9c0d7e2.json"


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "Staging", "staging\n", "-x", "s" * 42])
def test_an_environment_is_one_plain_path_segment(name: str) -> None:
    with pytest.raises(Refused, match="must match"):
        path_of(name)
