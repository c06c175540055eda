"""Says on standard error what is being done, so that nobody has to wonder whether something hangs."""

import sys
import time


class Progress:
    """One line that changes on a terminal; lines of their own elsewhere."""

    def __init__(self, title, stream=sys.stderr):
        self._title = title
        self._stream = stream
        self._terminal = stream.isatty()
        self._between_ticks = 0.5 if self._terminal else 5.0
        self._step = ""
        self._shown_at = 0.0

    def step(self, text):
        """What is done from now on."""
        self._step = text
        self._show(text)

    def tick(self, text):
        """How far the step is. May be called as often as one likes."""
        if time.monotonic() - self._shown_at >= self._between_ticks:
            self._show(f"{self._step}: {text}")

    def end(self, text):
        self._show(text)
        if self._terminal:
            print(file=self._stream)

    def _show(self, text):
        self._shown_at = time.monotonic()
        if self._terminal:
            print(f"\r\033[K{self._title}: {text}", end="", file=self._stream, flush=True)
        else:
            print(f"{self._title}: {text}", file=self._stream, flush=True)
