"""The parts of the benchmarks that only compute: statistics, tables, what redis-benchmark prints, arguments."""

import argparse
import math
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

from even_bench import arguments, redis_benchmark, resp, stats, table  # noqa: E402
from even_bench.cases import strong, topics  # noqa: E402

CSV = '''"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"PING_MBULK","1612903.25","0.360","0.088","0.367","0.479","2.767","2.879"
"HSET","980392.19","0.744","0.120","0.711","1.183","1.567","1.935"
"SET","909090.94","0.797","0.104","0.743","1.327","2.863","2.983"
'''


def test_the_figures_of_a_test_are_read_from_its_own_line():
    assert redis_benchmark.parse(CSV, "set") == {"rps": 909090.94, "p50": 0.743, "p95": 1.327, "p99": 2.863}
    assert redis_benchmark.parse(CSV, "ping_mbulk")["rps"] == 1612903.25


@pytest.mark.parametrize("text", ["", "Error from server: ERR unknown command\n", CSV.splitlines()[0],
                                  CSV.replace("909090.94", "")])
def test_output_without_the_figures_of_a_test_gives_none(text):
    assert redis_benchmark.parse(text, "set") is None


def test_a_median_is_taken_of_each_figure_that_all_rounds_have():
    assert stats.medians([{"a": 1, "b": 5}, {"a": 3, "b": 4}, {"a": 2}]) == {"a": 2}


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds():
    ratio = stats.ratio([{"a": 2}, {"a": 30}, {"a": 3}], [{"a": 1}, {"a": 10}, {"a": 2}], "a")
    assert (ratio.median, ratio.low, ratio.high, ratio.rounds) == (2, 1.5, 3, 3)


def test_rounds_with_nothing_to_divide_by_are_left_out_of_a_ratio():
    assert stats.ratio([{"a": 1}, {"a": 4}], [{"a": 0}, {"a": 2}], "a").median == 2
    assert stats.ratio([{"a": 1}], [{"a": 0}], "a") is None
    assert stats.ratio([{"a": 1}], [], "a") is None


def test_percentiles_lie_among_the_values():
    values = list(range(100))
    assert [stats.percentile(values, p) for p in (0, 0.5, 0.99, 1)] == [0, 50, 99, 99]
    assert math.isnan(stats.percentile([], 0.5))


def test_the_quarters_of_a_series_are_its_ends():
    assert stats.first_and_last_quarter([1, 2, 6, 9, 9, 9, 9, 9, 9, 4, 5, 9]) == (3, 6)
    assert stats.first_and_last_quarter([7]) == (7, 7)


def test_a_quantile_of_a_histogram_is_the_bound_of_its_bucket_over_all_labels():
    counts = [("0.1", 5), ("1", 9), ("+Inf", 10)]
    text = "\n".join(f'delay_bucket{{peer="{peer}",le="{le}"}} {count}' for peer in "ab" for le, count in counts)
    assert stats.histogram_quantile(text, "delay", 0.5) == 0.1
    assert stats.histogram_quantile(text, "delay", 0.9) == 1
    assert stats.histogram_quantile(text, "delay", 0.99) == math.inf
    assert math.isnan(stats.histogram_quantile(text, "other", 0.5))


def test_a_table_compares_each_server_with_the_baselines_before_it():
    columns = [table.Column("op/s", "rps", compared=True), table.Column("p99 ms", "p99", "{:.2f}")]
    taken = {"SET": {"Redis": [{"rps": 1000, "p99": 1}] * 2, "Even": [{"rps": 2000}, {"rps": 1500}],
                     "new": [{"rps": 4000, "p99": 2}]}}
    assert table.comparison("command", taken, columns, ["Redis", "Even"]).splitlines() == [
        "| command | server | op/s | to Redis | to Even | p99 ms |",
        "|---|---|---|---|---|---|",
        "| SET | Redis | 1,000 |  |  | 1.00 |",
        "| SET | Even | 1,750 | **1.75** (1.50-2.00) |  | - |",
        "| SET | new | 4,000 | **4.00** | **2.00** | 2.00 |",
    ]


def test_a_table_of_one_item_can_do_without_its_column():
    taken = {"": {"Even": [{"rps": math.nan}]}}
    assert table.comparison(None, taken, [table.Column("op/s", "rps", compared=True)], ["Redis"]).splitlines() == [
        "| server | op/s | to Redis |",
        "|---|---|---|",
        "| Even | - | - |",
    ]


