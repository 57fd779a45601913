"""Which processes a gateway has, whom to start now, and whom to end by force. Pure: the first process carries it out.

    the coordinator ends   its workers end what they do within their grace, and go; when the last one has gone, all are
                           started anew: so nobody ever gives places beside somebody else's
    a worker ends          it is started anew
    at the start           whoever ends before all are ready ends the whole

    the coordinator hangs  it is ended by force: nobody else could end the wait of its workers' calls

Who ends young is started after a pause that doubles each time.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["COORDINATOR", "HANGING", "Supervision"]

COORDINATOR: Final = 0
"""The number of the coordinator; workers have those from 1 on."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
YOUNG: Final = 10.0
HANGING: Final = 30.0
"""Seconds after which a coordinator hangs that has not said that it lives."""
SLACK: Final = 5.0
"""Seconds that a process has beyond its time, before it is ended by force."""


@attrs.define(eq=False)
class Member:
    """One process, or the want of one. Moments are those of the clock that is handed in."""

    pid: int | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    pause: float = 0.0
    end_by: float | None = None
    speaks_by: float | None = None
    """When it hangs, unless it says before that it lives."""


class Supervision:
    """The processes of a gateway with so many workers. `grace`: seconds that workers have after their coordinator."""

    def __init__(self, workers: int, grace: float) -> None:
        self.grace = grace
        self.ready = False
        """Whether all have been ready once."""
        self.failed = False
        """Whether one has ended before that."""
        self.draining = False
        self._members = {who: Member() for who in range(workers + 1)}

    @property
    def pids(self) -> dict[int, int]:
        """The processes that are there, by their numbers."""
        return {who: member.pid for who, member in self._members.items() if member.pid is not None}

    @property
    def finished(self) -> bool:
        """Whether nobody is left, and nobody is to come."""
        return self.draining and not self.pids

    def to_start(self, now: float) -> list[int]:
        """The numbers of those that are to be started now; `started` tells of each before this is asked again."""
        if self.draining:
            return []
        coordinator, *workers = self._members.values()
        if coordinator.pid is None:
            if any(worker.pid is not None for worker in workers):
                return []
            return [COORDINATOR] if coordinator.due_at <= now else []
        return [who for who, each in self._members.items() if each.pid is None and each.due_at <= now]

    def to_kill(self, now: float) -> list[int]:
        """The processes whose time is over; each is named once."""
        found = []
        for member in self._members.values():
            if member.speaks_by is not None and member.speaks_by + SLACK < now:
                member.speaks_by = now + HANGING  # who asks was stopped itself, and perhaps all were
            ends = _ends_by(member)
            if ends is not None and ends <= now:
                assert member.pid is not None
                member.end_by = member.speaks_by = None
                found.append(member.pid)
        return found

    def lives(self, now: float) -> None:
        """The coordinator has said that it does not hang."""
        self._members[COORDINATOR].speaks_by = now + HANGING

    def next_change(self) -> float | None:
        """The next moment at which somebody is to be started or ended, as it stands now."""
        moments = [end for each in self._members.values() if (end := _ends_by(each)) is not None]
        if not self.draining:
            coordinator, *workers = self._members.values()
            alone = all(worker.pid is None for worker in workers)
            waiting = workers if coordinator.pid is not None else [coordinator] if alone else []
            moments += [each.due_at for each in waiting if each.pid is None]
        return min(moments, default=None)

    def started(self, who: int, pid: int, now: float) -> None:
        """A process has been started."""
        member = self._members[who]
        assert member.pid is None
        member.pid, member.started_at, member.end_by = pid, now, None
        if who == COORDINATOR:
            self.lives(now)

    def ended(self, pid: int, now: float) -> int | None:
        """The number of a process that has ended; `None`: it was none of these."""
        who = next((who for who, each in self._members.items() if each.pid == pid), None)
        if who is None:
            return None
        member = self._members[who]
        member.pid = member.speaks_by = None
        if now - member.started_at >= YOUNG:
            member.pause = 0.0
        else:
            member.pause = min(max(FIRST_PAUSE, member.pause * 2), LONGEST_PAUSE)
        member.due_at = now + member.pause
        workers = [each for number, each in self._members.items() if number != COORDINATOR]
        if who == COORDINATOR:
            for worker in workers:
                _end_by(worker, now + self.grace + SLACK)
        elif self.draining and all(worker.pid is None for worker in workers):
            _end_by(self._members[COORDINATOR], now + SLACK)
        if not self.ready and not self.draining:
            self.failed = True
            self.drain(now, 0.0)
        return who

    def drain(self, now: float, seconds: float) -> None:
        """Start nobody any more; workers have so many seconds, and their coordinator as long as they."""
        self.draining = True
        for who, member in self._members.items():
            if who != COORDINATOR or not any(number != COORDINATOR for number in self.pids):
                _end_by(member, now + seconds + SLACK)


def _ends_by(member: Member) -> float | None:
    """When a process is ended by force, as it stands now."""
    if member.pid is None:
        return None
    return min((end for end in (member.end_by, member.speaks_by) if end is not None), default=None)


def _end_by(member: Member, moment: float) -> None:
    member.end_by = moment if member.end_by is None else min(member.end_by, moment)
