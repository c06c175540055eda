"""The cases, in the order in which they are listed and run."""

from . import lag, memory, restart, throughput

CASES = {
    case.name: case
    for case in [
        *throughput.CASES,
        lag.CASE,
        memory.CASE,
        restart.CASE,
    ]
}
