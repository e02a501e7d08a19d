#!/usr/bin/env python3
"""llmc's tokenizers against Hugging Face's `tokenizers` and tiktoken: the same documents, vocabulary and threads, in turns.

usage: python3 benches/tokenizer_peers.py [--llmc target/release/llmc] [--mb 50] [--encode-mb 20] [--vocab 8192] [--repeats 5]

Needs `pip install tokenizers tiktoken`. The text is the Rust sources in the local cargo registry, sorted by path. Byte-level
BPE is trained on --mb of it by llmc and by `tokenizers`; all three encode --encode-mb with the vocabulary of the latter.
Prints medians of wall time and one line of JSON.
"""
import argparse, glob, json, os, statistics, subprocess, tempfile, time

ap = argparse.ArgumentParser()
ap.add_argument("--llmc", default="target/release/llmc")
ap.add_argument("--mb", type=float, default=50)
ap.add_argument("--encode-mb", type=float, default=20)
ap.add_argument("--vocab", type=int, default=8192)
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--repeats", type=int, default=5)
a = ap.parse_args()
os.environ["RAYON_NUM_THREADS"] = str(a.threads)
os.environ["TOKENIZERS_PARALLELISM"] = "true"

import tiktoken
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
STAGE = """
stage s {{
  model = gpt2(vocab: t.vocab, width: 64, depth: 1, heads: 1, context: 128)
  data = d
  tokenizer = t
  objective = causal_lm
  optimizer = adamw(learning_rate: 1e-3)
  sequence_length = 128 tokens
  global_batch = 8 sequences
  budget = 1 steps
}}
"""


def sources(limit, skip=0):
    home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    paths = sorted(glob.glob(home + "/registry/src/*/*/**/*.rs", recursive=True))
    documents, size = [], 0
    for path in paths[skip:]:
        text = open(path, encoding="utf8", errors="replace").read()
        if text and len(text) < 2_000_000 and "\0" not in text:
            documents.append(text)
            size += len(text.encode())
            if size >= limit * 1e6:
                break
    return documents, size / 1e6


def seconds(work):
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


with tempfile.TemporaryDirectory() as place:
    os.environ["LLMC_CACHE"] = place + "/cache"
    train, train_mb = sources(a.mb)
    encode, encode_mb = sources(a.encode_mb, skip=1000)
    for name, documents in [("train", train), ("encode", encode)]:
        with open(f"{place}/{name}.jsonl", "w", encoding="utf8") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in documents)

    def recipe(name, tokenizer):
        with open(f"{place}/{name}.recipe", "w") as file:
            file.write('import "std/gpt2"\n' + f'dataset d {{ source = jsonl("{name}.jsonl") }}\n' + tokenizer + STAGE.format())

    recipe("train", f"tokenizer t {{ train = byte_bpe(vocab: {a.vocab}, on: d, sample: {2 * a.mb} MB) }}")
    recipe("encode", 'tokenizer t { load = "peer.json" }')

    def llmc(name, part):
        command = [a.llmc, "bench", f"{place}/{name}.recipe", "--data", "--json", "--threads", str(a.threads)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return next(each["seconds"] for each in found["parts"] if each["part"] == part)

    peer = Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=a.vocab,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        special_tokens=["<|endoftext|>"],
    )
    ours, theirs = [], []
    for _ in range(max(1, a.repeats // 2)):
        ours.append(llmc("train", "train tokenizer"))
        theirs.append(seconds(lambda: peer.train_from_iterator(train, trainer))[0])
    peer.save(place + "/peer.json")

    visible = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    hidden = [byte for byte in range(256) if byte not in visible]
    byte_of = {chr(byte): byte for byte in visible} | {chr(256 + place): byte for place, byte in enumerate(hidden)}
    ranks = {
        bytes(byte_of[each] for each in token): id
        for token, id in peer.get_vocab().items()
        if token != "<|endoftext|>"
    }
    open_ai = tiktoken.Encoding("peer", pat_str=GPT2, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": a.vocab})
    times = {"llmc": [], "tokenizers": [], "tiktoken": []}
    for _ in range(a.repeats):
        times["llmc"].append(llmc("encode", "tokenize"))
        times["tokenizers"].append(seconds(lambda: peer.encode_batch_fast(encode, add_special_tokens=False))[0])
        times["tiktoken"].append(seconds(lambda: open_ai.encode_ordinary_batch(encode, num_threads=a.threads))[0])
    rates = {name: encode_mb / statistics.median(each) for name, each in times.items()}
    result = {
        "threads": a.threads,
        "train_mb": round(train_mb, 1),
        "train_s": {"llmc": round(statistics.median(ours), 2), "tokenizers": round(statistics.median(theirs), 2)},
        "encode_mb": round(encode_mb, 1),
        "encode_mb_s": {name: round(rate, 1) for name, rate in rates.items()},
        "times_tokenizers": round(rates["llmc"] / rates["tokenizers"], 2),
        "times_tiktoken": round(rates["llmc"] / rates["tiktoken"], 2),
    }
    for name, rate in rates.items():
        print(f"{name:12} encodes {rate:6.1f} MB/s")
    print(json.dumps(result))
