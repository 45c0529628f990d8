"""Where a store is: a path or a bucket, nothing that looks like one."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ml.location import bucket_and_prefix, location
from ml.settings import MlSettings


def test_a_path_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert location("models") == location(Path("models")) == tmp_path / "models"


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://models", "models", ""),
        ("s3://models/", "models", ""),
        ("s3://my.models-1/production/shop", "my.models-1", "production/shop"),
        ("s3://models/a/", "models", "a"),
    ],
)
def test_a_bucket_keeps_its_name_and_prefix(url: str, bucket: str, prefix: str) -> None:
    assert bucket_and_prefix(url) == (bucket, prefix)
    assert location(url) == "/".join(filter(None, ["s3:/", bucket, prefix]))


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:models",
        "s3:/models",
        "s3://Models",
        "s3://models//a",
        "s3://models/../a",
        "s3://models/a?b=c",
        "s3://key:secret@models/a",
        "s3://models:9000/a",
        "gs://models/a",
        "http://models/a",
        "file:///models",
        "s3://models/a b",
    ],
)
def test_what_only_looks_like_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="s3://BUCKET/PREFIX"):
        location(url)


def test_the_pipelines_store_is_in_its_state_unless_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ML_MODEL_STORE", raising=False)
    assert MlSettings(state=tmp_path).model_store == tmp_path / "models"
    monkeypatch.setenv("ML_MODEL_STORE", "s3://models/shop/")
    assert MlSettings(state=tmp_path).model_store == "s3://models/shop"
    monkeypatch.setenv("ML_MODEL_STORE", "gs://models")
    with pytest.raises(ValidationError, match="s3://BUCKET/PREFIX"):
        MlSettings(state=tmp_path)
