"""MODEL_CARD.md of a trained bundle: what it is, what for, from which data and experts, how good, and its limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..core.errors import BadInputError

if TYPE_CHECKING:
    from .training.config import TrainingConfig
    from .training.task import TrainingRecord

LIMITS = (
    "It was trained on the data named above alone. On other scanners, protocols, ages, diseases and structures neither "
    "its labels nor what it hands over has been measured.",
    "A routing probability is a prediction learned from the experts above, not a judgment of a person's work. With "
    "other readers the right routing may be another one.",
    "The figures above are of the validation split, which also chose the epoch: they are too good by some amount. Only "
    "`deferredseg evaluate` on data that had no part in training says how good the bundle is.",
    "What is not handed over is not necessarily right.",
)


class Used(Protocol):
    """An image that took part; the data sets' `Subject` is one."""

    @property
    def patient(self) -> str: ...
    @property
    def split(self) -> Any: ...
    @property
    def modality(self) -> Any: ...


class Source(Protocol):
    """A data set: its name, license and citation."""

    @property
    def name(self) -> str: ...
    @property
    def license(self) -> str: ...
    @property
    def citation(self) -> str: ...


def model_card(
    record: TrainingRecord,
    description: Mapping[str, Any],
    subjects: Iterable[Used] = (),
    limits: Sequence[str] = (),
    datasets: Sequence[Source] | None = None,
) -> str:
    """The card as Markdown. It counts patients and names none.

    Parameters
    ----------
    record : of the training. description : as it goes to `bundle_writer.write_bundle`.
    subjects : images of the splits train and validation that were used. limits : sentences besides `LIMITS`.
    datasets : with their licenses; opened from the configuration if not given.
    """
    config = record.config
    sources = list(datasets) if datasets is not None else _open_sources(config)
    parts = [
        f"# {description['name']}",
        _summary(description, record),
        "## Intended use",
        "Research only; not a medical device. For reading with an expert who decides: the bundle proposes a "
        "segmentation and hands the places where it expects to be wrong to readers. No diagnosis and no treatment may "
        "rest on it.",
        "## Training data",
        _data(config, sources),
        _split(list(subjects)),
        "## Experts",
        _experts(config, description),
        "## Validation figures",
        f"Of epoch {record.best_epoch}, the best of {record.epochs} by the score, on the validation split:",
        _table(("figure", "value"), [("score", record.validation.score), *record.validation.figures.items()]),
        "## Training",
        _training(record),
        "## Limits",
        "\n".join(f"- {sentence}" for sentence in (*limits, *LIMITS)),
        "## Software",
        _table(("package", "version"), list(record.versions.items())),
    ]
    citations = [str(citation) for citation in description.get("citations", ())]
    if citations:
        parts += ["## Cite", "\n".join(f"- {citation}" for citation in citations)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(description: Mapping[str, Any], record: TrainingRecord) -> str:
    config, head = record.config, description.get("head") or {}
    rows: list[tuple[str, Any]] = [("task", config.task), ("family", description.get("family"))]
    if config.segmentor is not None:
        rows.append(("segmentor", config.segmentor.bundle))
    if config.network:
        rows.append(("network", _compact(config.network)))
    if head:
        rows += [("head", head.get("kind")), ("mode", head.get("mode")), ("experts", len(head.get("experts", ())))]
        rows.append(("head settings", _compact(head.get("settings", {}))))
    rows.append(("license", description.get("license")))
    return "Segmentation with learned deferral. Research use only; not a medical device.\n\n" + _table(("", ""), rows)


def _open_sources(config: TrainingConfig) -> list[Source]:
    found: list[Source] = []
    for data in config.data:
        try:
            found.append(data.open(config.seed))
        except BadInputError:  # the folder may have gone since; the card then says that the license is not known
            continue
    return found


def _data(config: TrainingConfig, sources: Sequence[Source]) -> str:
    if not config.data and not sources:
        return "None is named in the configuration."
    rows = [(source.name, source.license, source.citation) for source in sources]
    if len(rows) < len(config.data):
        names = {name for name, _, _ in rows}
        rows += [(data.kind, "not known", "not known") for data in config.data if data.kind not in names]
    return _table(("data set", "license", "cite"), rows)


def _split(subjects: Sequence[Used]) -> str:
    """Counts by split and modality; a patient is in one split alone."""
    if not subjects:
        return ""
    kinds = sorted({(str(subject.split), str(subject.modality)) for subject in subjects})
    rows = []
    for split, modality in kinds:
        these = [s for s in subjects if (str(s.split), str(s.modality)) == (split, modality)]
        rows.append((split, modality, len({subject.patient for subject in these}), len(these)))
    return "Split by patient:\n\n" + _table(("split", "modality", "patients", "images"), rows)


def _experts(config: TrainingConfig, description: Mapping[str, Any]) -> str:
    experts = config.experts
    named = [str(expert.get("name", expert.get("id"))) for expert in (description.get("head") or {}).get("experts", ())]
    names = f" They are: {', '.join(named)}." if named else ""
    if experts.simulated is None:
        return f"Human readers whose labels come with the data.{names}"
    kind = {
        "correlated": "spatially correlated errors",
        "specialists": "large, spatially correlated errors outside their speciality",
    }.get(experts.simulated, "the published independent flips")
    return (
        f"**THE EXPERTS WERE SIMULATED: no person's reading was used.** {len(named) or experts.count} readers were "
        f"computed from the reference labels, with {kind} (`{experts.simulated}`, seed {config.seed}).{names} "
        f"What the bundle knows of them says nothing about real readers."
    )


def _training(record: TrainingRecord) -> str:
    config, loop = record.config, record.config.training
    rows: list[tuple[str, Any]] = [
        ("seed", config.seed),
        ("epochs", f"{record.epochs} of {loop.epochs}{', stopped early' if record.stopped_early else ''}"),
        ("learning rate", f"{loop.learning_rate:g}, {loop.warmup_epochs:g} epochs of warmup, then a cosine"),
        ("weight decay", f"{loop.weight_decay:g} (AdamW)"),
        ("items a step", f"{loop.accumulate} of batch {loop.batch}"),
        ("averaged weights", f"decay {loop.ema:g}" if loop.ema is not None else "no"),
        ("mixed precision", loop.amp),
        ("device", f"{record.device}, {record.processes} process{'es' if record.processes > 1 else ''}"),
        ("time", f"{record.seconds / 60:.0f} min"),
        ("loss", _compact(config.loss.model_dump(mode="json"))),
    ]
    if config.head:
        rows.append(("head", _compact(config.head)))
    if config.options:
        rows.append(("options", _compact({key: value for key, value in config.options.items() if key != "cache"})))
    return _table(("setting", "value"), rows)


def _compact(value: Mapping[str, Any]) -> str:
    return "`" + json.dumps(value, default=str) + "`"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("|", "\\|").split())
