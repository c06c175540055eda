"""kafka-python as test_topic_clients.py uses it: a program that does what it is told to until its standard input ends.

    produce TOPIC PARTITIONS SETTING=VALUE...   0, 1, 2, ... to the partitions in turn: "acknowledged N", at last "sent N"
    member TOPIC SETTING=VALUE...               in a group: "has P ...", "record P OFFSET VALUE", "committed P OFFSET"
    transform SERVERS GROUP IN OUT ID           squares numbers, within transactions that commit what was consumed as well

Settings have the names that Kafka has for them.
"""

import faulthandler
import itertools
import logging
import os
import signal
import sys
import threading
import time
import traceback

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, OffsetAndMetadata
from kafka.errors import KafkaError

CONSUMER = {"enable_auto_commit": False, "auto_offset_reset": "earliest", "session_timeout_ms": 6000,
            "heartbeat_interval_ms": 500}
ending = threading.Event()


def say(*words):
    print(*words, flush=True)


def settings(arguments):
    given = dict(argument.split("=", 1) for argument in arguments)
    return {name.replace(".", "_"): int(value) if value.isdigit() else value for name, value in given.items()}


def produce(topic, partitions, *arguments):
    producer = KafkaProducer(linger_ms=2, **settings(arguments))
    acknowledged = itertools.count(1)

    def succeeded(_):
        number = next(acknowledged)
        if number % 500 == 0:
            say("acknowledged", number)

    def failed(error):
        say("failed", repr(error))
        os._exit(1)
    sent = 0
    while not ending.is_set():
        future = producer.send(topic, str(sent).encode(), partition=sent % int(partitions))
        future.add_callback(succeeded)
        future.add_errback(failed)
        sent += 1
        if sent % 2 == 0:
            time.sleep(0.001)
    producer.flush()
    producer.close()
    say("sent", sent)


class Listener(ConsumerRebalanceListener):
    def __init__(self, consumer):
        self.consumer = consumer

    def on_partitions_assigned(self, assigned):
        say("has", *sorted(at.partition for at in self.consumer.assignment()))

    def on_partitions_revoked(self, revoked):
        say("revoked", *sorted(at.partition for at in revoked))


def offsets_behind(polled):
    return {at: OffsetAndMetadata(records[-1].offset + 1, "", -1) for at, records in polled.items()}


def member(topic, *arguments):
    consumer = KafkaConsumer(**{**CONSUMER, **settings(arguments)})
    consumer.subscribe([topic], listener=Listener(consumer))
    while not ending.is_set():
        polled = consumer.poll(timeout_ms=200)
        for at, records in polled.items():
            for record in records:
                say("record", at.partition, record.offset, record.value.decode())
        if not polled:
            continue
        offsets = offsets_behind(polled)
        try:
            consumer.commit(offsets)
        except KafkaError as error:
            say("failed", repr(error))
            continue
        for at, offset in offsets.items():
            say("committed", at.partition, offset.offset)
    consumer.close()
    say("left")


def transform(servers, group, source, target, name):
    while not ending.is_set():
        producer = KafkaProducer(bootstrap_servers=servers, transactional_id=name, transaction_timeout_ms=10000)
        consumer = KafkaConsumer(bootstrap_servers=servers, group_id=group, isolation_level="read_committed",
                                 max_poll_records=100, **CONSUMER)
        try:
            transform_until_error(producer, consumer, source, target)
        except KafkaError as error:
            traceback.print_exc()
            say("again", repr(error))
        finally:
            producer.close(timeout=5)
            consumer.close()
    say("left")


def transform_until_error(producer, consumer, source, target):
    producer.init_transactions()
    consumer.subscribe([source])
    while not ending.is_set():
        polled = consumer.poll(timeout_ms=200)
        if not polled:
            continue
        producer.begin_transaction()
        # kafka-python 3.0.12 forgets a request of a transaction whose coordinator cannot be reached when it is about to be sent,
        # and waits for it for ever. As whoever runs such an application would, this begins anew then.
        watchdog = threading.Timer(15, begin_anew)
        watchdog.start()
        try:
            for at, records in polled.items():
                for record in records:
                    number = int(record.value)
                    producer.send(target, f"{number} {number * number}".encode(), partition=at.partition)
            producer.send_offsets_to_transaction(offsets_behind(polled), consumer.group_metadata())
            producer.commit_transaction()
        except KafkaError:
            try:
                producer.abort_transaction()
            except KafkaError:
                pass  # as who was fenced may not: what ended the transaction tells more
            raise
        finally:
            watchdog.cancel()
        say("committed", sum(map(len, polled.values())))


def begin_anew():
    faulthandler.dump_traceback()
    say("again after a transaction without an end")
    os.execv(sys.executable, [sys.executable, *sys.argv])


def wait_for_end():
    sys.stdin.read()
    ending.set()


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
faulthandler.register(signal.SIGQUIT)  # shows where it is
threading.Thread(target=wait_for_end, daemon=True).start()
{"produce": produce, "member": member, "transform": transform}[sys.argv[1]](*sys.argv[2:])
