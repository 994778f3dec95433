"""The report: one HTML file with pictures, regions, settings, model and versions; opens without a network."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.experts import Expert
from ..core.regions import Region
from .contact_sheet import contact_sheet, region_picture, region_tile
from .report_style import STYLE
from .scene import Scene

PICTURED_REGIONS = 8


def report_html(scene: Scene, notes: Sequence[str] = (), title: str = "Segmentation with deferral") -> str:
    """The report as one HTML document; pictures are inside it, and nothing is loaded from elsewhere.

    Parameters
    ----------
    notes : warnings to show on top, such as the findings of a check.
    title : heading; nothing that names the patient belongs here.
    """
    names = ", ".join(structure.name for structure in scene.structures)
    warnings = [*notes, *scene.settings.get("warnings", []), *([scene.note] if scene.note else [])]
    body = [
        f"<header><h1>{_text(title)}</h1><p class='what'>{_text(names)}</p>",
        "<p class='only'>Research use only. Not a medical device. Every label needs a reader's judgment.</p></header>",
        "".join(f"<p class='warning'>{_text(warning)}</p>" for warning in warnings),
        _figures(scene),
        f"<figure class='sheet'>{_picture(contact_sheet(scene).png, 'Contact sheet')}<figcaption>Lines: the model's"
        " outlines. Filled: voxels handed to a reader, one color per expert. The patient's right is on the left of"
        " axial and coronal pictures.</figcaption></figure>",
        "<h2>Who gets what</h2>",
        _expert_table(scene),
        "<h2>Structures</h2>",
        _structure_table(scene),
        f"<h2>Deferral regions, worst first</h2>{_thumbnails(scene)}",
        _region_table(scene),
        "<h2>How this was made</h2>",
        _details(scene),
    ]
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{_text(title)}</title>"
    head += f"<style>{STYLE}</style>"
    return f"<!DOCTYPE html>\n<html lang='en'><head>{head}</head>\n<body>{''.join(body)}</body></html>\n"


def _figures(scene: Scene) -> str:
    """The few numbers that matter, in large type."""
    minutes = scene.regions.seconds / 60
    tiles = [
        (f"{100 * scene.share:.2g} %", "of the decision zone deferred", f"budget {100 * scene.budget:.3g} %"),
        (str(len(scene.regions)), "regions to review", f"{scene.regions.voxels * scene.geometry.voxel_ml:.1f} ml"),
        (
            f"{minutes:.0f} min" if minutes >= 1 else f"{scene.regions.seconds:.0f} s",
            "expected review",
            "from the profiles",
        ),
        (
            f"{sum(r.expected_error_ml for r in scene.regions):.1f} ml",
            "expected model errors in the regions",
            "sum of error probability",
        ),
    ]
    cells = "".join(
        f"<div><strong>{_text(a)}</strong><span>{_text(b)}</span><small>{_text(c)}</small></div>" for a, b, c in tiles
    )
    return f"<section class='figures'>{cells}</section>"


def _expert_table(scene: Scene) -> str:
    rows = []
    for expert in scene.experts:
        regions = scene.regions_of(expert)
        rows.append(
            [
                _swatch(expert.color) + _text(expert.name),
                _text(expert.role),
                str(len(regions)) if expert.available else "not available",
                f"{sum(r.volume_ml for r in regions):.2f}",
                f"{sum(r.expected_error_ml for r in regions):.3f}",
                f"{sum(r.seconds for r in regions) / 60:.1f}",
            ]
        )
    return _table(["Expert", "Role", "Regions", "Volume, ml", "Expected error, ml", "Review, min"], rows, 2)


def _structure_table(scene: Scene) -> str:
    rows = []
    for number, structure in enumerate(scene.structures):
        regions = [r for r in scene.regions if r.structure == structure.id]
        code, side = structure.terminology.type, structure.terminology.modifier
        meaning = f"{code.meaning}, {side.meaning.lower()}" if side else code.meaning
        rows.append(
            [
                _swatch(structure.color) + _text(structure.name),
                _text(f"{meaning} ({code.scheme} {code.value})"),
                f"{scene.structure_ml(number):.2f}",
                str(len(regions)),
                f"{sum(r.volume_ml for r in regions):.2f}",
            ]
        )
    return _table(["Structure", "Code", "Model's volume, ml", "Regions", "Deferred, ml"], rows, 2)


def _region_table(scene: Scene) -> str:
    """All regions, worst first, with the caption that explains the columns."""
    if not scene.regions:
        return "<p>No voxel is deferred at this budget.</p>"
    experts = {expert.id: expert for expert in scene.experts}
    names = {structure.id: structure.name for structure in scene.structures}
    rows = [_region_row(n, region, names, experts[region.expert]) for n, region in enumerate(scene.regions, start=1)]
    heads = [
        "#",
        "Structure",
        "Expert",
        "Volume, ml",
        "Slices",
        "Center R, A, S, mm",
        "Expected error, ml",
        "Review, s",
        "Region",
    ]
    caption = (
        "<p class='caption'>Worst first: expected error removed per second of review. Slices: how many, and the first"
        " and last index, counted from 0 along the slicing axis. Expected error: the model's own probability of being"
        " wrong, added up over the region.</p>"
    )
    return _table(heads, rows, 3, "regions") + caption


def _region_row(number: int, region: Region, names: Mapping[str, str], expert: Expert) -> list[str]:
    first, last = region.slice_range
    return [
        str(number),
        _text(names.get(region.structure, region.structure)),
        _swatch(expert.color) + _text(expert.name),
        f"{region.volume_ml:.2f}",
        f"{region.slice_count} ({first} to {last})",
        ", ".join(f"{v:.1f}" for v in region.centroid_ras),
        f"{region.expected_error_ml:.3f}",
        f"{region.seconds:.0f}",
        f"<code>{_text(region.id)}</code>",
    ]


def _thumbnails(scene: Scene) -> str:
    """Pictures of the first regions of the list."""
    experts = {expert.id: expert for expert in scene.experts}
    names = {structure.id: structure.name for structure in scene.structures}
    shown = []
    for number, region in enumerate(scene.regions[:PICTURED_REGIONS], start=1):
        expert = experts[region.expert]
        caption = f"{number}. {names.get(region.structure, region.structure)}, {region.volume_ml:.2f} ml"
        lines = (_text(caption), _text(region_tile(scene, region).title), _swatch(expert.color) + _text(expert.name))
        picture = _picture(region_picture(scene, region), caption)
        shown.append(f"<figure>{picture}<figcaption>{'<br>'.join(lines)}</figcaption></figure>")
    return f"<section class='thumbnails'>{''.join(shown)}</section>" if shown else ""


def _details(scene: Scene) -> str:
    geometry = scene.geometry
    grid = {
        "size i, j, k": " x ".join(map(str, geometry.size)),
        "spacing, mm": " x ".join(f"{s:.4g}" for s in geometry.spacing),
        "left-handed": "yes" if geometry.is_left_handed else "no",
        "decision zone, voxels": scene.zone_voxels,
        "case made": scene.created,
    }
    groups = (("Model", scene.model), ("Settings", scene.settings), ("Volume", grid), ("Software", scene.versions))
    return "<section class='details'>" + "".join(_definition_table(n, values) for n, values in groups) + "</section>"


def _definition_table(name: str, values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{_text(str(key).replace('_', ' '))}</th><td>{_text(_plain(value))}</td></tr>"
        for key, value in values.items()
    )
    return f"<table><caption>{_text(name)}</caption>{rows}</table>"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "none" if value is None else str(value)


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]], words: int, kind: str = "") -> str:
    """A table of cells that are HTML already; after the first `words` columns numbers are set to the right."""
    head = "".join(f"<th{' class=n' if n >= words else ''}>{_text(h)}</th>" for n, h in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(f"<td{' class=n' if n >= words else ''}>{cell}</td>" for n, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table class='list {kind}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _swatch(color: tuple[float, float, float]) -> str:
    red, green, blue = (round(255 * c) for c in color)
    return f"<i style='background:rgb({red},{green},{blue})'></i>"


def _picture(png: bytes, alternative: str) -> str:
    return f"<img alt='{_text(alternative)}' src='data:image/png;base64,{base64.b64encode(png).decode('ascii')}'>"


def _text(text: str) -> str:
    return html.escape(text, quote=True)
