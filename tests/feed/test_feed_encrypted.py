"""The stage over TLS: Python receives, compiled code does the rest."""

import shutil
import ssl
import subprocess

import pytest

from tests.feed.feed_samples import BEST, TRADE
from tests.feed.feed_server import PING, PONG, Venue
from tests.feed.feed_stage import Stage, numbered, synced, synced_again
from tests.naive.feed_frames import frame

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl command")


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += f" -keyout {key} -out {chain} -subj /CN=127.0.0.1"
    words = [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(words, check=True, capture_output=True)
    for name in ("WEBSOCKET_CLIENT_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def test_an_encrypted_stream(certificate):
    greeting = frame(1, BEST.encode())
    venue = Venue(greeting=greeting, tls=certificate)
    stage = Stage(venue, secure="s")
    try:
        stage.agent.on_start()
        stream = synced(stage, venue)
        assert stage.count("best") == 1
        # More than one TLS record, cut anywhere, with a ping in the middle and a shape for the
        # JSON library.
        updates = [numbered(1 + k, 100 + k, 99 + k) for k in range(400)]
        odd = TRADE.replace('"p"', '"\\u0070"').encode()
        stream.send(*updates[:200])
        stream.send_bytes(frame(PING, b"x") + frame(1, odd))
        stream.send(*updates[200:])
        stage.until(lambda: stage.count("frames") == 402)
        assert stream.read() == (PONG, b"x")
        assert (stage.count("gaps"), stage.count("fallback"), stage.count("trades")) == (0, 1, 1)
        assert stage.kinds().count("LEVEL") == 3 + 400 * 4
        stream.close()
        stage.until(lambda: stage.count("disconnects") == 1)
        synced_again(stage, venue)
    finally:
        stage.close()
        venue.close()
