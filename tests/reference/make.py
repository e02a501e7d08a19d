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
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

# The architecture that is being made.
ARCHITECTURE = ""
BIAS_WEIGHT = 0.001
LATENT = {
    "vocab_size": 67, "hidden_size": 16, "intermediate_size": 28, "moe_intermediate_size": 12, "num_hidden_layers": 2,
    "first_k_dense_replace": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "kv_lora_rank": 10,
    "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 8, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
}
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
    # Three of five experts: more products than rows, and experts that some batches leave out.
    "mixtral": lambda: transformers.MixtralForCausalLM(transformers.MixtralConfig(
        vocab_size=67, hidden_size=16, intermediate_size=20, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=4, max_position_embeddings=64,
        num_local_experts=5, num_experts_per_tok=3, router_aux_loss_coef=0.02, output_router_logits=True,
        rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False, sliding_window=None,
        bos_token_id=1, eos_token_id=2)),
    # Latent attention without and with a rank of queries; a first layer without experts.
    "deepseek_v2": lambda: transformers.DeepseekV2ForCausalLM(transformers.DeepseekV2Config(
        **LATENT, q_lora_rank=None, n_routed_experts=5, num_experts_per_tok=2, n_shared_experts=2,
        routed_scaling_factor=1.5, topk_method="greedy", aux_loss_alpha=0.0)),
    "deepseek_v3": lambda: transformers.DeepseekV3ForCausalLM(transformers.DeepseekV3Config(
        **LATENT, q_lora_rank=12, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1,
        routed_scaling_factor=2.5, n_group=4, topk_group=2, norm_topk_prob=True, num_mtp_layers=0)),
}


def add_losses(model, output):
    """What is added to the cross-entropy: Mixtral's balance of experts, and for DeepSeek-V3 the products of each bias and the
    share of choices that its expert has too many, whose gradient is that share."""
    config = model.config
    if config.model_type == "mixtral":
        return config.router_aux_loss_coef * load_balancing_loss_func(
            output.router_logits, config.num_local_experts, config.num_experts_per_tok)
    total = 0.0
    for module in model.modules():
        if type(module).__name__ == "DeepseekV3TopkRouter":
            count = torch.bincount(module.chosen.flatten(), minlength=config.n_routed_experts)
            share = count / count.sum() - 1 / config.n_routed_experts
            total = total + BIAS_WEIGHT * (module.e_score_correction_bias * share).sum()
    return total


def train_biases(model):
    """The biases of DeepSeek-V3 become parameters, and each router keeps what it chose."""
    for module in model.modules():
        if type(module).__name__ == "DeepseekV3TopkRouter":
            bias = module.e_score_correction_bias
            del module.e_score_correction_bias
            module.e_score_correction_bias = torch.nn.Parameter(bias)
            module.register_forward_hook(lambda self, _, result: setattr(self, "chosen", result[2]))


def as_stored(name, tensor):
    """Tensors under the names that checkpoints have: one for each expert, gate and up apart."""
    if ".mlp.gate.weight" in name and "mixtral" in ARCHITECTURE:
        return {name.replace(".mlp.", ".block_sparse_moe."): tensor}
    if ".experts.gate_up_proj" not in name and ".experts.down_proj" not in name:
        return {name: tensor}
    before, last = name.split(".experts.")
    names = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}
    if "mixtral" in ARCHITECTURE:
        before, names = before.replace(".mlp", ".block_sparse_moe"), {"gate": "w1", "up": "w3", "down": "w2"}
    stored = {}
    for number, matrix in enumerate(tensor):
        parts = {"down": matrix} if last == "down_proj" else dict(zip(["gate", "up"], matrix.chunk(2)))
        for part, values in parts.items():
            stored[f"{before}.experts.{number}.{names[part]}.weight"] = values.contiguous().clone()
    return stored


def unique(tensors):
    """Named tensors without second names of tied ones, in float32."""
    seen, kept = set(), {}
    for name, tensor in tensors:
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            kept.update(as_stored(name, tensor.detach().to(torch.float32).contiguous().clone()))
    return kept


def schedule(step):
    """Linear warm-up from peak / WARMUP, then half a cosine to LOW."""
    if step < WARMUP:
        return PEAK * (step + 1) / WARMUP
    share = (step - WARMUP) / (STEPS - WARMUP)
    return LOW + (PEAK - LOW) / 2 * (1 + math.cos(math.pi * share))


def next_token_loss(model, ids):
    """Logits, mean cross-entropy of each token given those before it, and what is added to it.
    transformers' own loss rounds float64 logits to float32, hence not used."""
    output = model(input_ids=ids)
    targets = ids[:, 1:].reshape(-1)
    mean = torch.nn.functional.cross_entropy(output.logits[:, :-1].reshape(len(targets), -1), targets)
    return output.logits, mean, add_losses(model, output)


def whole_loss(model, ids):
    _, mean, added = next_token_loss(model, ids)
    return mean + added


def randomise(model):
    """Weights larger than the default 0.02, so that every gradient is far from the rounding noise."""
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn_like(weight)
            weight.copy_(noise * 0.08 if weight.dim() >= 2 else weight + noise * 0.1)


def write_config(model, folder):
    config = model.config.to_dict()
    config["architectures"] = [type(model).__name__]
    config["dtype"] = "float32"
    del config["transformers_version"]
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True, default=str) + "\n")


def train(model, batches, loss_of=whole_loss):
    """AdamW with decay on tensors of two or more dimensions, clipped to a global norm of 1."""
    weights = list(model.parameters())
    groups = [{"params": [w for w in weights if w.dim() >= 2], "weight_decay": 0.1},
              {"params": [w for w in weights if w.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.95), eps=1e-8)
    log = []
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = schedule(step)
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        log.append({"step": step, "learning_rate": schedule(step), "loss": loss.item(), "grad_norm": norm.item()})
    return log


def make(name, folder):
    global ARCHITECTURE
    ARCHITECTURE = name
    torch.manual_seed(20)
    single = MODELS[name]().eval()
    # The fast products of experts take no float64.
    single.config._experts_implementation = "eager"
    train_biases(single)
    randomise(single)
    model = copy.deepcopy(single).double()
    vocab = model.config.vocab_size
    ids = torch.randint(0, vocab, (ROWS, TOKENS))
    batches = torch.randint(0, vocab, (STEPS, ROWS, TOKENS))

    folder.mkdir(parents=True, exist_ok=True)
    write_config(model, folder)
    save_file(unique(model.named_parameters()), folder / "model.safetensors", {"format": "pt"})

    logits, mean, added = next_token_loss(model, ids)
    (mean + added).backward()
    save_file({"input_ids": ids, "logits": logits.detach().float()}, folder / "io.safetensors")
    save_file(unique((n, w.grad) for n, w in model.named_parameters()), folder / "grads.safetensors")
    loss = (mean + added).item()

    save_file({"input_ids": batches}, folder / "batches.safetensors")
    log = train(model, batches)
    final = unique(model.named_parameters())
    save_file(final, folder / "final.safetensors", {"format": "pt"})
    train(single, batches)
    drift = {n: (w - final[n]).abs().max().item() for n, w in unique(single.named_parameters()).items()}
    info = {
        "loss": loss, "auxiliary_loss": float(added), "parameters": sum(w.numel() for w in final.values()),
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
