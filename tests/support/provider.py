"""A small OpenID provider: real HTTP, real RS256 keys, and lies on demand."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "sayso", "a secret of the client"


class Provider:
    """Signs in whoever comes, as `claims` says.

    Attributes:
        claims: what its ID tokens say besides, or instead of, the usual.
        sign: makes the ID token; None: RS256 with its own key.
    """

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.sign: Any = None
        self.codes: dict[str, dict[str, str]] = {}
        self.key = RSAKey.generate_key(2048, parameters={"kid": "first"})
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                asked = {name: values[0] for name, values in parse_qs(query).items()}
                match path:
                    case "/.well-known/openid-configuration":
                        self._json(provider.described())
                    case "/keys":
                        self._json({"keys": [provider.key.as_dict(private=False)]})
                    case "/authorize":
                        code = secrets.token_urlsafe(8)
                        provider.codes[code] = asked
                        answer = urlencode({"code": code, "state": asked["state"]})
                        self.send_response(302)
                        self.send_header("Location", f"{asked['redirect_uri']}?{answer}")
                        self.end_headers()
                    case _:
                        self.send_error(404)

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                fields = {k: v[0] for k, v in parse_qs(self.rfile.read(size).decode()).items()}
                asked = provider.codes.pop(fields["code"], None)
                digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
                if (
                    asked is None
                    or asked["code_challenge"] != challenge
                    or fields["client_secret"] != CLIENT_SECRET
                    or fields["redirect_uri"] != asked["redirect_uri"]
                ):
                    self._json({"error": "invalid_grant"}, 400)
                else:
                    self._json({"id_token": provider.token(asked), "token_type": "Bearer"})

            def _json(self, body: Any, status: int = 200) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def described(self) -> dict[str, str]:
        """What it says of itself."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }

    def token(self, asked: dict[str, str]) -> str:
        """The ID token for what a browser asked."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "subject-1",
            "aud": CLIENT_ID,
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 300,
            "email": "grace@example.com",
            "email_verified": True,
            "name": "Grace",
        } | self.claims
        return (self.sign or self.signed)(claims)

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def unsigned(self, claims: dict[str, Any]) -> str:
        parts = ({"alg": "none"}, claims)
        texts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts]
        return b".".join([*texts, b""]).decode()

    def signed_with_its_public_key(self, claims: dict[str, Any]) -> str:
        parts = ({"alg": "HS256", "kid": self.key.kid}, claims)
        texts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts]
        mac = hmac.digest(self.key.as_pem(private=False), b".".join(texts), "sha256")
        return b".".join([*texts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()

    def signed_by_another(self, claims: dict[str, Any]) -> str:
        other = RSAKey.generate_key(2048, parameters={"kid": self.key.kid})
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, other)

    def honest(self) -> None:
        """Tell the truth again."""
        self.claims, self.sign = {}, None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def code_of(location: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
