#!/usr/bin/env python3
"""Check that llmc and Hugging Face transformers say the same of the same model, for every family of the library.

usage: python tests/transformers_load.py                        every family, both ways
       python tests/transformers_load.py --only t5 --only bert  some of them
       python tests/transformers_load.py DIR [TEXT]             one checkpoint of a model that predicts the next token
       (pip install torch transformers safetensors; llmc on PATH or $LLMC)

Both ways: llmc trains a tiny model for a few steps, and transformers loads its checkpoint as it is; transformers makes a tiny model
with weights of its own, llmc scores with it, trains it with a rate too small to move a weight, and must write the same tensors.
Compared are log-probabilities (to 1e-4), greedy tokens where the model writes, and the names and bytes of all tensors.
Exit status 0 if all agree, 1 if something differs (what differs is printed), 2 for a wrong command line.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file

LLMC = os.environ.get("LLMC", "llmc")
if os.path.exists(LLMC):  # commands run in other folders
    LLMC = os.path.abspath(LLMC)
VOCAB, LENGTH, MASK, NEW = 257, 24, 3, 12
TOLERANCE = 1e-4

# Of each family: the model in a recipe, how it reads, its class and config in transformers.
SIZES = dict(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=48)
GATED = dict(SIZES, intermediate_size=40, num_key_value_heads=2)
FAMILIES = {
    "gpt2": ("gpt2(vocab: 257, width: 32, depth: 2, heads: 4, context: 48)", "forward", "GPT2",
             dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=48)),
    "llama": ("llama(vocab: 257, width: 32, depth: 2, heads: 4, kv_heads: 2, hidden: 40, context: 48)", "forward", "Llama", GATED),
    "mistral": ("mistral(vocab: 257, width: 32, depth: 2, heads: 4, kv_heads: 2, hidden: 40, context: 48, window: 8)", "forward",
                "Mistral", dict(GATED, sliding_window=8)),
    "qwen3": ("qwen3(vocab: 257, width: 32, depth: 2, heads: 4, kv_heads: 2, head_dim: 12, hidden: 40, context: 48)", "forward",
              "Qwen3", dict(GATED, head_dim=12)),
    "gemma2": ("gemma2(vocab: 257, width: 32, depth: 2, heads: 4, kv_heads: 2, head_dim: 12, hidden: 40, context: 48, window: 8, "
               "query_scalar: 12)", "forward", "Gemma2",
               dict(GATED, head_dim=12, sliding_window=8, query_pre_attn_scalar=12, attn_implementation="eager")),
    "bloom": ("bloom(vocab: 257, width: 32, depth: 2, heads: 4)", "forward", "Bloom",
              dict(vocab_size=VOCAB, hidden_size=32, n_layer=2, n_head=4)),
    "mixtral": ("mixtral(vocab: 257, width: 32, depth: 2, heads: 4, kv_heads: 2, hidden: 40, experts: 5, chosen: 2, context: 48)",
                "forward", "Mixtral", dict(GATED, num_local_experts=5, num_experts_per_tok=2, sliding_window=None)),
    "deepseek": ("deepseek_v3(vocab: 257, width: 32, depth: 2, dense: 1, heads: 4, q_rank: 12, kv_rank: 10, still: 8, turned: 4, "
                 "value: 6, hidden: 40, expert_hidden: 12, experts: 8, chosen: 3, groups: 4, chosen_groups: 2, context: 48)",
                 "forward", "DeepseekV3",
                 dict(SIZES, intermediate_size=40, moe_intermediate_size=12, num_key_value_heads=4, first_k_dense_replace=1,
                      q_lora_rank=12, kv_lora_rank=10, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6, n_routed_experts=8,
                      n_shared_experts=1, num_experts_per_tok=3, n_group=4, topk_group=2, attn_implementation="eager")),
    "bert": ("bert(vocab: 257, width: 32, depth: 2, heads: 4, context: 48)", "both_sides", "Bert",
             dict(SIZES, intermediate_size=128)),
    "t5": ("t5(vocab: 257, width: 32, depth: 2, heads: 4, head_dim: 8, hidden: 40, buckets: 8, max_distance: 20)", "translation",
           "T5", dict(vocab_size=VOCAB, d_model=32, num_layers=2, num_heads=4, d_kv=8, d_ff=40, relative_attention_num_buckets=8,
                      relative_attention_max_distance=20, decoder_start_token_id=0)),
    "xlnet": ("xlnet(vocab: 257, width: 32, depth: 2, heads: 4, hidden: 40)", "ordered", "XLNet",
              dict(vocab_size=VOCAB, d_model=32, n_layer=2, n_head=4, d_inner=40)),
}
# A tokenizer whose ids are the bytes of a text, for text of letters that are one byte.
BYTES = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "post_processor": None,
         "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": False},
         "decoder": {"type": "Fuse"},
         "model": {"type": "WordLevel", "unk_token": "\u0000", "vocab": {chr(byte): byte for byte in range(256)}}}
OBJECTIVES = {"forward": "causal_lm", "both_sides": f"masked_lm(mask: none, mask_id: {MASK})",
              "translation": "span_corruption(sentinel: none, first_sentinel: 256)", "ordered": "permutation_lm"}
HEADS = {"forward": "LMHeadModel ForCausalLM", "both_sides": "ForMaskedLM", "translation": "ForConditionalGeneration",
         "ordered": "LMHeadModel"}


def llmc(*arguments, folder=None):
    run = subprocess.run([LLMC, *map(str, arguments)], capture_output=True, text=True, cwd=folder)
    if run.returncode != 0:
        raise RuntimeError(f"llmc {' '.join(map(str, arguments))}\n{run.stderr}")
    return run.stdout


def model_class(name, reading):
    found = [getattr(transformers, name + head, None) for head in HEADS[reading].split()]
    return next(each for each in found if each is not None)


def load(directory, name, reading):
    """The model, in float64 where its code can, and what did not fit."""
    more = {"attn_implementation": "eager"}
    model, loading = model_class(name, reading).from_pretrained(directory, output_loading_info=True, **more)
    model = model.eval() if reading == "ordered" else model.double().eval()
    # The fast products of experts take no float64.
    model.config._experts_implementation = "eager"
    return model, {kind: names for kind, names in loading.items() if names}


def log_softmax(logits):
    return torch.log_softmax(logits.double(), -1)


@torch.no_grad()
def log_probabilities(model, reading, tokens, source):
    """What `llmc score` gives, by transformers."""
    ids = torch.tensor([tokens])
    if reading == "forward":
        scores = log_softmax(model(ids).logits)[0]
        return [scores[place - 1, tokens[place]].item() for place in range(1, len(tokens))]
    if reading == "both_sides":
        rows = ids.repeat(len(tokens), 1)
        rows.fill_diagonal_(MASK)
        scores = log_softmax(model(rows).logits)
        return [scores[place, place, token].item() for place, token in enumerate(tokens)]
    if reading == "translation":
        read = torch.tensor([[0] + tokens[:-1]])
        scores = log_softmax(model(input_ids=torch.tensor([source]), decoder_input_ids=read).logits)[0]
        return [scores[place, token].item() for place, token in enumerate(tokens)]
    count = len(tokens)
    hidden = torch.triu(torch.ones(1, count, count))
    targets = torch.eye(count).unsqueeze(0)
    scores = log_softmax(model(ids, perm_mask=hidden, target_mapping=targets, use_mems=False).logits)[0]
    return [scores[place, tokens[place]].item() for place in range(1, count)]


@torch.no_grad()
def greedy(model, reading, tokens):
    """The most likely tokens, each from a whole forward pass, until one that ends the text."""
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    written = [0] if reading == "translation" else list(tokens)
    drawn = []
    for _ in range(NEW):
        ids = torch.tensor([written])
        logits = model(input_ids=torch.tensor([tokens]), decoder_input_ids=ids).logits if reading == "translation" else model(ids).logits
        token = int(logits[0, -1].argmax())
        if token in ends:
            break
        drawn.append(token)
        written.append(token)
    return drawn


def compare(directory, name, reading, text, tokenizer):
    """What differs between llmc and transformers on a directory, as sentences."""
    model, wrong = load(directory, name, reading)
    mistakes = [f"tensors: {wrong}"] if wrong else []
    tokens, source = list(text[:LENGTH].encode()), list(text[LENGTH:3 * LENGTH].encode())
    line = {"input": source, "target": tokens} if reading == "translation" else {"tokens": tokens}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as lines:
        lines.write(json.dumps(line) + "\n")
        lines.flush()
        more = ["--mask-id", MASK] if reading == "both_sides" else []
        ours = json.loads(llmc("score", directory, "--input", lines.name, *more))["logprobs"]
    theirs = log_probabilities(model, reading, tokens, source)
    if len(ours) != len(theirs):
        mistakes.append(f"{len(ours)} and {len(theirs)} log-probabilities")
    furthest = max((abs(a - b) for a, b in zip(ours, theirs)), default=0.0)
    if not furthest <= TOLERANCE:
        mistakes.append(f"a log-probability differs by {furthest:.2e}")
    drawn = ""
    if reading in ("forward", "translation"):
        prompt = text[:LENGTH]
        printed = llmc("generate", directory, "--tokenizer", tokenizer, "--prompt", prompt, "--tokens", NEW, "--temperature", 0, "--json")
        ours = json.loads(printed.splitlines()[0])["tokens"]
        theirs = greedy(model, reading, list(prompt.encode()))
        drawn = f", {len(ours)} greedy tokens"
        if ours != theirs:
            mistakes.append(f"greedy tokens {ours} and {theirs}")
    return mistakes, f"log-probabilities within {furthest:.1e}{drawn}"


def trained_by_llmc(family, folder):
    model, reading, name, _ = FAMILIES[family]
    text = "".join(f"the {a} sees {b} and {c}.\n" for a in ("cat", "dog", "owl") for b in ("milk", "bread") for c in ("a stone", "me") for _ in range(20))
    (folder / "words.txt").write_text(text)
    (folder / "train.recipe").write_text(f"""import "std/{family}"
