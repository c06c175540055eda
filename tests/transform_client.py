"""Consumes, transforms and produces within transactions, until it is killed: transform_client.py SERVERS NAME.

Whatever ends a transaction otherwise than as intended ends this process: whoever starts it again begins behind what was
committed.
"""

import sys

import confluent_kafka as kafka


def transformed(value):
    number = int(value)
    return f"{number} {number * number}"


def retried(what, *arguments):
    while True:
        try:
            return what(*arguments)
        except kafka.KafkaException as error:
            if not error.args[0].retriable():
                raise


def main(servers, name):
    producer = kafka.Producer({"bootstrap.servers": servers, "transactional.id": name, "linger.ms": 1,
                               "transaction.timeout.ms": 10000})
    retried(producer.init_transactions, 20)
    consumer = kafka.Consumer({"bootstrap.servers": servers, "group.id": "transform", "enable.auto.commit": False,
                               "auto.offset.reset": "earliest", "isolation.level": "read_committed",
                               "session.timeout.ms": 6000, "heartbeat.interval.ms": 500})
    consumer.subscribe(["in"])
    try:
        while True:
            messages = [message for message in consumer.consume(50, 0.5) if message.error() is None]
            if not messages:
                continue
            producer.begin_transaction()
            offsets = {}
            for message in messages:
                producer.produce("out", transformed(message.value().decode()), partition=message.partition())
                offsets[message.partition()] = message.offset() + 1
            retried(producer.send_offsets_to_transaction,
                    [kafka.TopicPartition("in", partition, offset) for partition, offset in offsets.items()],
                    consumer.consumer_group_metadata(), 20)
            retried(producer.commit_transaction, 20)
    except kafka.KafkaException as error:
        print(name, error, flush=True)
        if error.args[0].txn_requires_abort():
            retried(producer.abort_transaction, 20)
    finally:
        consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
