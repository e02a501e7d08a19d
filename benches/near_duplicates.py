#!/usr/bin/env python3
"""Near-duplicate removal beside its peers, on the same texts, one after another in every round.

    python3 -m venv V && V/bin/pip install datasketch && V/bin/python benches/near_duplicates.py

Texts: pieces of 200 words of the Rust sources that cargo has downloaded, a fifth of them copies with two words changed.
All look for word 5-grams of Jaccard similarity 0.7 with 128 MinHash values. `llmc` reads the texts of its candidates
again and compares them truly; the others go by signatures. Peers: datasketch (Python and numpy, one thread) and, where
it can be built, the crate gaoya (Rust, one thread). Prints documents per second, medians, and ratios.
"""

import argparse
import glob
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

import datasketch

WORDS, THRESHOLD = 200, 0.7
ROOT = pathlib.Path(__file__).resolve().parent.parent


def texts(count):
    chance, documents, base = random.Random(1), [], count * 4 // 5
    home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    for path in sorted(glob.glob(home + "/registry/src/*/*/src/**/*.rs", recursive=True)):
        words = open(path, encoding="utf8", errors="replace").read().split()
        documents += [words[at : at + WORDS] for at in range(0, min(len(words) - WORDS, WORDS * 4), WORDS)]
        if len(documents) >= base:
            break
    documents = documents[:base]
    copies = []
    for _ in range(len(documents) // 4):
        original = chance.randrange(len(documents))
        copy = list(documents[original])
        for _ in range(2):
            copy[chance.randrange(WORDS)] = "changed"
        copies.append(copy)
    return [" ".join(words) for words in documents + copies], len(documents)


def peer(documents):
    began = time.perf_counter()
    index = datasketch.MinHashLSH(threshold=THRESHOLD, num_perm=128)
    found = set()
    for number, text in enumerate(documents):
        words = text.split()
        signature = datasketch.MinHash(num_perm=128)
        signature.update_batch([" ".join(words[at : at + 5]).encode() for at in range(len(words) - 4)])
        if index.query(signature):
            found.add(number)
        index.insert(number, signature)
    return len(documents) / (time.perf_counter() - began), found


def cargo(*arguments):
    command = ["cargo", "build", "--release", "--message-format=json", *arguments]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [path for line in lines if (path := json.loads(line).get("executable"))][-1]


def run(program, path, threads):
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    output = subprocess.run([program, path, str(THRESHOLD)], check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(output.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    documents, originals = texts(options.documents)
    llmc = cargo("-p", "llmc-data", "--example", "near_duplicates", "--manifest-path", str(ROOT / "Cargo.toml"))
    try:
        gaoya = cargo("--manifest-path", str(ROOT / "benches/near_peer/Cargo.toml"))
    except subprocess.CalledProcessError:
        gaoya = None
    cores = os.cpu_count()
    rates, dropped, found = {}, set(), set()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in documents)
        file.flush()
        for _ in range(options.rounds):
            for threads in sorted({1, cores}):
                result = run(llmc, file.name, threads)
                dropped = set(result["dropped"])
                rates.setdefault(f"llmc, {threads} threads", []).append(result["documents_per_second"])
            rate, found = peer(documents)
            rates.setdefault("datasketch, 1 thread", []).append(rate)
            if gaoya:
                rates.setdefault("gaoya, 1 thread", []).append(run(gaoya, file.name, 1)["documents_per_second"])
    planted = range(originals, len(documents))
    rates = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in rates.items():
        times = rates[f"llmc, {cores} threads"] / rate
        print(f"{name:22} {rate:10,.0f} documents/s   llmc with all cores is {times:.1f} times as fast")
    print(f"copies dropped: llmc {sum(each in dropped for each in planted) / len(planted):.4f}, ", end="")
    print(f"datasketch {sum(each in found for each in planted) / len(planted):.4f}")


main()
