#!/usr/bin/env python3
"""Train the models of tests/reference in mixed precision with PyTorch: bf16 under autocast, fp16 under autocast with a GradScaler.

usage: python tests/reference/make_precision.py     (pip install torch transformers safetensors, after make.py)

For gpt2, llama and qwen3 it writes tests/reference/NAME/precision.json: loss and gradient norm of each step from the initial weights
over batches.safetensors, for fp16 also the scale of each step.
"""

import json
import math
import pathlib

import torch
import transformers
from safetensors.torch import load_file

from make import PEAK, next_token_loss, schedule

NAMES = ["gpt2", "llama", "qwen3"]
# Nothing overflows: where it would depends on which values are kept in 16 bits, and that is not the same here and there.
SCALE, INTERVAL = 1024.0, 8


def train(folder, dtype, scaling):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    weights = list(model.parameters())
    groups = [{"params": [w for w in weights if w.dim() >= 2], "weight_decay": 0.1},
              {"params": [w for w in weights if w.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.95), eps=1e-8)
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=INTERVAL, enabled=scaling)
    log = []
    for step, batch in enumerate(load_file(folder / "batches.safetensors")["input_ids"]):
        for group in optimizer.param_groups:
            group["lr"] = schedule(step)
        with torch.autocast("cpu", dtype):
            _, loss, _ = next_token_loss(model, batch)
        optimizer.zero_grad()
        scale = scaler.get_scale()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(weights, 1.0).item()
        scaler.step(optimizer)
        scaler.update()
        assert math.isfinite(norm)
        line = {"loss": loss.item(), "grad_norm": norm}
        log.append({**line, "loss_scale": scale} if scaling else line)
    return log


def main():
    torch.use_deterministic_algorithms(True)
    here = pathlib.Path(__file__).parent
    for name in NAMES:
        folder = here / name
        logs = {"bf16": train(folder, torch.bfloat16, False), "fp16": train(folder, torch.float16, True)}
        logs = {"scale": SCALE, "interval": INTERVAL, **logs, "torch": torch.__version__}
        (folder / "precision.json").write_text(json.dumps(logs, indent=1) + "\n")


if __name__ == "__main__":
    main()
