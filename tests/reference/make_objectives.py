#!/usr/bin/env python3
"""Make the reference values of objectives that are not causal, with PyTorch and transformers, in float64.

usage: python tests/reference/make_objectives.py [bert|t5|xlnet|prefix_llama ...]     (pip install torch transformers safetensors)

For each NAME it writes tests/reference/NAME/, as make.py does. Batches carry llmc's names:
  io.safetensors        one batch [rows, tokens] (`tokens`, `targets` with -100 where nothing is predicted, `documents`, `order`,
                        `segments`, `source`, `source_documents`, as far as the model reads them) and its `logits`
  batches.safetensors   the same for every training step, [steps, rows, tokens]
  info.json             loss, parameters, log of the steps, how far a float32 run of torch ends from float64
"""

import copy
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

from make import LOW, PEAK, STEPS, WARMUP, randomise, train, unique, write_config

ROWS, TOKENS, SOURCE, VOCAB = 4, 16, 20, 131


def mask_some(tokens, share):
    """Labels of a share of the tokens, at least one a row; -100 elsewhere."""
    chosen = torch.rand(tokens.shape) < share
    chosen[:, 3] = True
    return torch.where(chosen, torch.randint(0, VOCAB, tokens.shape), torch.full_like(tokens, -100))


def padding(length):
    """Document numbers: 0, and -1 for the padding behind the second row."""
    documents = torch.zeros(ROWS, length, dtype=torch.int64)
    documents[1, length - 4:] = -1
    return documents


def bert_batch():
    tokens = torch.randint(0, VOCAB, (ROWS, TOKENS))
    documents, targets = padding(TOKENS), mask_some(tokens, 0.2)
    targets[documents < 0] = -100
    segments = (torch.arange(TOKENS) >= 9).long().expand(ROWS, TOKENS).contiguous()
    return {"tokens": tokens, "targets": targets, "documents": documents, "segments": segments}


def bert_logits(model, batch):
    return model(input_ids=batch["tokens"], attention_mask=(batch["documents"] >= 0).long(),
                 token_type_ids=batch["segments"]).logits


def t5_batch():
    targets = torch.randint(0, VOCAB, (ROWS, TOKENS))
    tokens = torch.cat([torch.zeros(ROWS, 1, dtype=torch.int64), targets[:, :-1]], 1)
    targets[2, 11:] = -100
    return {"tokens": tokens, "targets": targets, "source": torch.randint(0, VOCAB, (ROWS, SOURCE)),
            "source_documents": padding(SOURCE)}


def t5_logits(model, batch):
    return model(input_ids=batch["source"], attention_mask=(batch["source_documents"] >= 0).long(),
                 decoder_input_ids=batch["tokens"]).logits