def test_commands_are_encoded_as_arrays_of_strings():
    assert resp.encode("SET", b"k\r\n", 12) == b"*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$2\r\n12\r\n"


@pytest.mark.parametrize("text, expected", [("7", 7), ("4GB", 4 * 10**9), ("1.5 MiB", 3 << 19), ("10kb", 10_000)])
def test_sizes_have_units_of_ten_and_of_two(text, expected):
    assert arguments.size(text) == expected


@pytest.mark.parametrize("parse, text", [
    (arguments.size, "4 parsecs"), (arguments.size, "1.2.3"), (arguments.size, ""),
    (arguments.positive, "0"), (arguments.positive, "x"), (arguments.positive_float, "nan"), (arguments.positive_float, "-1"),
    (arguments.words(["always", "no"]), "no,never")])
def test_arguments_that_make_no_sense_are_refused(parse, text):
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)


def strong_rounds(rate, p50, cpu_us):
    return {load: [{"rate": rate, "p50": p50, "cpu_us": cpu_us}] for load in strong.LOADS}


def test_what_is_wanted_of_strong_keyspaces_is_told_by_the_ratio_to_etcd():
    etcd = strong_rounds(1000, 2.0, 100)

    def met(even):
        taken = {load: {"Even": even[load], "etcd": etcd[load]} for load in strong.LOADS}
        rows = [line.split(" | ") for line in strong.wanted(taken, "Even", "etcd").splitlines()[2:]]
        return [(row[0].lstrip("| "), row[1]) for row in rows if row[-1] == "yes |"]

    assert len(met(strong_rounds(8000, 1.0, 99))) == len(strong.WANTED)
    assert met(strong_rounds(7999, 1.01, 100)) == [("put, 64 clients", "op/s"), ("put, 256 clients", "op/s")]
    assert met(strong_rounds(4999, 0.99, 101)) == [("put, 1 client", "p50")]


PRODUCER = """37286 records sent, 7457.2 records/sec (0.71 MB/sec), 2073.1 ms avg latency, 3203.0 ms max latency.
100000 records sent, 9425.1 records/sec (0.90 MB/sec), 1834.42 ms avg latency, 3321.00 ms max latency, 2215 ms 50th, 3170 ms 95th, 3203 ms 99th, 3317 ms 99.9th.
"""
CONSUMER = """start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec
2026-01-01 00:00:00:000, 2026-01-01 00:00:01:000, 1.9073, 1.9, 20000, 20000.0, 622, 378, 5.0, 52910.0529
"""


def test_the_figures_of_kafkas_tools_are_those_of_their_last_line():
    assert topics.parse_producer(PRODUCER) == {"records": 100000, "rate": 9425.1, "p50": 2215, "p99": 3203}
    assert topics.parse_consumer(CONSUMER) == {"records": 20000, "rate": 52910.0529}
    assert topics.parse_end_to_end("Avg latency: 5.1 ms\n\nPercentiles: 50th = 4, 99th = 81, 99.9th = 90\n") == {"p50": 4, "p99": 81}


@pytest.mark.parametrize("parse", [topics.parse_producer, topics.parse_consumer, topics.parse_end_to_end])
def test_output_of_kafkas_tools_without_figures_gives_none(parse):
    for text in ("", "Exception in thread main\n", PRODUCER.splitlines()[0], CONSUMER.splitlines()[0]):
        assert parse(text) is None


def test_what_is_wanted_of_topics_is_told_by_the_ratio_to_kafka():
    def rounds(rate, cpu_us, resident, p99):
        return {load: [{"rate": rate, "cpu_us": cpu_us, "resident": resident, "p99": p99}] for load in topics.LOADS}

    def met(even):
        kafka = rounds(1000, 100, 500, 50)
        taken = {load: {"Even": even[load], "Kafka": kafka[load]} for load in topics.LOADS}
        return [line.endswith("| yes |") for line in topics.wanted(taken, "Even", "Kafka").splitlines()[2:]]

    assert all(met(rounds(2000, 50, 100, 9.9)))
    # What is consumed need not be twice as fast.
    assert met(rounds(1999, 51, 101, 10)) == [False] * 6 + [True] * 2 + [False]
    assert met(rounds(999, 50, 100, 9))[6:] == [False, False, True]
