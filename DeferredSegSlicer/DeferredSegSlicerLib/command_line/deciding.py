"""`deferredseg decide`: a reader's decisions on deferral regions, into the same journal as the panel's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ..core.case import open_case
from ..core.errors import BadInputError
from ..core.review import Change, ReviewSession, Row
from ..core.review.decisions import DEFAULT_MARGIN_MM, Limit
from .console import output, remarks, swatch
from .decider import Decider, region_of
from .offering import Offering
from .options import BudgetOption, CaseArgument, WithoutOption, prepared
from .readers import budget_of_reader, reader_named
from .wishes import Wish, read_wishes

_ACTIONS = (
    "--list, --offers, --accept, --skip, --reassign, --alternative, --labels, --undo, --accept-all-open or --from"
)


def decide(
    case: CaseArgument,
    reader: Annotated[
        str, typer.Option(metavar="NAME", help="Who decides: an expert (id or name), or any name.", show_default=False)
    ],
    region: Annotated[
        list[str] | None,
        typer.Option(metavar="ID|NUMBER", help="A region, by its id or its number in --list; may be repeated."),
    ] = None,
    list_regions: Annotated[bool, typer.Option("--list", help="Show the worklist and what became of it.")] = False,
    offers: Annotated[bool, typer.Option("--offers", help="Show the labelings on offer for the regions.")] = False,
    accept: Annotated[bool, typer.Option("--accept", help="The model's label stands.")] = False,
    skip: Annotated[bool, typer.Option("--skip", help="Leave the region undecided.")] = False,
    reassign: Annotated[
        str | None, typer.Option(metavar="EXPERT", help="Another expert (id or name) should look.")
    ] = None,
    alternative: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take a labeling on offer, such as tighter; see --offers.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE.seg.nrrd", help="Take the labels drawn in another program.")
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back the last decision, or the last one on the region.")
    ] = False,
    accept_all_open: Annotated[
        bool,
        typer.Option("--accept-all-open", help="Accept the model's label in every region still to be decided."),
    ] = False,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Decisions from a .json or .csv file.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why a region is skipped.")] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="A note to keep; no patient's name belongs there.")] = "",
    seconds: Annotated[float, typer.Option(metavar="S", help="How long the reader looked at each region.")] = 0.0,
    settle: Annotated[
        bool, typer.Option("--settle", help="End a disagreement: readers who decided otherwise no longer speak there.")
    ] = False,
    margin: Annotated[
        float | None, typer.Option(metavar="MM", help="How far around a region labels may change; 5 for --labels.")
    ] = None,
    lift_limit: Annotated[bool, typer.Option("--lift-limit", help="--labels may change anything anywhere.")] = False,
    reprompt: Annotated[bool, typer.Option("--reprompt", help="--offers asks the network again, too.")] = False,
    bundle: Annotated[
        str | None, typer.Option(metavar="NAME|DIR", help="Where the case's network is, if not among the shipped ones.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the network runs.")] = "auto",
    all_readers: Annotated[bool, typer.Option("--all-readers", help="--list shows what all readers decided.")] = False,
    budget: BudgetOption = None,
    without: WithoutOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="--list and --offers print JSON alone.")] = False,
) -> int:
    """Decide on deferral regions as a reader: accept, skip, reassign, take a labeling, undo; each is a journal line."""
    chosen = [
        name
        for name, given in (
            ("list", list_regions), ("offers", offers), ("accept", accept), ("skip", skip), ("undo", undo),
            ("reassign", reassign is not None), ("alternative", alternative is not None),
            ("labels", labels is not None), ("accept-all-open", accept_all_open), ("from", from_file is not None),
        )
        if given
    ]  # fmt: skip
    if len(chosen) != 1:
        raise BadInputError(f"give one of {_ACTIONS}{'; they exclude each other' if chosen else ''}")
    (action,) = chosen
    regions = region or []
    _check_options(
        action,
        regions,
        {
            "--reason": (bool(reason), ("skip",)),
            "--margin": (margin is not None, ("labels", "alternative", "offers", "from")),
            "--lift-limit": (lift_limit, ("labels",)),
            "--reprompt": (reprompt, ("offers",)),
            "--all-readers": (all_readers, ("list",)),
            "--json": (as_json, ("list", "offers")),
            "--settle": (settle, ("accept", "alternative", "labels", "from")),
        },
    )
    opened = open_case(case)
    who = reader_named(opened, reader)
    share = budget_of_reader(opened, who, budget)
    read_only = action in ("list", "offers")
    with ReviewSession(opened, prepared(opened, without), who, share, read_only=read_only) as session:
        if action == "list":
            session.show_all_readers(all_readers)
            return _list(session, as_json)
        offering = Offering(session, bundle, device, margin or 0.0)
        if action == "offers":
            return _offer(session, offering, regions, reprompt, as_json)
        if action == "from":
            assert from_file is not None
            wishes = read_wishes(from_file)
        elif action == "accept-all-open":
            wishes = [Wish("accept", row.id, note=note) for row in session.table.all_rows if _is_open(row, who.id)]
        else:
            value = reassign or alternative or (str(labels) if labels is not None else "")
            named: Sequence[str | None] = regions or [None]
            wishes = [Wish(action, one, value, reason, note, seconds) for one in named]
        limit = Limit(DEFAULT_MARGIN_MM if margin is None else margin, lift_limit)
        if action == "accept-all-open" and wishes:
            said = f'accepting {len(wishes)} regions unseen: each is recorded as the judgment of "{who.name}"'
            remarks().print(said, markup=False, soft_wrap=True)
        decider = Decider(session, offering, limit, settle)
        try:
            decider.decide(wishes)
        finally:
            _report(session, decider.done)
    return 0


def _check_options(action: str, regions: Sequence[str], options: dict[str, tuple[bool, tuple[str, ...]]]) -> None:
    """Raise BadInputError for options that do not go together."""
    for name, (given, actions) in options.items():
        if given and action not in actions:
            raise BadInputError(f"{name} does not go with --{action}; it is for --{', --'.join(actions)}")
    if regions and action in ("list", "accept-all-open", "from"):
        raise BadInputError(f"--region does not go with --{action}")
    if not regions and action not in ("list", "accept-all-open", "from", "undo"):
        raise BadInputError(f"--{action} needs at least one --region, by id or number; --list shows them")


def _is_open(row: Row, reader: str) -> bool:
    return row.state != "conflict" and not row.status.is_done(reader)


def _list(session: ReviewSession, as_json: bool) -> int:
    rows, progress = session.table.all_rows, session.progress
    experts = {e.id: e for e in session.case.experts}
    if as_json:
        listed = [
            {
                "number": row.rank + 1,
                **row.region.to_json(),
                "status": row.state,
                "waiting_for": list(row.status.waiting_for),
                "readers": list(row.status.readers),
            }
            for row in rows
        ]
        told = {"reader": session.reader.id, "budget": session.budget, "done": progress.done, "total": progress.total}
        seconds = {"seconds_left": progress.seconds_left, "conflicts": len(session.conflicts)}
        print(json.dumps({**told, **seconds, "regions": listed}, indent=2, allow_nan=False))
        return 0
    names = {s.id: s.name for s in session.case.structures}
    whose = "all readers" if session.all_readers_shown else session.reader.name
    table = Table(title=f"{len(rows)} regions, worst first, at a budget of {100 * session.budget:.3g} %; {whose}")
    for head in ("#", "State", "Structure", "Expert", "ml", "Slices", "Error (ml)", "Region"):
        numbers = head in ("#", "ml", "Error (ml)")
        table.add_column(head, justify="right" if numbers else "left", no_wrap=head != "Region", overflow="fold")
    for row in rows:
        first, last = row.region.slice_range
        expert = experts[row.expert]
        table.add_row(
            str(row.rank + 1),
            row.state,
            names.get(row.region.structure, row.region.structure),
            swatch(expert.color, expert.name),
            f"{row.region.volume_ml:.2f}",
            f"{first}-{last}",
            f"{row.region.expected_error_ml:.3f}",
            row.id,
        )
    output().print(table)
    _say_progress(session)
    return 0


def _offer(session: ReviewSession, offering: Offering, regions: Sequence[str], network: bool, as_json: bool) -> int:
    found: list[tuple[str, list[dict[str, Any]], dict[str, str]]] = []
    for name in regions:
        region = region_of(session, name)
        offered, refused = list(offering.from_maps(region)), {}
        if network:
            offered, refused = [*offering.from_network(region), *offered], offering.refused
        found.append((region.id, offering.plain(region, offered), refused))
    if as_json:
        listed = [{"region": region, "offers": offers, "refused": refused} for region, offers, refused in found]
        print(json.dumps({"reader": session.reader.id, "budget": session.budget, "regions": listed}, indent=2))
        return 0
    for title, offers, refused in found:
        table = Table(title=title)
        for head in ("Labeling", "Voxels changed", "Structure (ml)"):
            table.add_column(head, justify="left" if head == "Labeling" else "right")
        for offer in offers:
            table.add_row(offer["name"], str(offer["changed_voxels"]), f"{offer['delta_ml']:+.2f}")
        output().print(table)
        for name, why in refused.items():
            remarks().print(f'"{name}" is not on offer: {why}', markup=False, soft_wrap=True)
    return 0


def _report(session: ReviewSession, done: Sequence[Change]) -> None:
    """What was written, also if something failed after it; corrected.seg.nrrd is brought up to date."""
    for change in done:
        entry = change.entry
        region = getattr(entry.decision, "region", None)
        where = region.id if region is not None else f"line {entry.decision.line.n}"  # type: ignore[union-attr]
        output().print(f"{entry.decision.kind} {where} (line {entry.n})", markup=False, soft_wrap=True)
    if done:
        path = session.save()
        remarks().print(f'wrote "{path}"', markup=False, soft_wrap=True)
        _say_progress(session)


def _say_progress(session: ReviewSession) -> None:
    done, total, left = session.progress
    conflicts = f"; readers disagree in {len(session.conflicts)} places" if session.conflicts else ""
    remarks().print(f"{done} of {total} regions done, about {left / 60:.1f} min left{conflicts}", markup=False)