def xlnet_batch():
    """The last sixth of a random order is predicted; all before it see each other."""
    tokens = torch.randint(0, VOCAB, (ROWS, TOKENS))
    order, targets = torch.zeros_like(tokens), torch.full_like(tokens, -100)
    for row in range(ROWS):
        for number, place in enumerate(torch.randperm(TOKENS)[:TOKENS // 6 + 1].tolist()):
            order[row, place], targets[row, place] = number + 1, tokens[row, place]
    return {"tokens": tokens, "targets": targets, "order": order}


def xlnet_logits(model, batch):
    order = batch["order"]
    first, second = order[:, :, None], order[:, None, :]
    sees = (second < first) | ((first == 0) & (second == 0))
    dtype = next(model.parameters()).dtype
    every_place = torch.eye(TOKENS, dtype=dtype).expand(ROWS, TOKENS, TOKENS)
    return model(input_ids=batch["tokens"], perm_mask=(~sees).to(dtype), target_mapping=every_place).logits


class Xlnet(transformers.XLNetModel):
    """transformers makes the encoding of distances in float32, whatever the weights are."""

    def relative_positional_encoding(self, *sizes, **more):
        return super().relative_positional_encoding(*sizes, **more).to(self.word_embedding.weight.dtype)


def xlnet_model():
    model = transformers.XLNetLMHeadModel(transformers.XLNetConfig(
        vocab_size=VOCAB, d_model=24, n_layer=2, n_head=3, d_inner=40, dropout=0.0, mem_len=0))
    model.transformer.__class__ = Xlnet
    return model


def prefix_batch():
    """The tokens of a prefix have the number of its last."""
    tokens = torch.randint(0, VOCAB, (ROWS, TOKENS))
    targets = torch.cat([tokens[:, 1:], torch.full((ROWS, 1), -100)], 1)
    order = torch.arange(TOKENS).repeat(ROWS, 1)
    for row, prefix in enumerate([1, 5, 9, 14]):
        order[row, :prefix] = prefix - 1
        targets[row, :prefix - 1] = -100
    return {"tokens": tokens, "targets": targets, "order": order}


def prefix_logits(model, batch):
    order = batch["order"]
    dtype = next(model.parameters()).dtype
    hidden = (order[:, None, :] > order[:, :, None])[:, None]
    mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill(hidden, torch.finfo(dtype).min)
    return model(input_ids=batch["tokens"], attention_mask=mask).logits


MODELS = {
    "bert": (bert_batch, bert_logits, lambda: transformers.BertForMaskedLM(transformers.BertConfig(
        vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=56,
        max_position_embeddings=40, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=None,
        attn_implementation="eager"))),
    "t5": (t5_batch, t5_logits, lambda: transformers.T5ForConditionalGeneration(transformers.T5Config(
        vocab_size=VOCAB, d_model=24, d_kv=8, d_ff=56, num_layers=2, num_decoder_layers=1, num_heads=3,
        relative_attention_num_buckets=8, relative_attention_max_distance=12, dropout_rate=0.0,
        feed_forward_proj="relu", tie_word_embeddings=True, pad_token_id=None))),
    "xlnet": (xlnet_batch, xlnet_logits, xlnet_model),
    "prefix_llama": (prefix_batch, prefix_logits, lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=64, tie_word_embeddings=True,
        attn_implementation="eager"))),
}


def loss_of(logits, batch):
    return torch.nn.functional.cross_entropy(logits.reshape(-1, VOCAB), batch["targets"].reshape(-1), ignore_index=-100)


def make(name, folder):
    torch.manual_seed(21)
    batch_of, logits_of, model_of = MODELS[name]
    whole_loss = lambda model, batch: loss_of(logits_of(model, batch), batch)
    single = model_of().eval()
    randomise(single)
    model = copy.deepcopy(single).double()
    batch, batches = batch_of(), [batch_of() for _ in range(STEPS)]

    folder.mkdir(parents=True, exist_ok=True)
    write_config(model, folder)
    save_file(unique(model.named_parameters()), folder / "model.safetensors", {"format": "pt"})

    logits = logits_of(model, batch)
    loss = loss_of(logits, batch)
    loss.backward()
    save_file({**batch, "logits": logits.detach().float().contiguous()}, folder / "io.safetensors")
    gradients = ((n, torch.zeros_like(w) if w.grad is None else w.grad) for n, w in model.named_parameters())
    save_file(unique(gradients), folder / "grads.safetensors")

    save_file({key: torch.stack([each[key] for each in batches]) for key in batch}, folder / "batches.safetensors")
    log = train(model, batches, whole_loss)
    final = unique(model.named_parameters())
    save_file(final, folder / "final.safetensors", {"format": "pt"})
    train(single, batches, whole_loss)
    drift = {n: (w - final[n]).abs().max().item() for n, w in unique(single.named_parameters()).items()}
    info = {
        "loss": loss.item(), "parameters": sum(w.numel() for w in final.values()),
        "train": {"warmup": WARMUP, "peak": PEAK, "low": LOW, "steps": STEPS, "log": log,
                  "final_max_abs_diff_float32": drift},
        "torch": torch.__version__, "transformers": transformers.__version__,
    }
    (folder / "info.json").write_text(json.dumps(info, indent=1) + "\n")


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for chosen in sys.argv[1:] or MODELS:
        make(chosen, here / chosen)
