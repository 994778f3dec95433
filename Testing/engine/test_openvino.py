"""The OpenVINO encoder: the numbers of torch, and never a connection to anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from DeferredSegSlicerLib.engine.openvino_encoder import OpenVinoEncoder, import_openvino
from DeferredSegSlicerLib.engine.tiny_vit import TinyViTEncoder

pytest.importorskip("openvino_telemetry", reason="openvino is an optional extra")
LIBRARY = Path(__file__).resolve().parents[2] / "DeferredSegSlicer"

ENCODE_AND_LISTEN = """
import socket, sys
opened = []
def record(*arguments, **_):
    opened.append(arguments)
    print("OPENED", arguments[:2], flush=True)
    raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = record
{unguarded}
import atexit, numpy, torch
from DeferredSegSlicerLib.engine.openvino_encoder import OpenVinoEncoder
encoder = OpenVinoEncoder(torch.nn.Conv2d(3, 4, 3, padding=1), 16, threads=1)
answer = encoder(torch.rand(3, 3, 16, 16))
print("ENCODED", tuple(answer.shape), flush=True)
import threading, time
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(1)
time.sleep(0.5)
"""


def listen(tmp_path: Path, unguarded: str = "") -> str:
    """Run an encode in a fresh process as a new user outside continuous integration; what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environment.update(HOME=str(tmp_path), PYTHONPATH=str(LIBRARY))
    script = ENCODE_AND_LISTEN.replace("{unguarded}", unguarded)
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert "ENCODED (3, 4, 16, 16)" in run.stdout, run.stderr
    return run.stdout


def test_encoding_opens_no_connection_and_writes_nothing_into_the_home(tmp_path):
    assert "OPENED" not in listen(tmp_path)
    assert not (tmp_path / "intel").exists()


def test_the_listener_hears_the_telemetry_when_it_is_let_in(tmp_path):
    """Proves that the test above can fail: OpenVINO imported before our guard does phone home."""
    assert "OPENED" in listen(tmp_path, unguarded="import openvino")


@torch.inference_mode()
@pytest.mark.parametrize(("threads", "streams"), [(1, 1), (2, 2), (8, 4)])
def test_the_embeddings_are_those_of_torch_for_one_slice_and_for_many(threads, streams):
    torch.manual_seed(4)
    encoder = TinyViTEncoder().eval()
    converted = OpenVinoEncoder(encoder, 64, threads=threads, precision="f32")
    images = torch.rand(5, 3, 64, 64)
    expected = encoder(images)
    assert converted.streams == streams
    assert torch.allclose(converted(images), expected, atol=1e-4)
    assert torch.allclose(converted(images[4:]), expected[4:], atol=1e-4)
    assert torch.allclose(converted(images[:2]), expected[:2], atol=1e-4)


@torch.inference_mode()
def test_mixed_precision_is_close_to_torch_and_auto_takes_it_only_where_the_processor_has_it():
    torch.manual_seed(4)
    encoder = TinyViTEncoder().eval()
    images = torch.rand(2, 3, 64, 64)
    expected = encoder(images)
    mixed = OpenVinoEncoder(encoder, 64, threads=2, precision="mixed")(images)
    assert (mixed - expected).abs().mean() < 0.02 * expected.abs().mean()
    capabilities = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    chosen = OpenVinoEncoder(encoder, 64, threads=2, precision="auto").precision
    assert chosen == ("mixed" if "BF16" in capabilities else "f32")


@torch.inference_mode()
def test_the_halves_of_the_encoder_are_the_encoder():
    torch.manual_seed(4)
    encoder = TinyViTEncoder().eval()
    image = torch.rand(1, 3, 64, 64)
    for stages in (0, 2, 4):
        first, second = encoder.halves(stages)
        assert torch.equal(second(first(image)), encoder(image))


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="f64"):
        OpenVinoEncoder(TinyViTEncoder(), 64, precision="f64")
