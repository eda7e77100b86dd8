"""The same code uncompiled, and compiled ahead of time."""

import ctypes
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from feed.decoder import feed_decode
from runtime.kernels import compiler
from tests.feed.feed_samples import SAMPLES, Bench

ROOT = Path(__file__).resolve().parents[2]


def test_uncompiled_kernels_do_the_same():
    environment = dict(os.environ, NUMBA_DISABLE_JIT="1")
    cases = (
        "test_feed_decoder.py::test_fields",
        "test_feed_decoder.py::test_samples_are_decoded_by_the_compiled_decoder",
        "test_feed_frames.py::test_whole_stream",
        "test_feed_frames.py::test_one_byte_at_a_time",
        "test_feed_frames.py::test_what_a_server_must_not_send",
        "test_feed_sync.py",
        "test_feed_stage.py::test_a_snapshot_that_is_too_old_is_taken_again",
        "test_feed_stage.py::test_a_book_request_brings_a_snapshot_while_the_book_goes_on",
        "test_feed_stage.py::test_frames_that_are_refused",
    )
    command = [sys.executable, "-m", "pytest", "-x", *(f"tests/feed/{case}" for case in cases)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.skipif(not compiler(), reason="there is no C compiler")
def test_ahead_of_time_compilation_gives_the_same_results(tmp_path):
    library = tmp_path / "kernels.so"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    command = [sys.executable, "-m", "runtime.kernel_build", str(library), "feed.decoder"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert json.loads(library.with_suffix(".json").read_text())["feed_decode"] == 4
    ahead = ctypes.CDLL(str(library)).feed_decode
    ahead.argtypes, ahead.restype = [ctypes.c_int64] * 4, ctypes.c_int64
    bench, chance = Bench(), random.Random(5)
    for text in SAMPLES.values():
        for number in range(40):
            raw = bytearray(text.encode())
            if number:
                raw[chance.randrange(len(raw))] = chance.randrange(256)
            assert bench.decode(ahead, bytes(raw)) == bench.decode(feed_decode, bytes(raw))
