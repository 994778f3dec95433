"""A review from the choice of a reader to its end, following what happens to the case and to the scene."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ...core.case import Case
from ...core.errors import BadInputError, DamagedCaseError, DeferredSegError
from ...core.review import Reader, ReviewSession
from ...core.review.names import journal_file
from ...core.review.scanning import read_bookmark
from ...mrml.names import CASE_ID_ATTRIBUTE
from ...mrml.review.corrected import find_corrected
from ...mrml.review.dimming import undim
from ...mrml.review.helper_nodes import clear_leftovers, remove_node
from ..observers import Observers
from ..services import Services
from ..shown_case import ShownCase
from ..signal import Signal
from . import readers as who
from .desk import Desk
from .drafts import Draft, read_draft
from .lists import lists_of
from .offers import Reprompt
from .readers import ReaderChoice
from .stopwatch import Stopwatch

if TYPE_CHECKING:
    from ..module_logic import ModuleLogic

READER_KEY, READER_NAME_KEY = "DeferredSegSlicer/Review/Reader", "DeferredSegSlicer/Review/ReaderName"
"""Settings: who reviewed last on this computer."""

TICK_MS = 100
NOBODY = "choose who you are first"


class ReviewLife:
    """What a review needs before a region is decided on, and after the last one.

    Parameters
    ----------
    module : whose shown case is reviewed; its signals are followed.
    services : timer and settings.
    software : versions to keep with decisions beside the library's, such as {"slicer": "5.12.3"}.
    clock : seconds. reprompt : proposes labelings by running the network, or None.

    Attributes
    ----------
    changed : something is different: reader, rows, current region, edit, labelings on offer.
    failed : with a DeferredSegError of something that was going on in the background.
    """

    def __init__(
        self,
        module: ModuleLogic,
        services: Services,
        *,
        software: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        reprompt: Reprompt | None = None,
    ) -> None:
        self.changed, self.failed = Signal(), Signal()
        self._module, self._services, self._clock = module, services, clock
        self._software, self._reprompt = dict(software or {}), reprompt
        self._desk: Desk | None = None
        self._refusal = ""
        self._warnings: tuple[str, ...] = ()
        self._draft: Draft | None = None
        self._watch = Stopwatch(clock)
        self._followed: ShownCase | None = module.shown
        self._stop_timer: Callable[[], None] | None = None
        self._looked_at = 0.0
        self._told = ""
        self._wants_offers = False
        self._offers_due = False
        self._follow_views = True
        self._observers = Observers()
        self._observers.add(module.scene, module.scene.StartCloseEvent, self._on_scene_closes)
        self._disconnect = module.changed.connect(self._follow)

    @property
    def active(self) -> bool:
        """Whether somebody reviews the shown case."""
        return self._desk is not None

    @property
    def session(self) -> ReviewSession | None:
        """The review as the library has it, to look at; decisions go through this object."""
        return None if self._desk is None else self._desk.session

    @property
    def case(self) -> Case | None:
        """The case that is shown, reviewed or not."""
        return None if self._module.shown is None else self._module.shown.case

    @property
    def reader(self) -> Reader | None:
        """Who reviews."""
        return None if self._desk is None else self._desk.session.reader

    @property
    def readers(self) -> tuple[ReaderChoice, ...]:
        """Whom one can choose to be: the case's experts, and others with a journal; anybody else may give a name."""
        return () if self.case is None else who.choices(self.case)

    @property
    def remembered(self) -> str:
        """Id of who reviewed last on this computer, or an empty text."""
        return self._services.setting(READER_KEY)

    @property
    def read_only(self) -> bool:
        """Whether one can only look; `refusal` says why."""
        return self._desk is not None and self._desk.session.journal is None

    @property
    def refusal(self) -> str:
        """Why nothing can be decided: the review is open elsewhere, or the folder is read-only; or an empty text."""
        return self._refusal

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader should know of the journals: left out since damaged, or mended after a crash."""
        return self._warnings

    @property
    def draft(self) -> Draft | None:
        """An edit of this reader that was never finished: Slicer died, or the case was closed meanwhile."""
        return self._draft

    def begin(self, reader: str | Reader, *, leave_out_damaged: bool = False) -> bool:
        """Review the shown case as somebody, where that reader was the last time.

        Parameters
        ----------
        reader : id or name of a reader; any name will do.
        leave_out_damaged : go on without journals of others that are damaged.

        Returns
        -------
        False if one can only look, see `refusal`.

        Raises
        ------
        BadInputError : no case is shown, the name is none, or the edit of the reader before cannot be recorded.
        DamagedCaseError : a journal or the case was changed. Nobody reviews then.
        """
        shown = self._module.shown
        if shown is None:
            raise BadInputError("no case is open; segment a volume or open a case first")
        chosen = reader if isinstance(reader, Reader) else who.reader_named(shown.case, reader)
        if self._desk is not None and self.reader == chosen and not self.read_only and not leave_out_damaged:
            return True
        self.end()
        session, self._refusal = self._open(shown, chosen, leave_out_damaged)
        try:
            if session.budget != shown.budget:
                self._module.set_budget(session.budget)
            self._desk = Desk(self._module.scene, shown, session, self._reprompt, self.changed.emit, self._clock)
        except BaseException:
            session.close()
            raise
        self._services.set_setting(READER_KEY, chosen.id)
        self._services.set_setting(READER_NAME_KEY, chosen.name)
        self._warnings = warnings_of(session)
        self._draft = self._read_draft(session)
        self._looked_at = self._clock()
        self._watch = Stopwatch(self._clock)
        self._stop_timer = self._services.every(TICK_MS, self._tick)
        self._arrive()
        return not self.read_only

    def resume(self) -> bool:
        """Begin as who reviewed last on this computer; False if that is nobody or one can only look."""
        last = self.remembered
        if not last or self._module.shown is None:
            return False
        return self.begin(Reader(last, self._services.setting(READER_NAME_KEY)))

    def end(self) -> None:
        """Nobody reviews any more: an open edit is recorded, corrected.seg.nrrd is written, others may go on.

        Raises
        ------
        BadInputError : the edit cannot be recorded or the file not be written; the review goes on then.
        """
        if self._desk is None:
            return
        self._leave_edit()
        session = self._desk.session
        if session.unsaved:
            session.retry()
        if not self.read_only and not session.is_saved:
            session.save()
        self._leave()

    def pause(self) -> None:
        """The module goes out of sight: seconds are not counted."""
        self._watch.pause()

    def go_on(self) -> None:
        """The module is in front again."""
        self._watch.go_on()

    def close(self) -> None:
        """The module goes: end, and take every observer and timer back. What cannot be written is told by `failed`."""
        self._end_at_any_rate()
        self._disconnect()
        self._observers.remove_all()
        self.changed.disconnect_all()
        self.failed.disconnect_all()

    def _open(self, shown: ShownCase, reader: Reader, leave_out: bool) -> tuple[ReviewSession, str]:
        """A session, and why it is only to look, or an empty text."""
        work = lists_of(shown)
        place = read_bookmark(journal_file(shown.case.folder, reader)).place or {}
        budget = None if "budget" in place else shown.budget

        def session(read_only: bool) -> ReviewSession:
            return ReviewSession(
                shown.case,
                work,
                reader,
                budget,
                software=self._software,
                read_only=read_only,
                leave_out_damaged=leave_out,
                clock=self._clock,
            )

        try:
            return session(False), ""
        except DamagedCaseError:
            raise
        except BadInputError as error:
            return session(True), error.sentence

    def _read_draft(self, session: ReviewSession) -> Draft | None:
        if session.journal is None:
            return None
        try:
            return read_draft(session.case, session.reader)
        except BadInputError as error:
            self._warnings = (*self._warnings, error.sentence)
            return None

    def _leave(self) -> None:
        """Let go of session and nodes. The corrected copy stays as long as its case is shown."""
        desk, self._desk = self._desk, None
        if self._stop_timer is not None:
            self._stop_timer()
            self._stop_timer = None
        self._refusal, self._warnings, self._draft = "", (), None
        if desk is not None:
            desk.close(keep_copy=_shows(desk.shown))
        self.changed.emit()

    def _end_at_any_rate(self) -> None:
        """End; what cannot be recorded or written is told, and stays as a draft if there is one."""
        if self._desk is None:
            return
        try:
            self.end()
        except DeferredSegError as error:
            self._leave()
            self.failed.emit(error)

    def _follow(self) -> None:
        """The module's case, its budget or its duty may have changed."""
        shown, before = self._module.shown, self._followed
        if shown is not before:
            self._followed = shown
            self._end_at_any_rate()
            if before is not None and not _shows(before):
                remove_node(self._module.scene, find_corrected(self._module.scene, before.case.id, before.volume_node))
            if shown is not None:
                self._clear_leftovers(shown)
            self.changed.emit()
        elif self._desk is not None and self._desk.follow_shown():
            self._arrive(jump=False)

    def _clear_leftovers(self, shown: ShownCase) -> None:
        """A scene that was saved during a review is as one that was saved after it."""
        clear_leftovers(self._module.scene)
        for node in (shown.deferred_node, shown.result_node):
            undim(node)

    def _on_scene_closes(self) -> None:
        self._end_at_any_rate()

    def _arrive(self, jump: bool = True) -> None:
        """The reader looks at another region."""
        assert self._desk is not None
        self._desk.arrive(jump and self._follow_views)
        region = self._desk.region
        self._watch.look_at(None if region is None else region.id)
        self._offers_due = self._wants_offers
        self.changed.emit()

    def _leave_edit(self) -> None:
        """Leaving a region records its edit."""
        raise NotImplementedError

    def _tick(self) -> None:
        """What is done while the reader thinks."""
        raise NotImplementedError


def warnings_of(session: ReviewSession) -> tuple[str, ...]:
    """What a reader should know of the journals."""
    found = [f"left out: {sentence}" for sentence in session.state.left_out.values()]
    if session.journal is not None and session.journal.set_aside is not None:
        found.append(
            "the last line of your journal was cut off by a crash and put aside; that decision has to be made again"
        )
    return tuple(found)


def _shows(shown: ShownCase) -> bool:
    """Whether a case still has its result in the scene."""
    node = shown.result_node
    return node.GetScene() is not None and node.GetAttribute(CASE_ID_ATTRIBUTE) == shown.case.id
