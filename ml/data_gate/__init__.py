"""The gate between ingest and training: does the newest data look like what came before it? (docs/data-quality.md)."""
