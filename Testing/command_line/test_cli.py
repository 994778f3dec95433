"""The command line from end to end."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.command_line.segmenting import Method
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.metrics.overlap import dice
from DeferredSegSlicerLib.core.segmentation_file import read_segmentation
from DeferredSegSlicerLib.resources import find_resources
from matplotlib.image import imread

LIBRARY = Path(__file__).resolve().parents[2] / "DeferredSegSlicer"
SPLEEN_SLICES = slice(90, 94)

RealRun = tuple[Path, subprocess.CompletedProcess[str]]
"""The case that a run should have written, and how the run ended."""

OFFLINE = """
import os, sys
sys.stdout.reconfigure(line_buffering=True)
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        os.write(2, f"network: {event} {arguments}\\n".encode())
        os._exit(97)
sys.addaudithook(watch)
from DeferredSegSlicerLib.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""A command line that ends with 97 at the first attempt to reach a network."""


def environment() -> dict[str, str]:
    """Of a child process that finds the library."""
    return os.environ | {"PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "2", "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="session")
def a_thin_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four slices of the sample CT."""
    whole = sitk.ReadImage(str(find_resources() / "SampleData" / "body_ct.nrrd"))
    path = tmp_path_factory.mktemp("thin") / "ct.nrrd"
    sitk.WriteImage(whole[:, :, SPLEEN_SLICES], str(path))
    return path


@pytest.fixture(scope="session")
def a_real_run(tmp_path_factory: pytest.TempPathFactory, a_thin_ct: Path) -> RealRun:
    """The case of a real run of the default network, with every network connection forbidden."""
    case = tmp_path_factory.mktemp("run") / "new folder" / "case"
    reference = find_resources() / "SampleData" / "body_ct_reference.seg.nrrd"
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, "segment", str(a_thin_ct), "-o", str(case), "--from-segmentation",
         str(reference), "--segment", "spleen", "--budget", "0.1", "--device", "cpu"],
        env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600,
    )  # fmt: skip
    return case, done


def test_segment_runs_without_any_network_connection(
    a_real_run: RealRun,
) -> None:
    _, done = a_real_run
    assert done.returncode == 0, done.stderr
    assert "spleen" in done.stdout and "network:" not in done.stderr
    assert "Warning" not in done.stderr, "libraries' remarks to programmers are not for the user"


