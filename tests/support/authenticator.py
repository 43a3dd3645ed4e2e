"""An authenticator in software: P-256, a counter, and whatever lies a test wants."""

import base64
import json
import secrets
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """One credential, once it was made.

    Args:
        origin: the page that it believes to be on.
        rp_id: for whom it signs.
        counts: whether its counter rises.
    """

    def __init__(self, origin: str, *, rp_id: str = "localhost", counts: bool = True) -> None:
        self.origin = origin
        self.rp_id = rp_id
        self.counts = counts
        self.count = 0
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = secrets.token_bytes(32)

    def create(self, options: dict[str, Any], *, flags: int = PRESENT | VERIFIED) -> dict[str, Any]:
        """What `navigator.credentials.create()` gives."""
        numbers = self.key.public_key().public_numbers()
        public = cbor2.dumps(
            {
                1: 2,
                3: -7,
                -1: 1,
                -2: numbers.x.to_bytes(32, "big"),
                -3: numbers.y.to_bytes(32, "big"),
            }
        )
        size = len(self.credential_id).to_bytes(2, "big")
        attested = bytes(16) + size + self.credential_id + public
        data = self._data(flags | ATTESTED) + attested
        told = self._client_data("webauthn.create", options["challenge"])
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._credential(
            clientDataJSON=packed(told),
            attestationObject=packed(attestation),
            transports=["internal"],
        )

    def get(self, options: dict[str, Any], *, flags: int = PRESENT | VERIFIED) -> dict[str, Any]:
        """What `navigator.credentials.get()` gives."""
        if self.counts:
            self.count += 1
        data = self._data(flags)
        told = self._client_data("webauthn.get", options["challenge"])
        signature = self.key.sign(data + sha256(told).digest(), ec.ECDSA(SHA256()))
        return self._credential(
            clientDataJSON=packed(told),
            authenticatorData=packed(data),
            signature=packed(signature),
            userHandle=None,
        )

    def _data(self, flags: int) -> bytes:
        return sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client_data(self, kind: str, challenge: str) -> bytes:
        told = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(told).encode()

    def _credential(self, **response: Any) -> dict[str, Any]:
        return {
            "id": packed(self.credential_id),
            "rawId": packed(self.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        }