dataset words {{ source = text("words.txt") }}
tokenizer letters {{ load = bytes }}
stage train {{
  model = {model}
  data = words
  tokenizer = letters
  objective = {OBJECTIVES[reading]}
  optimizer = adamw(learning_rate: 1e-2)
  sequence_length = 48 tokens
  global_batch = 8 sequences
  budget = 20 steps
}}
""")
    llmc("run", "train.recipe", "--out", "run", folder=folder)
    checkpoint = folder / "run/train/checkpoints/step-00000020"
    return compare(checkpoint, name, reading, text, checkpoint / "tokenizer.json")


def made_by_transformers(family, folder):
    _, reading, name, sizes = FAMILIES[family]
    torch.manual_seed(1)
    config = getattr(transformers, name + "Config")(**sizes)
    model = model_class(name, reading)(config)
    with torch.no_grad():
        # Not what a model starts from: every weight must matter.
        for weight in model.state_dict().values():
            weight += 0.1 * torch.randn_like(weight)
    theirs = folder / "theirs"
    model.save_pretrained(theirs)
    text = "The quick brown fox jumps over the lazy dog; what a day for both of them, said the owl."
    (folder / "bytes.json").write_text(json.dumps(BYTES))
    mistakes, said = compare(theirs, name, reading, text, folder / "bytes.json")
    recipe = llmc("import", "hf", theirs)
    (folder / "tune.recipe").write_text(recipe)
    few = ["tune.budget=1 steps", "tune.sequence_length=16 tokens", "tune.global_batch=2 sequences", "tune.schedule=constant",
           "tune.optimizer=adamw(learning_rate: 1e-30)"]
    llmc("run", "tune.recipe", "--out", "tuned", *[part for each in few for part in ("--set", each)], folder=folder)
    before = load_file(theirs / "model.safetensors")
    after = load_file(folder / "tuned/tune/checkpoints/step-00000001/model.safetensors")
    if before.keys() != after.keys():
        mistakes.append(f"tensors {sorted(before.keys() ^ after.keys())} are in one of both directories")
    mistakes += [f"{path} comes back otherwise" for path in sorted(before.keys() & after.keys())
                 if before[path].dtype != after[path].dtype or not torch.equal(before[path], after[path])]
    return mistakes, f"{said}, {len(after)} tensors come back byte for byte"


def one(directory, text):
    """A checkpoint with a tokenizer, of a model that predicts the next token."""
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    wrong = {kind: names for kind, names in loading.items() if names}
    tokens = transformers.AutoTokenizer.from_pretrained(directory)(text).input_ids
    theirs = log_probabilities(model.double().eval(), "forward", tokens, None)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as lines:
        lines.write(json.dumps({"text": text}) + "\n")
        lines.flush()
        ours = json.loads(llmc("score", directory, "--input", lines.name))["logprobs"]
    furthest = max((abs(a - b) for a, b in zip(ours, theirs)), default=0.0)
    print(f"{type(model).__name__}: {sum(w.numel() for w in model.parameters()):,} parameters, {len(theirs)} tokens, "
          f"largest difference of a log-probability {furthest:.2e}")
    if wrong or len(ours) != len(theirs) or not furthest <= TOLERANCE:
        sys.exit(f"not the same: {wrong or 'tensors fit'}, {len(ours)} and {len(theirs)} tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?")
    parser.add_argument("text", nargs="?", default="impl Display for Error { fn fmt(&self) }")
    parser.add_argument("--only", action="append", choices=sorted(FAMILIES))
    given = parser.parse_args()
    if given.directory:
        return one(given.directory, given.text)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    differ = 0
    for family in given.only or FAMILIES:
        for way in (trained_by_llmc, made_by_transformers):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    mistakes, said = way(family, pathlib.Path(folder))
                except Exception as error:
                    mistakes, said = [f"{type(error).__name__}: {error}"], ""
            print(f"{family:8} {way.__name__.replace('_', ' '):20} {'; '.join(mistakes) or 'the same: ' + said}", flush=True)
            differ += bool(mistakes)
    sys.exit(f"{differ} comparisons differ" if differ else 0)


if __name__ == "__main__":
    main()
