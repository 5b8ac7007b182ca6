"""Tokens of the form that Azure's have, and the local endpoint of a managed identity that gives them."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUER = "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/"
MACHINE = "/subscriptions/1/resourcegroups/rg/providers/Microsoft.Compute/virtualMachines/vm-gpu01"


def token(lasts: float = 3600, **claims: object) -> str:
    """Return an unsigned web token of the form that Azure's have."""
    now = int(time.time())
    said = {
        "aud": "https://storage.azure.com",
        "iss": ISSUER,
        "nbf": now - 60,
        "iat": now - 60,
        "exp": now + int(lasts),
        "oid": "0b1f708d-50f6-404c-a006-d71b2ac7a606",
        "tid": "ab1f708d-50f6-404c-a006-d71b2ac7a606",
        **claims,
    }
    parts = ({"alg": "none", "typ": "JWT"}, said, {"signature": "none"})
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts)


class TokenService:
    """A managed identity's endpoint, as App Service has it; counts what it gives."""

    def __init__(self) -> None:
        self.given = 0
        self.lasts = 3600.0
        self.issuer = ISSUER
        outer = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.given += 1
                end = int(time.time() + outer.lasts)
                said = {"iss": outer.issuer, "xms_mirid": MACHINE, "appid": "a1", "jti": outer.given}
                body = json.dumps(
                    {
                        "access_token": token(outer.lasts, **said),
                        "expires_on": str(end),
                        "resource": "https://storage.azure.com",
                        "token_type": "Bearer",
                    }
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@cache
def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_key() -> rsa.RSAPublicKey:
    """Return the key that checks what the service account signed."""
    return _rsa().public_key()


def service_account(token_uri: str) -> str:
    """Return the file that Google Cloud writes for a service account, with a key of our own."""
    pem = _rsa().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "test",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": "reader@test.iam.gserviceaccount.com",
            "token_uri": token_uri,
        }
    )


@contextmanager
def token_endpoint() -> Iterator[tuple[str, list[str]]]:
    """Run a token service of Google's form (RFC 7523); yield its address and the tokens it gave."""
    given: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            given.append(f"token-{len(given) + 1}")
            body = json.dumps({"access_token": given[-1], "expires_in": 3600, "token_type": "Bearer"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token", given
    finally:
        server.shutdown()
        server.server_close()
