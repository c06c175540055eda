"""Publish and subscribe over the nodes of a cluster (docs/pubsub.md)."""

import contextlib

import pytest
import redis

from even_cluster import PATIENCE, until


@contextlib.contextmanager
def subscriber(node, channels=(), patterns=(), **options):
    """A redis-py PubSub whose subscriptions have been confirmed."""
    with node.client(**options) as client, client.pubsub() as pubsub:
        if channels:
            pubsub.subscribe(*channels)
        if patterns:
            pubsub.psubscribe(*patterns)
        for _ in range(len(channels) + len(patterns)):
            assert pubsub.get_message(timeout=20 * PATIENCE)["type"] in ("subscribe", "psubscribe")
        yield pubsub


def messages(pubsub, count):
    """The next so many messages, as (channel, data)."""
    out = []
    for _ in range(count):
        message = pubsub.get_message(timeout=20 * PATIENCE)
        assert message is not None, f"after {len(out)} of {count} messages none came"
        out.append((message["channel"], message["data"]))
    return out


def wait_links(cluster):
    """Until every node has all of its links."""
    until("all links are up", lambda: all(peer["link"] == "up" for node in cluster.running for peer in node.status()["peers"]))


def test_a_subscriber_gets_what_is_published_at_any_node(cluster):
    wait_links(cluster)
    with subscriber(cluster["n1"], ["news"], ["n?ws", "other.*"]) as pubsub:
        for node in cluster:
            with node.client() as client:
                # The subscriptions are at n1, and PUBLISH counts those of its own node.
                assert client.publish("news", f"from {node.name}") == (2 if node.name == "n1" else 0)
                assert client.publish("unheard", "x") == 0
                assert client.publish("other.a", node.name) == (1 if node.name == "n1" else 0)
            got = [pubsub.get_message(timeout=20 * PATIENCE) for _ in range(3)]
            assert [(m["type"], m["pattern"], m["channel"], m["data"]) for m in got] == [
                ("message", None, "news", f"from {node.name}"), ("pmessage", "n?ws", "news", f"from {node.name}"),
                ("pmessage", "other.*", "other.a", node.name)]
