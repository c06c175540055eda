"""The cases, in the order in which they are listed and run."""

from . import amplification, catch_up, check, idle_topics, lag, large_values, larger_than_memory, levels, memory, restart
from . import restart_flood, steady, strong, throughput, topic_size, topics, types

CASES = {
    case.name: case
    for case in [
        *throughput.CASES,
        *types.CASES,
        levels.CASE,
        strong.CASE,
        topics.CASE,
        topic_size.CASE,
        idle_topics.CASE,
        lag.CASE,
        catch_up.CASE,
        check.CASE,
        memory.CASE,
        restart.CASE,
        restart_flood.CASE,
        larger_than_memory.CASE,
        large_values.CASE,
        amplification.CASE,
        steady.CASE,
    ]
}
