#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Follows topic `labels` on Kafka and keeps a CSV file of the label that counts of each crop.

    pip install confluent-kafka
    python3 labels_consumer.py --brokers kafka1:9092 --csv labels.csv
    python3 labels_consumer.py --brokers kafka1:9092 --csv labels.csv --crops http://frames:8001 --folder crops --until-end

Delivery is at least once: a label may come again, now or after a crash. So rows are flushed to the disk first and the
position is committed after that, and a row that is there is not written again. Several of these with the same --group share
the partitions; give each a --csv of its own.
"""
import argparse
import csv
import json
import os
import pathlib
import signal
import urllib.request

from confluent_kafka import Consumer, KafkaError, KafkaException

COLUMNS = ['key', 'index', 'code', 'choice', 'source', 'confidence', 'time', 'position']
SOURCES = ('model', 'votes', 'expert', 'gold')
BATCH, WAIT_S = 500, 1.0


def row_of(message):
    """A message as a row; ValueError for one that is none of ours."""
    label = json.loads(message.value())
    if label.get('v') != 1 or label.get('source') not in SOURCES:
        raise ValueError('no label of version 1')
    cls = label['class'] or {}
    return dict(zip(COLUMNS, map(str, [
        label['key'], cls.get('index', ''), cls.get('code', ''), label.get('choice', ''), label['source'], label['confidence'],
        label['time'], message.offset()])))


def wins(row, known):
    """Of two labels of a crop a person's counts before a model's, of equals the later. All of one crop are in one partition,
    so that positions say what is later; what is not later than what we know came again."""
    if int(row['position']) <= int(known['position']):
        return False
    return row['source'] != 'model' or known['source'] == 'model'


class Table:
    """The CSV file; the last row of a key is the one that counts."""

    def __init__(self, path):
        new = not os.path.exists(path) or not os.path.getsize(path)
        self.file = open(path, 'a+', newline='', encoding='utf-8')
        self.file.seek(0)
        self.rows = {row['key']: row for row in csv.DictReader(self.file)}
        self.writer = csv.DictWriter(self.file, COLUMNS)
        if new:
            self.writer.writeheader()

    def add(self, row):
        """False when it is there already, or counts less than what is there."""
        if row['key'] in self.rows and not wins(row, self.rows[row['key']]):
            return False
        self.rows[row['key']] = row
        self.writer.writerow(row)
        return True

    def flush(self):
        self.file.flush()
        os.fsync(self.file.fileno())


def fetch(url, key, folder):
    """The picture of a crop, once."""
    path = pathlib.Path(folder) / f'{key}.jpg'
    if path.exists():
        return
    with urllib.request.urlopen(f'{url}/v1/crops/{key}', timeout=30) as answer:
        part = path.with_suffix('.part')
        part.write_bytes(answer.read())
        part.rename(path)


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--brokers', required=True, help='HOST:PORT[,HOST:PORT...]')
    a.add_argument('--topic', default='labels', help='with the prefix of the installation, if it has one')
    a.add_argument('--group', default='labels-csv')
    a.add_argument('--csv', required=True)
    a.add_argument('--crops', help='URL of a process with role frames: pictures are fetched too')
    a.add_argument('--folder', default='crops', help='where pictures go')
    a.add_argument('--until-end', action='store_true', help='ends when everything was read, instead of waiting for more')
    a.add_argument('--option', action='append', default=[], metavar='NAME=VALUE', help='of librdkafka: security.protocol=SASL_SSL')
    return a.parse_args()


def main():
    o = arguments()
    table = Table(o.csv)
    if o.crops:
        os.makedirs(o.folder, exist_ok=True)
    consumer = Consumer({'bootstrap.servers': o.brokers, 'group.id': o.group, 'enable.auto.commit': False,
                         'auto.offset.reset': 'earliest', 'enable.partition.eof': True,
                         **dict(option.split('=', 1) for option in o.option)})
    ended, ending = set(), []
    for s in (signal.SIGINT, signal.SIGTERM):
        signal.signal(s, lambda *_: ending.append(True))
    consumer.subscribe([o.topic], on_revoke=lambda *_: ended.clear())
    read = written = skipped = 0
    while not ending:
        batch = consumer.consume(BATCH, WAIT_S)
        for m in batch:
            at = m.topic(), m.partition()
            if m.error() and m.error().code() == KafkaError._PARTITION_EOF:
                ended.add(at)
                continue
            if m.error():
                raise KafkaException(m.error())
            ended.discard(at)
            read += 1
            try:
                row = row_of(m)
            except (ValueError, KeyError, TypeError) as e:
                skipped += 1
                print(f'{m.partition()}:{m.offset()} is skipped: {e}', flush=True)
                continue
            if o.crops:
                fetch(o.crops, row['key'], o.folder)
            written += table.add(row)
        if any(not m.error() for m in batch):
            table.flush()  # first the effect ...
            consumer.commit(asynchronous=False)  # ... then its position
        if o.until_end and ended and ended >= {(p.topic, p.partition) for p in consumer.assignment()}:
            break
    consumer.close()
    print(f'{read} read, {written} written, {skipped} skipped, {len(table.rows)} crops in {o.csv}')


if __name__ == '__main__':
    main()
