"""What a case is, and what it is given when it runs."""

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import Callable

from .progress import Progress
from .servers import Even, Redis


@dataclasses.dataclass(frozen=True)
class Case:
    """One benchmark. `measure` is given a Run and returns its section of the report, without the heading. `rounds`, `keys`
    and `requests` are what it takes if the command line does not say otherwise; None: it has no use for it."""

    name: str
    summary: str
    measure: Callable[["Run"], str]
    rounds: int
    keys: int | None = None
    requests: int | None = None
    by_default: bool = False
    add_options: Callable[[object], None] | None = None  # to an argparse group of its own


@dataclasses.dataclass
class Run:
    """One execution of a case. `options` are those of the command line, with the case's own defaults filled in."""

    options: object
    directory: pathlib.Path  # for data; what a case leaves there is removed after it
    redis: Redis
    evens: list[Even]
    progress: Progress
    others: list[Redis] = dataclasses.field(default_factory=list)  # Valkey
    # What was wrong beyond being slow, as data that were lost. It is reported, and the run fails.
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def contestants(self):
        return [self.redis, *self.others, *self.evens]

    @property
    def fsync(self):
        """For cases that are not repeated for each setting of fsync."""
        return self.options.fsync[0]

    @property
    def baselines(self):
        """What the others are compared with: Redis, and the first Even if there are several."""
        return [server.name for server in (self.redis, *self.others)] + [even.name for even in self.evens[:1] if len(self.evens) > 1]

    def empty(self, contestants):
        """For figures: a list of rounds for each contestant."""
        return {contestant.name: [] for contestant in contestants}

    @contextlib.contextmanager
    def running(self, server):
        """Starts a Server or Cluster, and stops it at the end."""
        try:
            yield server.start().wait_ready()
        finally:
            server.stop()

    @contextlib.contextmanager
    def fresh(self, contestant, fsync=None):
        """A running server without data; both are gone at the end."""
        with self.home(contestant) as home, self.running(contestant.server(home, fsync or self.fsync)) as server:
            yield server

    @contextlib.contextmanager
    def home(self, contestant):
        """An empty directory that exists no longer than needed: large cases would fill the disk."""
        home = self.directory / contestant.name.replace("/", "_")
        home.mkdir(parents=True)
        try:
            yield home
        finally:
            shutil.rmtree(home, ignore_errors=True)

    def rounds(self):
        return range(1, self.options.rounds + 1)

    @property
    def rounds_text(self):
        return "1 round" if self.options.rounds == 1 else f"{self.options.rounds} rounds"

    @staticmethod
    def turn(number, things):
        """The order in which things are measured in a round: none is always first."""
        return things if number % 2 else things[::-1]
