"""What tests of Kafka need of another client: a mock cluster, and the records of a topic.

mock N TOPIC...   starts a cluster of N brokers with these topics of 4 partitions; prints {"port": PORT} of the first one
read ADDRESS TOPIC   prints each record of the topic as JSON, and ends after two quiet seconds
write ADDRESS TOPIC COUNT   produces COUNT records with a codec of each kind in turn
join ADDRESS TOPIC GROUP SECONDS   is a member of the group for so long
committed ADDRESS TOPIC GROUP   prints the offsets that the group has stored, and the last ones
"""

import json
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

QUIET_S = 2


def mock(count, *topics):
    producer = Producer({"test.mock.num.brokers": int(count)})
    for topic in topics:
        producer.produce(topic, b"first", partition=0)
    assert producer.flush(30) == 0
    brokers = producer.list_topics(timeout=10).brokers
    print(json.dumps({"port": min(broker.port for broker in brokers.values())}), flush=True)
    while True:
        time.sleep(60)


def read(address, topic):
    consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "fetch.wait.max.ms": 10})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, index, 0) for index in partitions])
    last = time.monotonic()
    while time.monotonic() - last < QUIET_S:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        last = time.monotonic()
        text = lambda value: None if value is None else value.decode()
        print(json.dumps({
            "partition": message.partition(),
            "offset": message.offset(),
            "key": text(message.key()),
            "value": text(message.value()),
            "headers": {name: text(value) for name, value in message.headers() or []},
        }))


def write(address, topic, count):
    for index, codec in enumerate(["none", "gzip", "snappy", "lz4", "zstd"]):
        producer = Producer({"bootstrap.servers": address, "compression.codec": codec, "linger.ms": 50})
        for number in range(index, int(count), 5):
            value = json.dumps({"number": number, "codec": codec}) + " " * 200
            producer.produce(topic, value.encode(), key=str(number), headers=[("codec", codec)])
        assert producer.flush(30) == 0


def join(address, topic, group, seconds):
    consumer = Consumer({
        "bootstrap.servers": address,
        "group.id": group,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 500,
        "partition.assignment.strategy": "range",
        "auto.offset.reset": "latest",
    })
    consumer.subscribe([topic])
    end = time.monotonic() + float(seconds)
    received = 0
    while time.monotonic() < end:
        message = consumer.poll(0.1)
        received += message is not None and not message.error()
    owned = sorted(part.partition for part in consumer.assignment())
    consumer.close()
    print(json.dumps({"owned": owned, "received": received}))


def committed(address, topic, group):
    consumer = Consumer({"bootstrap.servers": address, "group.id": group})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    stored = consumer.committed([TopicPartition(topic, index) for index in partitions], timeout=10)
    print(json.dumps({str(part.partition): part.offset for part in stored}))


if __name__ == "__main__":
    {"mock": mock, "read": read, "write": write, "join": join, "committed": committed}[sys.argv[1]](*sys.argv[2:])
