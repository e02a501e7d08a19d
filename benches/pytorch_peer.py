#!/usr/bin/env python3
"""The PyTorch side of pytorch.py: trains what a JSON object on the command line describes, in float32 on the CPU or on a
card ("device": "cuda"; "precision": "f32", "tf32", or "bf16" under autocast).

Prints {"ready": true} when warm; for each line N on standard input runs N optimizer steps and prints {"steps": [seconds, ...]};
at the end of input prints its peak memory, parameters, losses and seconds to the first step.
"""

import json
import os
import sys
import time

STARTED = time.perf_counter()
SHAPE = json.loads(sys.argv[1])
os.environ["OMP_NUM_THREADS"] = str(SHAPE["threads"])

import torch  # noqa: E402  (after the number of threads is set)
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

WARM_UP = 3
DEVICE = SHAPE.get("device", "cpu")
PRECISION = SHAPE.get("precision", "f32")
# Batches of random tokens that are made beforehand and used in turn.
BATCHES = 8


class Attention(nn.Module):
    """Causal self-attention, its three projections in one product; `bias` as GPT-2, without it rotary and grouped as Llama."""

    def __init__(self, shape, bias):
        super().__init__()
        self.heads, self.groups = shape["heads"], shape["kv_heads"]
        self.size = shape["width"] // self.heads
        self.project = nn.Linear(shape["width"], (self.heads + 2 * self.groups) * self.size, bias=bias)
        self.out = nn.Linear(shape["width"], shape["width"], bias=bias)

    def forward(self, x, rotary=None):
        rows, length, width = x.shape
        parts = self.project(x).view(rows, length, self.heads + 2 * self.groups, self.size).transpose(1, 2)
        q, k, v = parts.split([self.heads, self.groups, self.groups], dim=1)
        if rotary is not None:
            q, k = rotate(q, rotary), rotate(k, rotary)
        grouped = self.heads != self.groups
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        return self.out(y.transpose(1, 2).reshape(rows, length, width))


def rotate(x, rotary):
    """Rotary positions (Su et al. 2021): pairs are the two halves of a head."""
    cosine, sine = rotary
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


class GPT2(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, norm = shape["width"], lambda: nn.LayerNorm(shape["width"], eps=shape["eps"])
        self.tokens, self.positions = nn.Embedding(shape["vocab"], width), nn.Embedding(shape["length"], width)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": norm(),
                    "attention": Attention(shape, bias=True),
                    "mlp_norm": norm(),
                    "up": nn.Linear(width, shape["hidden"]),
                    "down": nn.Linear(shape["hidden"], width),
                }
            )
            for _ in range(shape["depth"])
        )
        self.norm = norm()
        self.register_buffer("places", torch.arange(shape["length"]), persistent=False)

    def forward(self, tokens, targets):
        x = self.tokens(tokens) + self.positions(self.places)
        for layer in self.layers:
            x = x + layer["attention"](layer["norm"](x))
            x = x + layer["down"](functional.gelu(layer["up"](layer["mlp_norm"](x)), approximate="tanh"))
        return loss_of(functional.linear(self.norm(x), self.tokens.weight), targets)


class Llama(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, norm = shape["width"], lambda: nn.RMSNorm(shape["width"], eps=shape["eps"])
        self.tokens = nn.Embedding(shape["vocab"], width)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": norm(),
                    "attention": Attention(shape, bias=False),
                    "mlp_norm": norm(),
                    "gate": nn.Linear(width, shape["hidden"], bias=False),
                    "up": nn.Linear(width, shape["hidden"], bias=False),
                    "down": nn.Linear(shape["hidden"], width, bias=False),
                }
            )
            for _ in range(shape["depth"])
        )
        self.norm = norm()
        self.head = nn.Linear(width, shape["vocab"], bias=False)
        if shape["tied"]:
            self.head.weight = self.tokens.weight
        half = width // shape["heads"] // 2
        angles = torch.outer(torch.arange(shape["length"]), shape["theta"] ** (-torch.arange(half) / half))
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def forward(self, tokens, targets):
        x = self.tokens(tokens)
        for layer in self.layers:
            x = x + layer["attention"](layer["norm"](x), (self.cosine, self.sine))
            y = layer["mlp_norm"](x)
            x = x + layer["down"](functional.silu(layer["gate"](y)) * layer["up"](y))
        return loss_of(self.head(self.norm(x)), targets)


def loss_of(logits, targets):
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Training:
    def __init__(self, shape):
        torch.manual_seed(1)
        self.model = (GPT2(shape) if shape["family"] == "gpt2" else Llama(shape)).to(DEVICE)
        for parameter in self.model.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)
        self.call = torch.compile(self.model) if shape["mode"] == "compile" else self.model
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=shape["learning_rate"],
            betas=shape["betas"],
            weight_decay=shape["weight_decay"],
            fused=True,
        )
        self.clip_norm = shape["clip_norm"]
        size = (BATCHES, shape["rows"], shape["length"] + 1)
        self.batches = torch.randint(0, shape["vocab"], size).to(DEVICE)
        self.done, self.losses = 0, []

    def step(self):
        """Seconds of one optimizer step."""
        began = time.perf_counter()
        batch = self.batches[self.done % BATCHES]
        with torch.autocast(DEVICE, torch.bfloat16, enabled=PRECISION == "bf16"):
            loss = self.call(batch[:, :-1].contiguous(), batch[:, 1:].contiguous())
        loss.backward()
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses.append(loss.item())
        self.done += 1
        return time.perf_counter() - began


def peak_megabytes():
    """Largest resident set so far, or largest memory of the card, in MiB; from the C library where there is no /proc."""
    if DEVICE != "cpu":
        return torch.cuda.max_memory_reserved() / 1048576
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1048576


def main():
    torch.set_num_threads(SHAPE["threads"])
    torch.set_float32_matmul_precision("high" if PRECISION == "tf32" else "highest")
    training = Training(SHAPE)
    training.step()
    first_step_s = time.perf_counter() - STARTED
    for _ in range(WARM_UP):
        training.step()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"steps": [training.step() for _ in range(int(line))]}), flush=True)
    summary = {
        "torch": torch.__version__,
        "params": sum(parameter.numel() for parameter in training.model.parameters()),
        "peak_rss_mb": peak_megabytes(),
        "first_step_s": first_step_s,
        "loss_first": training.losses[0],
        "loss_last": training.losses[-1],
    }
    print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
