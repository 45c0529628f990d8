"""What the console passes on of others is what its makers released, under a licence that lets it."""

from hashlib import sha256

from tests.repository.imports import ROOT

STATIC = ROOT / "apps" / "console" / "static"
OURS = {"console.css", "console.js", "icon.svg"}
RELEASED = {
    "htmx.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",  # 2.0.11, dist/
}


def test_a_file_of_others_has_the_bytes_that_were_released_and_its_licence_beside_it() -> None:
    files = {path.name for path in STATIC.iterdir()} - OURS
    licences = {f"{name.partition('.')[0]}.LICENSE.txt" for name in RELEASED}
    assert files == set(RELEASED) | licences
    for name, digest in RELEASED.items():
        assert sha256((STATIC / name).read_bytes()).hexdigest() == digest, name
