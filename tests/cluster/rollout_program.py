"""Stands for the forecast service in a pod: its release, its metrics, and the fault that its image tag names."""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TAG = os.environ["FORECAST_IMAGE_TAG"]
RELEASE = {
    "image_tag": TAG,
    "model_version": int(os.environ["FORECAST_MODEL_VERSION"]),
    "model_sha256": os.environ["FORECAST_MODEL_SHA256"],
}
BOUNDS = (0.1, 0.5, 1.0)
LOCK = threading.Lock()
ANSWERS = {"200": 0, "500": 0}
FAST = [0, 0, 0, 0]


class Handler(BaseHTTPRequestHandler):
    """Answers probes at once, scrapes unless silent, and callers as the tag says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a GET."""
        if self.path == "/metrics":
            self.say(404, "") if TAG.startswith("silent") else self.say(200, metrics())
        elif self.path == "/model-info":
            self.say(200, json.dumps(RELEASE))
        elif self.path in {"/health", "/ready"}:
            self.say(200, "")
        else:
            self.forecast()

    def forecast(self) -> None:
        """One request of a caller, counted."""
        start = time.monotonic()
        if TAG.startswith("slow"):
            time.sleep(0.7)
        status = 500 if TAG.startswith("failing") and ANSWERS["200"] > ANSWERS["500"] else 200
        seconds = time.monotonic() - start
        with LOCK:
            ANSWERS[str(status)] += 1
            for position, bound in enumerate((*BOUNDS, float("inf"))):
                FAST[position] += seconds <= bound
        self.say(status, "{}")

    def say(self, status: int, text: str) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def metrics() -> str:
    """The series that analyses ask for."""
    labels = 'method="GET",route="/forecast/{product_id}"'
    lines = [f'http_requests_total{{{labels},status="{status}"}} {n}' for status, n in ANSWERS.items()]
    lines += [
        f'http_request_duration_seconds_bucket{{{labels},le="{bound}"}} {n}'
        for bound, n in zip((*BOUNDS, "+Inf"), FAST, strict=True)
    ]
    mean = 20.0 if TAG.startswith("other") else 10.0
    return "\n".join([*lines, f"forecast_snapshot_mean_units {mean}", ""])


ThreadingHTTPServer(("", 8001), Handler).serve_forever()
