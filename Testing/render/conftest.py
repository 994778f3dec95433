"""Scenes on grids of every kind: a gray ball with two deferral regions at known places in the patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.regions import Region, RegionList
from DeferredSegSlicerLib.core.structures import Box, make_structures
from DeferredSegSlicerLib.render.contact_sheet import ContactSheet, contact_sheet
from DeferredSegSlicerLib.render.scene import Scene, paint

RIGHT_SIDE, FRONT = np.array([14.0, 0.0, 0.0]), np.array([0.0, 14.0, 0.0])
"""Where the two regions lie, RAS mm from the ball's center: on the patient's right, and in front."""

ORANGE, BLUE = (0.902, 0.624, 0.0), (0.0, 0.447, 0.698)


def rotated(degrees: float, flip: bool = False) -> tuple[float, ...]:
    """A direction matrix turned about a slanted axis, mirrored along its first axis if wanted."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    matrix = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return tuple((matrix @ np.diag([-1.0 if flip else 1.0, 1.0, 1.0])).ravel())


GRIDS = {
    "plain": Geometry((40, 44, 30), (1.5, 1.5, 2.5)),
    "head first stored upside down": Geometry(
        (40, 44, 30), (1.5, 1.5, 2.5), direction_lps=(1, 0, 0, 0, -1, 0, 0, 0, -1)
    ),
    "left-handed": Geometry((40, 44, 30), (1.5, 1.5, 2.5), direction_lps=(1, 0, 0, 0, 1, 0, 0, 0, -1)),
    "sagittal": Geometry((44, 40, 30), (1.5, 1.5, 2.5), direction_lps=(0, 0, 1, 1, 0, 0, 0, -1, 0)),
    "coronal": Geometry((40, 44, 30), (1.5, 1.5, 2.5), direction_lps=(1, 0, 0, 0, 0, 1, 0, -1, 0)),
    "oblique": Geometry((40, 44, 30), (1.5, 1.5, 2.5), (3.0, -8.0, 20.0), rotated(25)),
    "oblique and left-handed": Geometry((40, 44, 30), (1.5, 1.5, 2.5), (3.0, -8.0, 20.0), rotated(-20, flip=True)),
}


def make_scene(geometry: Geometry) -> Scene:
    """A ball of 15 mm; 4 mm balls on its right (orange expert) and front (blue expert) are deferred."""
    ras = positions(geometry)
    middle = geometry.ras_of((np.asarray(geometry.size) - 1) / 2)
    ball = np.linalg.norm(ras - middle, axis=-1) <= 15
    image = np.where(ball, 60, -80).astype(np.int16)
    ball_structure = make_structures([("ball", Box((0, 0, 0), (1, 1, 1)))])[0]
    structures = (replace(ball_structure, color=(0.7, 0.7, 0.7)),)
    competence = Competence(0.9, 0.9, 0.9)
    experts = (
        Expert("right-reader", "Right reader", "reads the right", ORANGE, competence),
        Expert("front-reader", "Front reader", "reads the front", BLUE, competence),
    )
    places = (("right-reader", RIGHT_SIDE), ("front-reader", FRONT))
    regions = RegionList(tuple(_region(geometry, ras, middle + place, expert) for expert, place in places))
    return Scene(
        geometry, image, ball.astype(np.uint8), paint(regions, experts, geometry), structures, experts, regions,
        budget=0.05, zone_voxels=10_000, display_window=(0.0, 400.0), model={"name": "a model"},
        settings={"method": "margin"},
    )  # fmt: skip


def positions(geometry: Geometry) -> np.ndarray:
    """RAS mm of every voxel [k, j, i, 3]."""
    k, j, i = np.indices(geometry.shape)
    return geometry.ras_of(np.stack([i, j, k], axis=-1))


def _region(geometry: Geometry, ras: np.ndarray, center: np.ndarray, expert: str) -> Region:
    mask = np.linalg.norm(ras - center, axis=-1) <= 4
    indices = np.flatnonzero(mask)
    k, j, i = np.nonzero(mask)
    along = (i, j, k)[geometry.slicing_axis]
    return Region(
        f"ball:{expert}:0", "ball", expert, len(indices), len(indices) * geometry.voxel_ml, len(set(along.tolist())),
        (int(along.min()), int(along.max())),
        ((int(i.min()), int(j.min()), int(k.min())), (int(i.max()) + 1, int(j.max()) + 1, int(k.max()) + 1)),
        tuple(center.tolist()), 5.0, 0.02, 30.0, 0.001, indices=indices,
    )  # fmt: skip


@pytest.fixture(scope="session", params=list(GRIDS))
def a_scene(request: pytest.FixtureRequest) -> Scene:
    """The ball on each kind of grid."""
    return make_scene(GRIDS[request.param])


@pytest.fixture(scope="session")
def a_sheet(a_scene: Scene) -> ContactSheet:
    """The contact sheet of the ball on each kind of grid."""
    return contact_sheet(a_scene)


@pytest.fixture(scope="session")
def a_plain_scene() -> Scene:
    """The ball on an axial, right-handed grid."""
    return make_scene(GRIDS["plain"])


@pytest.fixture(scope="session")
def a_plain_sheet(a_plain_scene: Scene) -> ContactSheet:
    """Its contact sheet."""
    return contact_sheet(a_plain_scene)
