"""One planned request from its arrival to its record: what its session and its policy would do.

The events are theirs, in their order: the wait for who is held back, the race, the watch of the reader's buffer, the
change of hands, the end of what is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from simpy.events import Event, Timeout

from discosim.world.dispatched.answer import Answer
from discosim.world.dispatched.desk import Desk
from discosim.world.dispatched.ways import Way
from discosim.world.dispatched.work import Work
from discosim.world.stream import ramp
from discosim.world.watch import BufferWatch, reached

SILENT, SERVER, DEVICE, FAILED, REFUSED = range(5)
"""Who has spoken first; nobody yet, or nobody ever since all have refused, in the end a device or the server alone."""
NOTHING, END, CLOSE = range(3)
"""What a request waits for, where nobody knows when it comes: the end of the answer, or of work told to stop."""


class Pending:
    """One request.

    Parameters
    ----------
    desk : Desk
        What it shares with all others.
    i : int
        Its number.
    over : list of Pending
        Gets it when its record comes out.

    Attributes
    ----------
    i : int
        Its number.
    answer, work : Answer or None, Work or None
        What the engine and its device do for it; None where they were not asked, or have refused.
    speaker : int
        Who has spoken first, see above.
    spoke_s : float
        When, on the clock.
    after_tok : int
        Tokens shown before the answer was handed over; 0 where it was not.
    handed_s : float
        When it was; inf where it was not.
    answer_after, work_after : Answer or None, Work or None
        What the one does who goes on.
    has_failed : bool
        Whether nobody could go on.
    """

    __slots__ = (
        "_desk",
        "_n_open",
        "_over",
        "_tries_device",
        "_tries_server",
        "_waits_for",
        "_way",
        "after_tok",
        "answer",
        "answer_after",
        "handed_s",
        "has_failed",
        "i",
        "speaker",
        "spoke_s",
        "work",
        "work_after",
    )

    def __init__(self, desk: Desk, i: int, over: list[Pending]) -> None:
        self._desk = desk
        self._over = over
        self.i = i
        self.answer: Answer | None = None
        self.work: Work | None = None
        self.speaker = SILENT
        self.spoke_s = self.handed_s = math.inf
        self.after_tok = 0
        self.has_failed = False
        self.answer_after: Answer | None = None
        self.work_after: Work | None = None
        self._way: Way | None = None
        self._waits_for = NOTHING
        self._n_open = 0  # of those who were asked, who may still speak
        self._tries_device = self._tries_server = False

    # --- asking -----------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """Ask who is to be asked at once, and wait with the other one."""
        desk, i = self._desk, self.i
        server_s, device_s = desk.server_after_s[i], desk.device_after_s[i]
        if server_s == 0.0 and desk.server_is_first:
            self._ask_server()
        if device_s == 0.0:
            self._ask_device()
        if server_s == 0.0 and not desk.server_is_first:
            self._ask_server()
        if 0.0 < device_s < math.inf:
            Timeout(desk.env, device_s).callbacks.append(self._ask_device)
        elif 0.0 < server_s < math.inf:
            Timeout(desk.env, server_s).callbacks.append(self._ask_server)

    def _ask_device(self, _: Event | None = None) -> None:
        desk, i = self._desk, self.i
        if self.speaker or self._tries_device:
            return
        self._tries_device = True
        self._n_open += 1
        if not desk.holds[i]:
            Timeout(desk.env, 0.0).callbacks.append(self._refuses)
            return
        self.work = work = desk.work_of(i, self)
        desk.phone_of(i).take(work)

    def _ask_server(self, _: Event | None = None) -> None:
        if self.speaker or self._tries_server:
            return
        self._tries_server = True
        self._n_open += 1
        self.answer, known_s = self._desk.ask_server(self.i, self)
        if self.answer is None:
            self._at(known_s, self._refuses)

    def _refuses(self, _: Event) -> None:
        """Hear that one who was asked will not speak."""
        if self.speaker:
            return
        self._n_open -= 1
        if self._n_open:
            return
        if not (self._tries_device and self._tries_server) and self._desk.falls_back[self.i]:
            self._ask_device()
            self._ask_server()
        else:
            self.speaker = FAILED if self._tries_device else REFUSED
            self._over.append(self)

    # --- speaking ---------------------------------------------------------------------------------------------

    def on_device(self, work: Work) -> None:
        """Hear that the first token of its device's work is there."""
        desk = self._desk
        if work is self.work_after:
            self._at(work.over_s(), self._ended)
        elif not self.speaker:
            self.speaker, self.spoke_s = DEVICE, desk.env.now
            if self.answer is not None and desk.losers != "run_on":
                self.answer.stop()
            self._watch(work)

    def on_server(self, answer: Answer) -> None:
        """Hear that the first token of an answer has reached the client."""
        desk = self._desk
        if answer is self.answer_after:
            self._end_of(answer)
        elif not self.speaker:
            self.speaker, self.spoke_s = SERVER, desk.env.now
            if self.work is not None and desk.losers != "run_on":
                self.work.stop(desk.phone_of(self.i), finish_prefill=desk.losers == "finish_prefill")
            self._watch(answer)

    def on_closed(self, answer: Answer) -> None:
        """Hear that the bill of an answer is final; go on if that, or the end of what is shown, was waited for."""
        if self._waits_for == CLOSE:
            self._over.append(self)
        elif self._waits_for == END and answer is (self.answer_after or self.answer):
            self._waits_for = NOTHING
            wait_s = self._desk.last_arrival_s(self.i, answer.job) - self._desk.env.now
            if wait_s > 0.0:
                Timeout(self._desk.env, wait_s).callbacks.append(self._ended)
            else:
                self._ended()

    # --- changing hands ---------------------------------------------------------------------------------------

    def _watch(self, speaks: Answer | Work) -> None:
        """Wait until the reader's buffer covers a change of hands, if there is a way."""
        desk, i = self._desk, self.i
        self._way = way = desk.way_of(i, is_server=isinstance(speaks, Answer))
        if way is None:
            self._end_of(speaks)
            return
        prompt_tok, output_tok, rate = desk.prompt_tok[i], desk.output_tok[i], desk.reader_tok_per_s[i]
        if isinstance(speaks, Answer):
            event: Event = BufferWatch(speaks, rate, lambda _, n: way.need_tok(prompt_tok, rate, n))
        else:
            arrival_s = ramp(output_tok) * speaks.gap_s
            arrival_s += speaks.prefill_end_s
            event = reached(desk.env, arrival_s, rate, way.need_tok(prompt_tok, rate, output_tok), 1)
        event.callbacks.append(self._reached)

    def _reached(self, event: Event) -> None:
        """Hand over, unless the buffer was never long enough or the device is busy."""
        desk, i, way, after_tok = self._desk, self.i, self._way, event.value
        speaks = self.answer if self.speaker == SERVER else self.work
        assert way is not None
        assert speaks is not None
        if after_tok is None or (way.is_to_device and desk.phone_of(i).is_busy):
            self._end_of(speaks)
            return
        self.after_tok, self.handed_s = after_tok, desk.env.now
        if isinstance(speaks, Answer):
            self._go_on_at_device()
            speaks.stop()
            return
        self.answer_after, known_s = desk.ask_server(i, self, after_tok)
        if self.answer_after is None:
            self._at(known_s, self._goes_back)
        speaks.stop(desk.phone_of(i))

    def _goes_back(self, _: Event) -> None:
        """Go back to the device: the server has refused."""
        self._go_on_at_device()

    def _go_on_at_device(self) -> None:
        desk, i = self._desk, self.i
        self.work_after = work = desk.rest_of_work(i, self.after_tok, int(self._tries_device), self)
        if work is None:
            Timeout(desk.env, 0.0).callbacks.append(self._fails)
        else:
            desk.phone_of(i).take(work)

    def _fails(self, _: Event) -> None:
        """Give up: nobody is left to go on."""
        self.has_failed = True
        if self.answer is not None:
            self.answer.stop()
        self._at(self._desk.env.now, self._ended)

    # --- the end ----------------------------------------------------------------------------------------------

    def _end_of(self, speaks: Answer | Work) -> None:
        """Wait for the end of what is shown."""
        if isinstance(speaks, Work):
            self._at(speaks.over_s(), self._ended)
        elif speaks.is_closed:
            self._at(self._desk.last_arrival_s(self.i, speaks.job), self._ended)
        else:
            self._waits_for = END

    def _ended(self, _: Event | None = None) -> None:
        """Be over, unless the server has not obeyed yet: until it does, its bill grows."""
        if self.answer is None or self.answer.is_closed:
            self._over.append(self)
        else:
            self._waits_for = CLOSE

    def _at(self, at_s: float, act: Callable[[Event], None]) -> None:
        env = self._desk.env
        Timeout(env, max(0.0, at_s - env.now)).callbacks.append(act)
