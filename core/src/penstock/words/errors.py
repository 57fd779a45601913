"""The errors, split by whose fault they are.

`ConfigError`     the author of the configuration, or of a call with wrong arguments
`PluginError`     the plugin that it names
`AdmissionError`  none: admission was refused, and the error carries why and what would end that
`StallError`      work is left that nothing can ever start
`WorkerLost`      none of ours: the process or machine in which a task ran is gone

Anything else that leaves Penstock is a bug in Penstock.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock.words.problems import Problem


class PenstockError(Exception):
    """The base of every error that Penstock raises on purpose."""


class ConfigError(PenstockError):
    """Configuration or arguments that cannot be used, with all their problems together.

    `problems` holds one line each, `file: dotted.path: what is wrong, and what would be right`; `records` holds the
    same as records. A problem that is given as text is a record without a path.
    """

    def __init__(self, problems: Iterable[Problem | str] | Problem | str) -> None:
        given = (problems,) if isinstance(problems, Problem | str) else tuple(problems)
        self.records: tuple[Problem, ...] = tuple(
            each if isinstance(each, Problem) else Problem((), each) for each in given
        )
        self.problems: tuple[str, ...] = tuple(map(str, self.records))
        super().__init__("\n".join(self.problems))


class PluginError(PenstockError):
    """A breach of contract by a plugin; `plugin` is its name."""

    def __init__(self, plugin: str, message: str) -> None:
        self.plugin = plugin
        self.message = message
        super().__init__(f"plugin {plugin!r}: {message}")


class AdmissionError(PenstockError):
    """The base of the errors by which a gate refuses for good."""


class WorkerLost(PenstockError):
    """The end of the process or machine in which a task ran: how far the task had come is not known.

    It is tried again only if it may run twice, which its `retry_on=(WorkerLost,)` says.
    """


class TaskAbandoned(PenstockError):
    """Code that did not end when its task was cancelled, and that the run has left behind: it may still run."""


class StallError(PenstockError):
    """A stall: work is left, nothing runs, and nothing that is known of could ever start it.

    `explanation` is the text that `scheduler.explain()` gave at that moment. Where tasks wait for each other, `chain`
    says who waits for whom, a line each, and the error is raised by the wait of one of them.
    """

    def __init__(self, explanation: str = "", *, chain: Iterable[str] = ()) -> None:
        self.chain = tuple(chain)
        self.explanation = explanation or "\n".join(self.chain)
        what = (
            "a deadlock, which nothing else would end"
            if self.chain
            else ("nothing is running and nothing that is left can start")
        )
        super().__init__(f"{what}:\n{self.explanation}")
