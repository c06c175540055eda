"""Tables in Markdown. Pure functions."""

import dataclasses
import math

from . import stats


@dataclasses.dataclass(frozen=True)
class Column:
    """A figure of the rounds: its heading, its key in a round and its format. With `compared`, a column with the ratio to
    each baseline follows."""

    title: str
    key: str
    format: str = "{:,.0f}"
    compared: bool = False


def show(value, form):
    return "-" if value is None or math.isnan(value) else form.format(value)


def show_ratio(ratio):
    if ratio is None:
        return "-"
    spread = f" ({ratio.low:.2f}-{ratio.high:.2f})" if ratio.rounds > 1 else ""
    return f"**{ratio.median:.2f}**{spread}"


def markdown(headings, rows):
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def comparison(item_heading, taken, columns, baselines):
    """A row for each item and server. `taken[item][server]` are the rounds. `baselines` are names of servers; each is itself
    compared with those before it. With one item only, `item_heading` may be None: then items are not shown."""
    headings = ([item_heading] if item_heading else []) + ["server"]
    for column in columns:
        headings.append(column.title)
        if column.compared:
            headings += [f"to {baseline}" for baseline in baselines]
    rows = []
    for item, by_server in taken.items():
        for server, rounds in by_server.items():
            medians = stats.medians(rounds)
            compared_with = baselines[: baselines.index(server)] if server in baselines else baselines
            row = ([item] if item_heading else []) + [server]
            for column in columns:
                row.append(show(medians.get(column.key), column.format))
                if column.compared:
                    for baseline in baselines:
                        base_rounds = by_server.get(baseline, [])
                        ratio = stats.ratio(rounds, base_rounds, column.key)
                        row.append(show_ratio(ratio) if baseline in compared_with else "")
            rows.append(row)
    return markdown(headings, rows)
