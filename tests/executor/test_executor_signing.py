"""Signatures: the venue's vectors, our own, and that the secret stays where it is."""

import copy
import hashlib
import hmac
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.secret import Secret
from executor.signing import Signer, rest_query, ws_api_payload

VECTORS = Path(__file__).resolve().parents[3] / "shared/protocol/signatures.json"


@pytest.mark.recordings
def test_vectors_of_the_venue():
    if not VECTORS.exists():
        pytest.skip(f"no recordings: {VECTORS}")
    checked = 0
    for vector in json.loads(VECTORS.read_text()):
        if "secret" not in vector:
            continue
        signer = Signer(Secret(vector["secret"]))
        # Venue: one example was signed with a literal space in it; both forms are checked.
        assert signer.rest(vector["payload"]) == vector["recomputed"]
        stated = vector.get("payload_doc", vector["payload"])
        assert signer.rest(stated) == vector["expected"]
        checked += 1
    assert checked >= 6


@pytest.mark.recordings
def test_ws_api_vectors_from_their_parameters():
    if not VECTORS.exists():
        pytest.skip(f"no recordings: {VECTORS}")
    for vector in json.loads(VECTORS.read_text()):
        if "WS-API" in vector["name"]:
            pairs = dict(p.partition("=")[::2] for p in vector["payload"].split("&"))
            shuffled = dict(reversed(pairs.items()))
            assert Signer(Secret(vector["secret"])).ws_api(shuffled) == vector["expected"]


def test_own_vectors():
    signer = Signer(Secret("key"))
    # RFC-style vector known from many texts: HMAC-SHA256("key", "The quick brown fox …").
    text = "The quick brown fox jumps over the lazy dog"
    wanted = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    assert signer.sign(text.encode()) == wanted
    assert signer.sign(text.encode()) == wanted, "the prepared hash must not be used up"
    assert signer.rest(text[:10], text[10:]) == wanted, "no separator between query and body"


def test_rest_is_percent_encoded_and_ws_api_is_not():
    parameters = {"symbol": "１２", "b": "x y/&=", "a": 1}
    assert rest_query(parameters) == "symbol=%EF%BC%91%EF%BC%92&b=x%20y%2F%26%3D&a=1"
    assert ws_api_payload(parameters | {"signature": "no"}) == "a=1&b=x y/&=&symbol=１２"


@given(st.text(min_size=1, max_size=80), st.dictionaries(st.text(min_size=1), st.text()))
def test_signature_is_plain_hmac(secret, parameters):
    if any("\ud800" <= c <= "\udfff" for c in secret + "".join(parameters) + "".join(
        parameters.values())):  # fmt: skip
        return
    payload = ws_api_payload(parameters)
    wanted = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert Signer(Secret(secret)).ws_api(parameters) == wanted


def test_a_signer_does_not_show_its_secret():
    signer = Signer(Secret("canary-secret"))
    assert "canary" not in repr(signer) + str(signer) + f"{signer}"
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            way(signer)
