#!/usr/bin/env python3
"""Make the reference values of tests/reference with PyTorch and transformers, in float64.

usage: python tests/reference/make.py [gpt2|llama|bloom|mistral_swa|qwen3|gemma2 ...]     (pip install torch transformers safetensors)

For each small model NAME it writes tests/reference/NAME/:
  config.json, model.safetensors   the initial weights in Hugging Face layout
  io.safetensors                   input_ids, logits, and loss of one batch (labels = input_ids, shifted)
  grads.safetensors                gradient of that loss for every weight
  batches.safetensors              input_ids of the training batches, [steps, rows, tokens]
  final.safetensors                weights after the last AdamW step
  info.json                        losses, gradient norms, schedule, and how far a float32 run of torch ends from float64
Tensors are rounded to float32; ids are int64. The same seed gives the same files for the same torch version.
"""

import copy
import json
import math
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

ROWS, TOKENS, STEPS, WARMUP, PEAK, LOW = 4, 24, 20, 4, 3e-3, 3e-4

MODELS = {
    # Odd sizes on purpose: three heads of eight, a vocabulary that is no power of two.
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=131, n_positions=40, n_embd=24, n_layer=2, n_head=3,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=1, eos_token_id=2)),
    # Grouped-query attention 6/2, a head size that is not width / heads, and Llama 3's RoPE base.
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=131, hidden_size=48, intermediate_size=88, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=2, head_dim=12, max_position_embeddings=64,
        rms_norm_eps=1e-5, rope_theta=500000.0, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=2)),
    # Scores by distance (ALiBi), a normalisation of the embeddings, queries, keys and values interleaved by head.
    "bloom": lambda: transformers.BloomForCausalLM(transformers.BloomConfig(
        vocab_size=131, hidden_size=24, n_layer=2, n_head=4, hidden_dropout=0.0, attention_dropout=0.0,
        bos_token_id=1, eos_token_id=2, pad_token_id=3)),
    # A window that is shorter than the rows.
    "mistral_swa": lambda: transformers.MistralForCausalLM(transformers.MistralConfig(
        vocab_size=131, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=64, sliding_window=7,
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)),
    # Queries and keys normalised by head, a head size that is not width / heads, one table.
    "qwen3": lambda: transformers.Qwen3ForCausalLM(transformers.Qwen3Config(
        vocab_size=131, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=12, max_position_embeddings=64, tie_word_embeddings=True,
        bos_token_id=1, eos_token_id=2)),
    # Soft caps on scores and logits, a window in every other layer, norms before and after each part.
    "gemma2": lambda: transformers.Gemma2ForCausalLM(transformers.Gemma2Config(
        vocab_size=131, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=12, max_position_embeddings=64, sliding_window=7, query_pre_attn_scalar=20,
        attn_logit_softcapping=5.0, final_logit_softcapping=4.0, attention_dropout=0.0,
        # A padding token's row of the table would take no gradient.
        bos_token_id=1, eos_token_id=2, pad_token_id=None, attn_implementation="eager")),
}


def unique(tensors):
    """Named tensors without second names of tied ones, in float32."""
    seen, kept = set(), {}
    for name, tensor in tensors:
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            kept[name] = tensor.detach().to(torch.float32).contiguous().clone()
    return kept


def schedule(step):
    """Linear warm-up from peak / WARMUP, then half a cosine to LOW."""
    if step < WARMUP:
        return PEAK * (step + 1) / WARMUP
    share = (step - WARMUP) / (STEPS - WARMUP)
    return LOW + (PEAK - LOW) / 2 * (1 + math.cos(math.pi * share))


def next_token_loss(model, ids):
    """Logits, and mean cross-entropy of each token given those before it.
    transformers' own loss rounds float64 logits to float32, hence not used."""
    logits = model(input_ids=ids).logits
    targets = ids[:, 1:].reshape(-1)
    return logits, torch.nn.functional.cross_entropy(logits[:, :-1].reshape(len(targets), -1), targets)


def train(model, batches):
    """AdamW with decay on tensors of two or more dimensions, clipped to a global norm of 1."""
    weights = list(model.parameters())
    groups = [{"params": [w for w in weights if w.dim() >= 2], "weight_decay": 0.1},
              {"params": [w for w in weights if w.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.95), eps=1e-8)
    log = []
    for step, ids in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = schedule(step)
        _, loss = next_token_loss(model, ids)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        log.append({"step": step, "learning_rate": schedule(step), "loss": loss.item(), "grad_norm": norm.item()})
    return log


def make(name, folder):
    torch.manual_seed(20)
    single = MODELS[name]().eval()
    # Larger than the default 0.02, so that every gradient is far from the rounding noise.
    with torch.no_grad():
        for weight in single.parameters():
            noise = torch.randn_like(weight)
            weight.copy_(noise * 0.08 if weight.dim() >= 2 else weight + noise * 0.1)
    model = copy.deepcopy(single).double()
    vocab = model.config.vocab_size
    ids = torch.randint(0, vocab, (ROWS, TOKENS))
    batches = torch.randint(0, vocab, (STEPS, ROWS, TOKENS))

    folder.mkdir(parents=True, exist_ok=True)
    config = model.config.to_dict()
    config["architectures"] = [type(model).__name__]
    config["dtype"] = "float32"
    del config["transformers_version"]
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True, default=str) + "\n")
    save_file(unique(model.named_parameters()), folder / "model.safetensors", {"format": "pt"})

    logits, mean = next_token_loss(model, ids)
    mean.backward()
    save_file({"input_ids": ids, "logits": logits.detach().float()}, folder / "io.safetensors")
    save_file(unique((n, w.grad) for n, w in model.named_parameters()), folder / "grads.safetensors")
    loss = mean.item()

    save_file({"input_ids": batches}, folder / "batches.safetensors")
    log = train(model, batches)
    final = unique(model.named_parameters())
    save_file(final, folder / "final.safetensors", {"format": "pt"})
    train(single, batches)
    drift = {n: (w - final[n]).abs().max().item() for n, w in unique(single.named_parameters()).items()}
    info = {
        "loss": loss, "parameters": sum(w.numel() for w in final.values()),
        "warmup": WARMUP, "peak": PEAK, "low": LOW, "steps": STEPS, "rows": ROWS, "tokens": TOKENS,
        "betas": [0.9, 0.95], "epsilon": 1e-8, "weight_decay": 0.1, "clip_norm": 1.0,
        "log": log, "final_max_abs_diff_float32": drift,
        "torch": torch.__version__, "transformers": transformers.__version__,
    }
    (folder / "info.json").write_text(json.dumps(info, indent=1) + "\n")


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    here = pathlib.Path(__file__).parent
    for chosen in sys.argv[1:] or MODELS:
        make(chosen.lower(), here / chosen.lower())
