"""Signatures and times: known vectors, three kinds of keys, and sessions over a real connection."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from exchange_process import KEY, ROOT, SHARED, TIMEOUT_S, ExchangeProcess, run_to_end

from exchange.api.keys import hmac_hex, hmac_key, public_key
from exchange.api.request_text import read_params
from exchange.api.signing import check_time, rest_payload, ws_payload
from exchange.errors import StartError, VenueError

ACCOUNT = "/fapi/v2/balance"


def test_rest_payload_is_query_then_body_without_separator():
    assert rest_payload("a=1&signature=x&b=2", "c=3") == "a=1&b=2c=3"
    assert rest_payload("a=1", "c=3&signature=x") == "a=1c=3"


def test_ws_payload_is_sorted_raw_text():
    params = {"symbol": "１２", "apiKey": "k", "signature": "s", "price": "0.10"}
    assert ws_payload(params) == "apiKey=k&price=0.10&symbol=１２"


def test_known_hmac():
    # RFC 4231, test case 2.
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_hex("Jefe", "what do ya want for nothing?") == expected


def test_known_ed25519(tmp_path):
    # RFC 8032, section 7.1, test 2.
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    file = tmp_path / "public.pem"
    file.write_bytes(pem(ed25519.Ed25519PublicKey.from_public_bytes(public)))
    key = public_key("name", file)
    assert key.kind == "ED25519"
    key.check("r", base64.b64encode(signature).decode())
    for wrong in ("", "AAAA", "no base64!", base64.b64encode(signature[:-1]).decode()):
        with pytest.raises(VenueError):
            key.check("r", wrong)
    with pytest.raises(VenueError):
        key.check("s", base64.b64encode(signature).decode())


@pytest.mark.recordings
def test_venue_signature_vectors():
    path = SHARED / "protocol" / "signatures.json"
    if not path.is_file():
        pytest.skip("the recordings in ../shared are absent")
    checked = 0
    for row in json.loads(path.read_text()):
        if "secret" not in row:
            continue
        payload = row.get("payload_doc", row["payload"])
        key = hmac_key("name", row["secret"])
        key.check(payload, row["expected"])
        key.check(row["payload"], row["recomputed"].upper())
        assert hmac_hex(row["secret"], payload) == row["expected"], row["name"]
        if "REST" in row["name"] and "mixed" not in row["name"]:
            signed = f"{row['payload']}&signature={row['recomputed']}"
            params = read_params(signed, "", "")
            key.check(rest_payload(signed, ""), params["signature"])
            key.check(rest_payload("", signed), params["signature"])
        elif "WS-API" in row["name"]:
            parts = dict(part.split("=", 1) for part in row["payload"].split("&"))
            shuffled = dict(sorted(parts.items(), key=lambda part: part[1]))
            key.check(ws_payload({**shuffled, "signature": "x"}), row["recomputed"])
        checked += 1
    assert checked >= 5


TIMES = [  # timestamp − now, recvWindow -> accepted
    (0, None, True),
    (999, None, True),
    (1000, None, False),
    (-5000, None, True),
    (-5001, None, False),
    (-100, "100", True),
    (-101, "100", False),
]


@pytest.mark.parametrize(("offset", "window", "accepted"), TIMES)
def test_time_window(offset, window, accepted):
    params = {"timestamp": str(1_000_000 + offset)}
    if window is not None:
        params["recvWindow"] = window
    if accepted:
        check_time(params, 1_000_000)
    else:
        with pytest.raises(VenueError) as caught:
            check_time(params, 1_000_000)
        assert caught.value.code == -1021


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, -1102),
        ({"timestamp": "x"}, -1102),
        ({"timestamp": "9" * 5_000}, -1102),
        ({"timestamp": "1000000", "recvWindow": "60001"}, -1130),
        ({"timestamp": "1000000", "recvWindow": "-1"}, -1102),
    ],
)
def test_malformed_times(params, code):
    with pytest.raises(VenueError) as caught:
        check_time(params, 1_000_000)
    assert caught.value.code == code


def test_keys_never_print():
    shown = repr(hmac_key("visible-key", "visible-secret"))
    assert "visible" not in shown


def test_the_library_is_loaded_only_for_public_keys():
    program = "import sys, exchange.server; print('cryptography' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_file_that_is_no_public_key(tmp_path):
    file = tmp_path / "nothing.pem"
    for text in (None, "hello"):
        if text is not None:
            file.write_text(text)
        with pytest.raises(StartError, match="--public-key"):
            public_key("name", file)
    done = run_to_end("--public-key", f"{KEY}={file}")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def pem(public) -> bytes:
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


class Signers:
    """An exchange that knows an RSA and an Ed25519 key, and the private halves of both."""

    def __init__(self, folder: Path) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self.ed25519 = ed25519.Ed25519PrivateKey.generate()
        arguments = []
        for name, private in (("rsa-key", self.rsa), ("ed-key", self.ed25519)):
            file = folder / f"{name}.pem"
            file.write_bytes(pem(private.public_key()))
            arguments += ["--public-key", f"{name}={file}"]
        self.exchange = ExchangeProcess("--seed", "3", *arguments)

    def sign(self, name: str, text: str) -> str:
        if name == "rsa-key":
            made = self.rsa.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            made = self.ed25519.sign(text.encode())
        return base64.b64encode(made).decode()

    def get(self, name: str, query: str, signature: str) -> requests.Response:
        url = f"{self.exchange.rest}{ACCOUNT}?{query}&signature={signature}"
        return requests.get(url, headers={"X-MBX-APIKEY": name}, timeout=TIMEOUT_S)


@pytest.fixture(scope="module")
def signers(tmp_path_factory) -> Iterator[Signers]:
    made = Signers(tmp_path_factory.mktemp("keys"))
    yield made
    assert made.exchange.close() == 0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.system
@pytest.mark.parametrize("name", ["rsa-key", "ed-key"])
def test_public_keys_over_rest(signers, name):
    query = urlencode({"note": "１２ 3", "timestamp": now_ms()})
    signature = signers.sign(name, query)
    assert signers.get(name, query, quote(signature, safe="")).status_code == 200
    assert signers.get(name, query, signature).status_code == 200  # plus signs as they are
    wrong = signers.get(name, query + "0", quote(signature, safe=""))
    assert wrong.status_code == 400
    other = "ed-key" if name == "rsa-key" else "rsa-key"
    assert signers.get(other, query, quote(signature, safe="")).json()["code"] == -1022
    assert signers.get("nobody", query, quote(signature, safe="")).json()["code"] == -2015


@pytest.mark.system
def test_parameters_of_query_and_body_are_signed_as_sent(signers):
    exchange = signers.exchange
    query, body = "symbol=BTCUSDT&leverage=7", f"timestamp={now_ms()}&leverage=9"
    signature = hmac_hex("test-secret", query + body)
    url = f"{exchange.rest}/fapi/v1/leverage?{query}"
    headers = {
        **exchange.key_header(),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    form = f"{body}&signature={signature}"
    answer = requests.post(url, data=form, headers=headers, timeout=TIMEOUT_S)
    # Venue: a parameter that is in both is taken from the query.
    assert answer.json()["leverage"] == 7
    separated = hmac_hex("test-secret", f"{query}&{body}")
    form = f"{body}&signature={separated}"
    answer = requests.post(url, data=form, headers=headers, timeout=TIMEOUT_S)
    assert answer.json()["code"] == -1022


@pytest.mark.system
def test_what_a_signed_request_lacks(signers):
    exchange = signers.exchange
    url = exchange.rest + ACCOUNT

    def code(headers: dict[str, str], **params: object) -> tuple[int, int]:
        answer = requests.get(url, params=params, headers=headers, timeout=TIMEOUT_S)
        return answer.status_code, answer.json()["code"]

    key = exchange.key_header()
    assert code({}, timestamp=now_ms(), signature="x") == (401, -2014)
    assert code({"X-MBX-APIKEY": "other"}, timestamp=1, signature="x") == (401, -2015)
    assert code(key, timestamp=now_ms()) == (400, -1102)
    assert code(key, signature="x") == (400, -1102)
    assert code(key, timestamp=now_ms() - 10_000, signature="x") == (400, -1021)
    assert code(key, timestamp=now_ms(), signature="x") == (400, -1022)
    assert requests.post(f"{exchange.rest}/fapi/v1/listenKey", timeout=TIMEOUT_S).json() == {
        "code": -2014,
        "msg": "API-key format invalid.",
    }


class Caller:
    """A WS-API connection whose requests are written by the test."""

    def __init__(self, exchange: ExchangeProcess) -> None:
        self._socket = exchange.connect("/ws-fapi/v1")

    def call(self, method: str, **params: object) -> dict:
        self._socket.send(json.dumps({"id": 1, "method": method, "params": params}))
        return json.loads(self._socket.recv())


@pytest.mark.system
def test_a_session_that_is_logged_on_signs_no_more(signers):
    caller = Caller(signers.exchange)
    before = caller.call("session.status")["result"]
    assert before["apiKey"] is None and before["authorizedSince"] is None
    assert caller.call("v2/account.balance", timestamp=now_ms())["error"]["code"] == -2014
    params: dict[str, object] = {"apiKey": "ed-key", "timestamp": now_ms()}
    params["signature"] = signers.sign("ed-key", ws_payload({k: str(v) for k, v in params.items()}))
    logged_on = caller.call("session.logon", **params)["result"]
    assert logged_on["apiKey"] == "ed-key"
    assert logged_on["authorizedSince"] >= logged_on["connectedSince"]
    assert caller.call("v2/account.balance", timestamp=now_ms())["status"] == 200
    assert caller.call("v2/account.balance")["error"]["code"] == -1102
    assert caller.call("v2/account.balance", timestamp=1)["error"]["code"] == -1021
    assert caller.call("session.status")["result"]["apiKey"] == "ed-key"
    assert caller.call("session.logout")["result"]["apiKey"] is None
    assert caller.call("v2/account.balance", timestamp=now_ms())["error"]["code"] == -2014


@pytest.mark.system
def test_only_ed25519_logs_on(signers):
    caller = Caller(signers.exchange)
    params: dict[str, object] = {"apiKey": KEY, "timestamp": now_ms()}
    text = ws_payload({k: str(v) for k, v in params.items()})
    answer = caller.call("session.logon", **params, signature=hmac_hex("test-secret", text))
    assert answer["error"] == {"code": -4056, "msg": "HMAC_SHA256 API key is not supported."}
    params["apiKey"] = "rsa-key"
    text = ws_payload({k: str(v) for k, v in params.items()})
    answer = caller.call("session.logon", **params, signature=signers.sign("rsa-key", text))
    assert answer["error"]["code"] == -4056


@pytest.mark.system
def test_ws_api_takes_rsa_and_raw_text(signers):
    caller = Caller(signers.exchange)
    params: dict[str, object] = {"apiKey": "rsa-key", "timestamp": now_ms(), "note": "１２"}
    text = ws_payload({k: str(v) for k, v in params.items()})
    answer = caller.call("v2/account.balance", **params, signature=signers.sign("rsa-key", text))
    assert answer["status"] == 200
