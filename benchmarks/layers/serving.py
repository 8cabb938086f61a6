"""``python -m benchmarks.layers.serving LAYOUT RATE``: an OCI layout as a registry on the loopback, for pulls.

It prints its port. Every repository has the same image, that of the digest asked for; ``RATE`` bounds what each
connection gets, in bytes a second, by the kernel's pacing (0: no bound). It ends when its input does.
"""

import os
import re
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_SO_MAX_PACING_RATE: Final = 47  # asm-generic/socket.h; Python has no name for it
_ASKED: Final = re.compile(r"/v2/\w+/(?:manifests|blobs)/sha256:([0-9a-f]{64})")
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"


def _handler(blobs: str, rate: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            if rate:
                self.connection.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, rate)

        def do_GET(self) -> None:
            asked = _ASKED.fullmatch(self.path)
            if asked is None:
                self.send_error(404)
                return
            with open(os.path.join(blobs, asked[1]), "rb") as blob:
                self.send_response(200)
                self.send_header(
                    "Content-Type", _MANIFEST if "/manifests/" in self.path else "application/octet-stream"
                )
                self.send_header("Content-Length", str(os.fstat(blob.fileno()).st_size))
                self.end_headers()
                self.wfile.flush()
                self.connection.sendfile(blob)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name it has there
            pass

    return Handler


def main() -> None:
    """See the module."""
    layout, rate = sys.argv[1:]
    blobs = os.path.join(layout, "blobs", "sha256")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(blobs, int(rate)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
