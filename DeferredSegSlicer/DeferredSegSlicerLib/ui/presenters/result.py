"""What is said of a result: of which volume it is, how it was made, and who gets how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..text import _
from .wording import as_sentence, duration_text, ml_text, percent_text, quoted, regions_text, short

if TYPE_CHECKING:
    from ...mrml.legend import LegendRow


@dataclass(frozen=True)
class LegendLine:
    """One line of the legend; color is red, green, blue in 0..1, or None for the sum of all."""

    name: str
    color: tuple[float, float, float] | None
    regions: str
    ml: str
    minutes: str
    off_duty: bool = False


def title(volume: str) -> str:
    """Caption of the result: of which volume it is."""
    return _("Result on {volume}").format(volume=quoted(short(volume)))


def no_result() -> str:
    """Caption while there is none."""
    return _("Result")


def mismatch(result_volume: str, chosen_volume: str) -> str:
    """A loud warning if the result is of another volume than the chosen one, else an empty text. Names are compared
    by the caller, by node; here both are given only if they differ."""
    if not result_volume:
        return ""
    if not chosen_volume:
        return _("This result is of {volume}, which is not the selected volume: none is selected.").format(
            volume=quoted(result_volume)
        )
    return _("CAUTION: this result is of {result}, but {chosen} is selected.").format(
        result=quoted(result_volume), chosen=quoted(chosen_volume)
    )


def method_text(method: str, model: str) -> str:
    """How the voxels to defer were found, in a sentence; `model` is the name of the bundle."""
    return {
        "learned": _("Deferral: learned, by {model}."),
        "margin": _("Deferral: by the model's own doubt (softmax margin)."),
        "entropy": _("Deferral: by the model's own doubt (entropy)."),
        "tta": _("Deferral: by how often the model changes its mind when the image is turned."),
    }.get(method, _("Deferral: by the method {method}.")).format(model=model, method=method)


def notes(settings: Mapping[str, Any], on_duty: int) -> tuple[str, ...]:
    """Warnings to show with the result: the case's own, and that nobody is on duty."""
    found = settings.get("warnings", ())
    warnings = (
        [_("Note: {text}").format(text=as_sentence(str(text))) for text in found]
        if isinstance(found, list | tuple)
        else []
    )
    if on_duty == 0:
        warnings.append(_("Nobody is on duty: nothing is deferred."))
    return tuple(warnings)


def legend_lines(rows: Iterable[LegendRow]) -> tuple[LegendLine, ...]:
    """A line for each expert in the order of the profiles, and the sum if there are several."""
    all_rows = list(rows)
    lines = [_line(row) for row in all_rows]
    if len(all_rows) > 1:
        regions, ml, minutes = (sum(getattr(row, name) for row in all_rows) for name in ("regions", "ml", "minutes"))
        lines.append(LegendLine(_("Together"), None, str(regions), ml_text(ml), _minutes(minutes)))
    return tuple(lines)


def _line(row: LegendRow) -> LegendLine:
    if not row.on_duty:
        return LegendLine(_("{name} (off duty)").format(name=row.name), row.color, "\u2013", "\u2013", "\u2013", True)
    return LegendLine(row.name, row.color, str(row.regions), ml_text(row.ml), _minutes(row.minutes))


def _minutes(minutes: float) -> str:
    return f"{minutes:.1f} min" if 0 < minutes < 9.95 else f"{minutes:.0f} min"


def summary(regions: int, ml: float, minutes: float, share: float) -> str:
    """The result in one line: "12 regions of 34 ml, about 6 min of review, at a budget of 5 %"."""
    if regions == 0:
        return _("Nothing is deferred at a budget of {share}.").format(share=percent_text(share))
    return _("{regions} of {ml}, {minutes} of review, at a budget of {share}").format(
        regions=regions_text(regions),
        ml=ml_text(ml),
        minutes=duration_text(minutes * 60),
        share=percent_text(share),
    )


def hidden_reason() -> str:
    """Why an opacity cannot be changed."""
    return _("Show it first.")


def model_text(model: str) -> str:
    """Which model made the labels."""
    return _("Model: {name}").format(name=model)
