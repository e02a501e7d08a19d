#!/usr/bin/env python3
"""Compare llmc's reading and writing of GGUF files with the `gguf` package's.

usage: python tests/gguf_load.py DIRECTORY     (pip install gguf; llmc on PATH or $LLMC)

DIRECTORY is a Hugging Face directory or checkpoint of a Llama or GPT-2 model. It is written in every type and read by the
package. Then the package writes a small Llama file with blocks of random bits in every type that llmc reads, and llmc's
values must be the package's. Exit status 1 if anything differs.
"""

import os
import subprocess
import sys
import tempfile

import gguf
import numpy as np
from gguf.quants import dequantize

LLMC = os.environ.get("LLMC", "llmc")
TYPES = gguf.GGMLQuantizationType


def export(source, path, kind):
    subprocess.run([LLMC, "export", source, "--gguf", path, "--type", kind], check=True, capture_output=True)


def read(path):
    return {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors}


def written_by_llmc(directory, folder):
    exact = None
    # Relative to the largest value of a tensor: exact, half units in the last place, half a step of 127.
    for kind, bound in [("f32", 0.0), ("f16", 2.0**-11), ("bf16", 2.0**-8), ("q8_0", 0.5 / 127 + 2.0**-11)]:
        path = os.path.join(folder, f"{kind}.gguf")
        export(directory, path, kind)
        tensors = read(path)
        exact = exact or tensors
        worst = max(np.abs(tensors[name] - exact[name]).max() / np.abs(exact[name]).max() for name in exact)
        print(f"written as {kind}: {len(tensors)} tensors, largest relative difference {worst:.2e}")
        if worst > bound or tensors.keys() != exact.keys():
            sys.exit("not within the format")


def random_blocks(kind, rows, columns, generator):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = generator.integers(0, 256, (rows, columns // block, size), dtype=np.uint8)
    # Half-precision scales that are small numbers: nothing infinite, nothing that is no number.
    scales = {TYPES.Q4_0: [0], TYPES.Q8_0: [0], TYPES.Q4_K: [0, 2], TYPES.Q6_K: [208]}[kind]
    for place in scales:
        values = generator.normal(0, 0.01, data.shape[:2]).astype(np.float16)
        data[:, :, place : place + 2] = values.view(np.uint8).reshape(*data.shape[:2], 2)
    return data.reshape(rows, -1)


def read_by_llmc(kind, folder):
    width, heads, hidden, vocab = 256, 4, 512, 96
    generator = np.random.default_rng(int(kind))
    path = os.path.join(folder, f"theirs-{kind.name}.gguf")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    shapes = {
        "token_embd": (vocab, width), "output_norm": (width,), "blk.0.attn_norm": (width,), "blk.0.ffn_norm": (width,),
        "blk.0.attn_q": (width, width), "blk.0.attn_k": (width, width), "blk.0.attn_v": (width, width),
        "blk.0.attn_output": (width, width), "blk.0.ffn_gate": (hidden, width), "blk.0.ffn_up": (hidden, width),
        "blk.0.ffn_down": (width, hidden),
    }
    for name, shape in shapes.items():
        values = generator.normal(0, 1, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", values)
        elif kind in (TYPES.F32, TYPES.F16, TYPES.BF16):
            data = gguf.quants.quantize(values, kind)
            writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)
        else:
            writer.add_tensor(f"{name}.weight", random_blocks(kind, *shape, generator), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    again = os.path.join(folder, f"ours-{kind.name}.gguf")
    export(path, again, "f32")
    theirs, ours = read(path), read(again)
    worst = max(np.abs(ours[name] - theirs[name]).max() for name in theirs)
    print(f"read {kind.name}: {len(ours)} tensors, largest difference {worst:.2e}")
    if ours.keys() != theirs.keys() or worst > 1e-6:
        sys.exit("not the same")


with tempfile.TemporaryDirectory() as temporary:
    written_by_llmc(sys.argv[1], temporary)
    for each in (TYPES.F32, TYPES.F16, TYPES.BF16, TYPES.Q8_0, TYPES.Q4_0, TYPES.Q4_K, TYPES.Q6_K):
        read_by_llmc(each, temporary)
