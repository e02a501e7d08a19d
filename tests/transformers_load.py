#!/usr/bin/env python3
"""Load a checkpoint of llmc in Hugging Face transformers as it is, and compare what both say of a text.

usage: python tests/transformers_load.py CHECKPOINT_DIR [TEXT]     (pip install torch transformers; llmc on PATH or $LLMC)
Exit status 1 if a tensor is missing or left over, or if a log-probability differs by more than 1e-4.
"""

import json
import os
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

directory = sys.argv[1]
text = sys.argv[2] if len(sys.argv) > 2 else "impl Display for Error { fn fmt(&self) }"

model, loading = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
tokenizer = AutoTokenizer.from_pretrained(directory)
wrong = {kind: names for kind, names in loading.items() if names}

ids = tokenizer(text, return_tensors="pt").input_ids
with torch.no_grad():
    scores = torch.log_softmax(model(ids).logits.double(), -1)[0]
theirs = [scores[place - 1, ids[0, place]].item() for place in range(1, ids.shape[1])]

with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as lines:
    lines.write(json.dumps({"text": text}) + "\n")
    lines.flush()
    command = [os.environ.get("LLMC", "llmc"), "score", directory, "--input", lines.name]
    ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["logprobs"]

same_tokens = len(ours) == len(theirs)
difference = max((abs(a - b) for a, b in zip(ours, theirs)), default=0.0)
print(f"{type(model).__name__}: {sum(w.numel() for w in model.parameters()):,} parameters, {len(theirs)} tokens, "
      f"largest difference of a log-probability {difference:.2e}")
if wrong or not same_tokens or difference > 1e-4:
    sys.exit(f"not the same: {wrong or 'tensors fit'}, {len(ours)} and {len(theirs)} tokens")
