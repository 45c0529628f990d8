"""A small service: serves its release on an inherited socket until it is stopped or its parent dies."""

import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BROKEN_SHA256 = "f" * 64
RELEASE = {
    name: os.environ.get(f"TINY_{name.upper()}", "")
    for name in ("model_version", "model_sha256", "image_tag")
}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"pid": os.getpid(), **RELEASE}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    if RELEASE["model_sha256"] == BROKEN_SHA256:
        raise SystemExit("this service cannot start: its model is broken")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=int(os.environ["LISTEN_FD"]))

    def end_with_parent() -> None:
        os.read(int(os.environ["PARENT_PIPE_FD"]), 1)
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    with os.fdopen(int(os.environ["READY_FD"]), "w") as ready:
        ready.write('{"ready": true}\n')
    server.serve_forever()


if __name__ == "__main__":
    main()