def test_the_watch_on_the_network_would_see_a_connection() -> None:
    code = OFFLINE.replace("from DeferredSegSlicerLib.cli import main", "import socket").replace(
        "sys.exit(main(sys.argv[1:]))", "socket.create_connection(('127.0.0.1', 9), 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 97 and "network: socket." in done.stderr


def test_segment_leaves_a_whole_case_on_the_grid_of_the_image(
    a_real_run: RealRun, a_thin_ct: Path, deferredseg: Callable
) -> None:
    case = open_case(a_real_run[0])
    assert case.geometry.differences_from(Geometry.of_image(sitk.ReadImage(str(a_thin_ct)))) == []
    assert [s.name for s in case.structures] == ["spleen"] and len(case.experts) == 3
    assert case.settings["budget"] == 0.1 and case.settings["window"] == {"level": 40.0, "width": 400.0}
    checked = deferredseg("check", a_real_run[0])
    assert checked.code == 0 and "is whole" in checked.out


def test_the_default_network_finds_the_spleen(a_real_run: RealRun) -> None:
    truth = read_segmentation(find_resources() / "SampleData" / "body_ct_reference.seg.nrrd")
    spleen = truth.mask(truth.segment("spleen"))[SPLEEN_SLICES]
    assert dice(open_case(a_real_run[0]).label() == 1, spleen) > 0.7


def test_the_stored_budget_is_the_default_of_the_other_commands(a_real_run: RealRun, deferredseg: Callable) -> None:
    assert json.loads(deferredseg("regions", a_real_run[0], "--json").out)["budget"] == 0.1


def heed_interrupts() -> None:
    """A shell's background jobs ignore Ctrl-C, and so do their children unless told otherwise."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_nothing_behind(how: signal.Signals, code: int, a_thin_ct: Path, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "DeferredSegSlicerLib", "segment", str(a_thin_ct), "-o", str(tmp_path / "case"),
         "--box=spleen=-154,68,333,-43,188,433", "--device", "cpu"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        preexec_fn=heed_interrupts,
    )  # fmt: skip
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("segment"):  # not earlier: an import may swallow an interrupt
            break
    child.send_signal(how)
    _, err = child.communicate(timeout=60)
    assert child.returncode == code and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_regions_lists_the_worst_first(a_case: Path, deferredseg: Callable) -> None:
    ran = deferredseg("regions", a_case)
    assert ran.code == 0 and "worst first" in ran.out and "right ball" in ran.out
    values = [r["value"] for r in json.loads(deferredseg("regions", a_case, "--json").out)["regions"]]
    assert values == sorted(values, reverse=True) and len(values) > 1


def test_json_is_alone_on_stdout(a_case: Path, deferredseg: Callable) -> None:
    ran = deferredseg("regions", a_case, "--json", "--budget", "0.1")
    found = json.loads(ran.out)
    assert found["budget"] == 0.1 and found["deferred_share"] <= 0.1
    assert found["region_voxels"] == sum(r["voxels"] for r in found["regions"]) <= 0.1 * found["zone_voxels"]


def test_a_larger_budget_defers_more_and_none_defers_nothing(a_case: Path, deferredseg: Callable) -> None:
    shares = [
        json.loads(deferredseg("regions", a_case, "--json", "--budget", b).out)["deferred_voxels"]
        for b in (0, 0.01, 0.05, 0.2)
    ]
    assert shares[0] == 0 and shares == sorted(shares) and len(set(shares)) == 4


def test_an_expert_on_leave_gets_nothing_and_the_others_get_it(a_case: Path, deferredseg: Callable) -> None:
    ran = deferredseg("regions", a_case, "--json", "--without", "lesion-extent")
    found = json.loads(ran.out)
    assert {r["expert"] for r in found["regions"]} == {"normal-tissue"}
    share = {e["id"]: e["deferred_share"] for e in found["experts"]}
    assert share["lesion-extent"] == 0 and share["normal-tissue"] > 0


def test_with_everybody_on_leave_nothing_is_deferred_and_it_says_so(a_case: Path, deferredseg: Callable) -> None:
    names = [word for e in open_case(a_case).experts for word in ("--without", e.id)]
    ran = deferredseg("regions", a_case, *names)
    assert ran.code == 0 and "no expert is available" in ran.err


def test_minutes_and_numbers_of_regions_are_kept(a_case: Path, deferredseg: Callable) -> None:
    in_minutes = json.loads(deferredseg("regions", a_case, "--json", "--minutes", "1.5").out)
    assert 0 < in_minutes["review_seconds"] <= 90
    in_regions = json.loads(deferredseg("regions", a_case, "--json", "--max-regions", "2").out)
    assert 1 <= len(in_regions["regions"]) <= 2


def test_render_draws_a_picture(a_case: Path, tmp_path: Path, deferredseg: Callable) -> None:
    ran = deferredseg("render", a_case, "-o", tmp_path / "sheet.png", "--slices", "4")
    assert ran.code == 0 and ran.out == ""
    picture = imread(io.BytesIO((tmp_path / "sheet.png").read_bytes()), format="png")
    assert picture.shape[0] > 300 and picture.shape[1] > 600 and np.asarray(picture)[..., :3].std() > 0.05


def test_report_is_one_file(a_case: Path, tmp_path: Path, deferredseg: Callable) -> None:
    before = set(tmp_path.iterdir())
    assert deferredseg("report", a_case, "-o", tmp_path / "report.html").code == 0
    assert set(tmp_path.iterdir()) - before == {tmp_path / "report.html"}
    assert "a formula" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_info_tells_versions_devices_and_bundles(deferredseg: Callable) -> None:
    found = json.loads(deferredseg("info", "--json").out)
    assert found["devices"]["cpu"] == "works" and "litemedsam" in found["bundles"]
    assert found["versions"]["numpy"] == np.__version__
    assert "litemedsam" in deferredseg("info").out


def test_the_methods_of_the_command_line_are_those_of_the_engine() -> None:
    from DeferredSegSlicerLib.engine.deferral import METHODS

    assert {method.value for method in Method} == {"auto", *METHODS}
