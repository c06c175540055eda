"""Fixtures for tests with whole processes. Run with ./dev test, or: /usr/bin/python3 -m pytest tests"""

import pytest

import even_cluster


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    # So that a fixture knows at its end how the test went.
    outcome = yield
    setattr(item, "report_" + call.when, outcome.get_result())


@pytest.fixture
def make_cluster(tmp_path, request):
    """make_cluster(nodes=3, ...): a running cluster (see even_cluster.Cluster). All are stopped at the end of the test."""
    clusters = []

    def make(**options):
        cluster = even_cluster.Cluster(tmp_path / f"cluster{len(clusters) + 1}", **options)
        clusters.append(cluster)
        return cluster.start()

    yield make
    report = getattr(request.node, "report_call", None)
    if report is not None and report.passed:
        try:
            for cluster in clusters:
                cluster.stop()
        finally:
            for cluster in clusters:
                cluster.kill()
        return
    for cluster in clusters:
        cluster.kill()
        for node in cluster:
            print(f"--- end of the log of {node}\n{node.log_tail()}")


@pytest.fixture
def cluster(make_cluster):
    """Three running nodes, n1 to n3, each with a replica of everything."""
    return make_cluster()
