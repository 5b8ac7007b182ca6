"""Tokens of the form that Azure's have, and the local endpoint of a managed identity that gives them."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time

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
