#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows the reviews and votes that are kept in MongoDB.

    pip install pymongo
    python3 mongo_reviews.py 'mongodb://mongo1:27017/signloop?replicaSet=rs0'
    python3 mongo_reviews.py 'mongodb://mongo1:27017/signloop?replicaSet=rs0' --state decided --max 5
    python3 mongo_reviews.py 'mongodb://mongo1:27017/signloop?replicaSet=rs0' --key KEY

A review is one document of the collection `reviews`, its _id the crop's key; `lines` is its vote log, in order, of which
nothing is ever taken away: an undo is a line too. docs/formats.md says what each member is. Read as much as you like; write
nothing.
"""
import argparse
import sys

import pymongo

CHOICES = {-1: 'not_a_sign', -2: 'unreadable', -3: 'other'}


def choice(n):
    return CHOICES.get(n, str(n))


def votes_of(review):
    """{voter: choice} that count: the last line of each voter, unless that is an undo."""
    last = {}
    for line in review.get('lines', []):
        last[line['voter']] = None if line['undo'] else choice(line['choice'])
    return {voter: c for voter, c in last.items() if c is not None}


def show(review):
    guess = ', '.join(f'{c["class"]} {c["confidence"]:.3f}' for c in review['candidates'])
    print(f'{review["_id"]}  {review["state"]}  opened {review["opened"]:%Y-%m-%d %H:%M:%S}  the model: {guess or "-"}')
    for voter, c in votes_of(review).items():
        print(f'    {voter}: {c}')
    if review['state'] == 'decided':
        v = review['verdict']
        print(f'    verdict: {choice(v["choice"])}, {v["agree"]} of {v["votes"]} votes{", by an expert" if v["by_expert"] else ""}')


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('url', help='mongodb://HOST:PORT/DATABASE?replicaSet=NAME')
    a.add_argument('--state', choices=['open', 'tie', 'decided'])
    a.add_argument('--key', help='of one review')
    a.add_argument('--max', type=int, default=20)
    o = a.parse_args()
    with pymongo.MongoClient(o.url, serverSelectionTimeoutMS=5000) as client:
        reviews = client.get_default_database(default='signloop')['reviews']
        if o.key:
            review = reviews.find_one({'_id': o.key})
            if not review:
                sys.exit(f'{o.key}: no such review')
            show(review)
            return
        for row in reviews.aggregate([{'$group': {'_id': '$state', 'n': {'$sum': 1}}}, {'$sort': {'_id': 1}}]):
            print(f'{row["_id"]}: {row["n"]}')
        for review in reviews.find({'state': o.state} if o.state else {}).sort('added', 1).limit(o.max):
            show(review)


if __name__ == '__main__':
    main()
