"""Labelings of a region from the network that made the case, by the module's own warm worker.

    reprompt = WorkerReprompt(services)
    module = ModuleLogic(scene, services, reprompt.client)
    review = ReviewLogic(module, services, reprompt=reprompt.follow(module))

The worker is asked aside of its jobs: a segmentation that is begun meanwhile goes first, and a reader who goes on to
the next region does not wait for the answer about the one before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.case import Case
from ...core.errors import BadInputError
from ...core.regions import Region
from ...core.review import Candidate
from ...core.review.runs import position_in
from ...worker.client import Callbacks, WorkerClient
from ...worker.protocol import Error
from ...worker.reprompt_files import read_answer, write_region
from ...worker.reprompt_messages import Alternatives, RepromptOptions
from ..bundles import find_bundle
from ..services import Services
from ..worker_link import MakeClient

if TYPE_CHECKING:
    from ..module_logic import ModuleLogic

MOST = 1
"""Answers of the network that are looked at: the other mask of its decoder. A further one would take the key of a
labeling from the maps, which is mostly nearer to the truth."""

SOON_MS = 1
REGION_FILE, ANSWER_FILE = "region.json", "alternatives.json"

Done = Callable[[Sequence[Candidate]], None]


@dataclass(frozen=True, eq=False)
class _Asked:
    """A question: its request's id, about what, in which folder, and whom to tell."""

    job: str
    case: Case
    region: Region
    folder: Path
    done: Done


class WorkerReprompt:
    """Asks the worker; see `offers.Reprompt`, which this is.

    A labeling that is found changes nothing outside the region. What goes wrong is kept in `problem`, and nothing is
    proposed then: the reader has the labelings from the maps.

    Parameters
    ----------
    services : timer and folders. make_client : makes the worker's client, `WorkerClient` or something like it.

    Attributes
    ----------
    problem : why the last question had no answer, one sentence, or an empty text.
    """

    def __init__(self, services: Services, make_client: MakeClient = WorkerClient) -> None:
        self.problem = ""
        self._services, self._make_client = services, make_client
        self._client: Any = None
        self._module: ModuleLogic | None = None
        self._asked: _Asked | None = None

    def client(self, log_folder: Path, callbacks: Callbacks, **details: Any) -> Any:
        """Make a client whose re-prompts are answered here; called as `WorkerClient` is."""
        both = replace(callbacks, alternatives=self._on_alternatives, no_alternatives=self._on_none)
        self._client = self._make_client(log_folder, both, **details)
        return self._client

    def follow(self, module: ModuleLogic) -> WorkerReprompt:
        """Ask about the case that this module shows, by its worker, which was made by `client`; returns itself."""
        self._module = module
        return self

    @property
    def hindrance(self) -> str:
        """Why the network cannot be asked about the shown case now, or an empty text; for a tool tip."""
        try:
            self._bundle_of(self._shown_case())
        except BadInputError as error:
            return error.sentence
        client = self._client
        if client is not None and client.job is not None:
            return "the worker is segmenting; the network can be asked when it is done"
        if client is not None and client.offers_reprompt is False:
            return "the worker is of an older version, which cannot be asked about a region"
        return ""

    def __call__(self, region: Region, done: Done) -> Callable[[], None]:
        """Ask about a region of the shown case; see `offers.Reprompt`."""
        self._forget()
        self.problem = self.hindrance
        if not self.problem:
            try:
                asked = self._ask(region, done)
                return lambda: self._forget(asked)
            except BadInputError as error:
                self.problem = error.sentence
        return self._nothing_soon(done)

    def _ask(self, region: Region, done: Done) -> _Asked:
        case, module = self._shown_case(), self._module
        structure = next((s for s in case.structures if s.id == region.structure), None)
        if structure is None or structure.box is None:
            raise BadInputError(f'structure "{region.structure}" has no box, so the network cannot be asked about it')
        bundle = self._bundle_of(case)
        assert module is not None
        if not module.start_worker() or self._client is None:
            raise BadInputError("the worker cannot be started; see Set-up")
        folder = self._services.request_folder()
        try:
            write_region(folder / REGION_FILE, region.indices)
            job = self._client.reprompt(
                case.folder.absolute(),
                bundle,
                region.structure,
                folder / REGION_FILE,
                folder / ANSWER_FILE,
                RepromptOptions(module.state.device or "auto", most=MOST),
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._asked = _Asked(job, case, region, folder, done)
        return self._asked

    def _forget(self, asked: _Asked | None = None) -> None:
        """Nobody waits for this question, or for any, any more."""
        current = self._asked
        if current is None or (asked is not None and asked is not current):
            return
        self._asked = None
        if self._client is not None and self._client.reprompting == current.job:
            self._client.forget()
        shutil.rmtree(current.folder, ignore_errors=True)

    def _on_alternatives(self, message: Alternatives) -> None:
        asked, self._asked = self._asked, None
        if asked is None or asked.job != message.job:
            self._asked = asked
            return
        found: Sequence[Candidate] = ()
        try:
            found = _candidates(Path(message.file), asked)
        except BadInputError as error:
            self.problem = error.sentence
        finally:
            shutil.rmtree(asked.folder, ignore_errors=True)
        asked.done(found)

    def _on_none(self, error: Error) -> None:
        asked, self._asked = self._asked, None
        if asked is None or asked.job != error.job:
            self._asked = asked
            return
        self.problem = f"{error.message} {error.advice}".strip()
        shutil.rmtree(asked.folder, ignore_errors=True)
        asked.done(())

    def _nothing_soon(self, done: Done) -> Callable[[], None]:
        """Tell that nothing was found, in a moment: nobody expects an answer before the question was put."""
        stop: Callable[[], None]

        def tell() -> None:
            stop()
            done(())

        stop = self._services.every(SOON_MS, tell)
        return stop

    def _shown_case(self) -> Case:
        shown = None if self._module is None else self._module.shown
        if shown is None:
            raise BadInputError("no case is open; segment a volume or open a case first")
        return shown.case

    def _bundle_of(self, case: Case) -> str:
        """What to ask the worker for: the model of a case, if it is installed."""
        return find_bundle(str(case.model.get("id", "")), self._services.models_folder()).key


def _candidates(path: Path, asked: _Asked) -> list[Candidate]:
    """The labelings of an answer, on the voxels of the region."""
    indices = asked.region.indices
    answer = read_answer(path, asked.case, asked.region.structure, indices)
    found = []
    for alternative in answer.alternatives:
        position, _ = position_in(alternative.after.indices, indices)
        found.append(Candidate(alternative.name, alternative.after.labels[position]))
    return found
