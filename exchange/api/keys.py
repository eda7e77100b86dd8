"""Hold the account's API keys and check what they sign: HMAC-SHA256, RSA or Ed25519."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from exchange.errors import StartError, VenueError

Verifier = Callable[[bytes, str], bool]  # payload, signature as the client wrote it


@dataclass(frozen=True, slots=True)
class Key:
    """Be one API key: its name, its kind, and how its signatures are checked; never printed."""

    api_key: str = field(repr=False)
    kind: str  # HMAC_SHA256, RSA or ED25519
    is_valid: Verifier = field(repr=False)

    def check(self, payload: str, signature: str | None) -> None:
        """Raise -1102 for a missing signature and -1022 for a wrong one.

        What was no UTF-8 on the wire is in the payload as surrogates and is signed as it came.
        """
        if not signature:
            raise VenueError(-1102, name="signature")
        if not self.is_valid(payload.encode("utf-8", "surrogateescape"), signature):
            raise VenueError(-1022)


class Keys:
    """Find the key that a request names."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = keys

    def find(self, api_key: str | None) -> Key:
        """Return the key; raise -2014 for a missing one and -2015 for one that is not known."""
        if not api_key:
            raise VenueError(-2014)
        wanted = api_key.encode("utf-8", "surrogateescape")
        for key in self._keys:
            if hmac.compare_digest(wanted, key.api_key.encode()):
                return key
        raise VenueError(-2015)


def hmac_hex(secret: str, payload: str) -> str:
    """Return the HMAC-SHA256 of the payload in hex."""
    return _digest(secret, payload.encode("utf-8", "surrogateescape"))


def _digest(secret: str, payload: bytes) -> str:
    return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def hmac_key(api_key: str, secret: str) -> Key:
    """Return a key that signs with a shared secret."""

    def is_valid(payload: bytes, signature: str) -> bool:
        # Venue: "SIGNED Endpoint security": the signature is not case sensitive.
        given = signature.lower().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(_digest(secret, payload).encode(), given)

    return Key(api_key, "HMAC_SHA256", is_valid)


def public_key(api_key: str, path: Path) -> Key:
    """Return a key that signs with the private half of the PEM file's RSA or Ed25519 key.

    Raises StartError when the file cannot be read or holds no such key.
    """
    # Loaded only here: an exchange without public keys does without this library.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        loaded = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise StartError(f"--public-key cannot be read: {path}: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise StartError(f"--public-key is not a public key in PEM: file={path}") from None

    def verifier(verify: Callable[[bytes, bytes], None]) -> Verifier:
        def is_valid(payload: bytes, signature: str) -> bool:
            try:
                verify(base64.b64decode(signature, validate=True), payload)
            except (binascii.Error, ValueError, InvalidSignature):
                return False
            return True

        return is_valid

    if isinstance(loaded, ed25519.Ed25519PublicKey):
        return Key(api_key, "ED25519", verifier(loaded.verify))
    if isinstance(loaded, rsa.RSAPublicKey):
        rsa_key = loaded

        def verify_rsa(signature: bytes, payload: bytes) -> None:
            rsa_key.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())

        return Key(api_key, "RSA", verifier(verify_rsa))
    raise StartError(f"--public-key is neither RSA nor Ed25519: file={path}")
