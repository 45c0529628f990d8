"""The collector: takes events over HTTP and keeps every one it acknowledged."""
