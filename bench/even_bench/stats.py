"""Statistics of figures measured in rounds. Pure functions.

A round is a dict from the name of a figure to its value.
"""

import dataclasses
import re
import statistics

NAN = float("nan")


def medians(rounds):
    """The median over the rounds of each figure that all of them have."""
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0] if all(key in r for r in rounds)}


@dataclasses.dataclass(frozen=True)
class Ratio:
    median: float
    low: float
    high: float
    rounds: int


def ratio(rounds, base_rounds, key):
    """The median of the rounds' ratios, not the ratio of medians: what slows the machine for a whole round distorts it
    little. None where there is nothing to divide."""
    each = [r[key] / b[key] for r, b in zip(rounds, base_rounds) if key in r and b.get(key)]
    return Ratio(statistics.median(each), min(each), max(each), len(each)) if each else None


def percentile(ascending, p):
    """The value below which the share `p` (0 to 1) of the values lies."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * p))] if ascending else NAN


def first_and_last_quarter(samples):
    """The means of the first and the last quarter of a series, which may rise and fall in between."""
    quarter = max(1, len(samples) // 4)
    return statistics.fmean(samples[:quarter]), statistics.fmean(samples[-quarter:])


def histogram_quantile(text, metric, quantile):
    """The upper bound of the bucket in which the quantile lies, over all label sets of a Prometheus histogram."""
    buckets = {}
    for bound, value in re.findall(rf'^{metric}_bucket{{[^}}]*le="([^"]+)"[^}}]*}} ([0-9.e+]+)$', text, re.M):
        buckets[float(bound)] = buckets.get(float(bound), 0) + float(value)
    total = buckets.get(float("inf"), 0)
    for bound in sorted(buckets):
        if total and buckets[bound] >= quantile * total:
            return bound
    return NAN
