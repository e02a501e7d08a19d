//! Names that other trainers give to what llmc has under one name.

/// The field a person means by another trainer's name, with what to write instead.
pub fn meaning(form: &str, name: &str) -> Option<&'static str> {
    SPELLINGS
        .iter()
        .find(|(forms, names, _)| forms.contains(&form) && names.contains(&name))
        .map(|(_, _, meaning)| *meaning)
}

/// Forms, other names for one of their fields, and the field (a sentence's end, names in backquotes).
static SPELLINGS: &[(&[&str], &[&str], &str)] = &[
    (
        &["stage"],
        &[
            "seq_len",
            "seq_length",
            "seqlen",
            "sequence_len",
            "sequence",
            "block_size",
            "max_length",
            "max_seq_len",
            "max_seq_length",
            "max_target_length",
            "cutoff_len",
            "context",
            "context_length",
            "context_size",
            "n_ctx",
        ],
        "`sequence_length`, as in `sequence_length = 1024 tokens`",
    ),
    (
        &["stage"],
        &["global_batch_size", "total_batch_size", "batch", "batch_size", "train_batch_size"],
        "`global_batch` (all rows of one optimizer step, as in `global_batch = 32 sequences`) or `micro_batch` (rows of one pass)",
    ),
    (
        &["stage"],
        &[
            "micro_batch_size",
            "microbatch",
            "per_device_train_batch_size",
            "per_device_batch_size",
            "rank_microbatch_size",
            "device_batch_size",
        ],
        "`micro_batch`, as in `micro_batch = 8 sequences`",
    ),
    (
        &["stage"],
        &["gradient_accumulation_steps", "gradient_accumulation", "accumulation", "grad_accum", "accumulate"],
        "`global_batch` and `micro_batch`; how many micro-batches make a step follows from the two",
    ),
    (
        &["stage", "constant", "linear", "cosine", "warmup_stable_decay"],
        &["learning_rate", "lr", "max_lr", "peak_lr"],
        "it is an argument of the optimizer: `optimizer = adamw(learning_rate: 6e-4)`",
    ),
    (&["adamw"], &["lr", "rate", "max_lr", "peak_lr"], "`learning_rate`"),
    (&["adamw"], &["eps", "adam_epsilon"], "`epsilon`"),
    (&["adamw"], &["wd", "decay"], "`weight_decay`"),
    (&["adamw"], &["beta1", "beta2", "adam_beta1", "adam_beta2", "beta"], "`betas`, as in `betas: [0.9, 0.95]`"),
    (
        &["adamw"],
        &["clip", "clip_grad", "clip_grad_norm", "max_norm", "max_grad_norm", "grad_clip", "gradient_clipping"],
        "`clip_norm`",
    ),
    (
        &["stage"],
        &[
            "clip_norm",
            "clip",
            "clip_grad",
            "clip_grad_norm",
            "max_norm",
            "max_grad_norm",
            "grad_clip",
            "gradient_clipping",
        ],
        "it is an argument of the optimizer: `optimizer = adamw(learning_rate: 6e-4, clip_norm: 1.0)`",
    ),
    (
        &["stage"],
        &["weight_decay", "wd", "betas", "beta1", "beta2", "eps", "epsilon"],
        "it is an argument of the optimizer: `optimizer = adamw(learning_rate: 6e-4, betas: [0.9, 0.95], epsilon: 1e-8, weight_decay: 0.1)`",
    ),
    (
        &["stage"],
        &["warmup", "warmup_steps", "warmup_ratio", "warmup_iters", "lr_warmup_steps"],
        "it is an argument of the schedule: `schedule = cosine(warmup: 5%)`",
    ),
    (
        &["constant", "linear", "cosine", "warmup_stable_decay"],
        &["warmup_steps", "warmup_ratio", "warmup_iters"],
        "`warmup`, as in `warmup: 100 steps` or `warmup: 5%`",
    ),
    (
        &["linear", "cosine", "warmup_stable_decay"],
        &["min", "minimum", "min_lr", "min_lr_ratio", "end", "final"],
        "`floor`, a share of the highest rate, as in `floor: 10%`",
    ),
    (
        &["constant"],
        &["floor", "decay", "min_lr"],
        "the rate of `constant` never falls; `linear`, `cosine` and `warmup_stable_decay` have a `floor`",
    ),
    (&["warmup_stable_decay"], &["cooldown", "decay_steps"], "`decay`, as in `decay: 10%`"),
    (
        &["stage"],
        &["lr_scheduler", "lr_scheduler_type", "scheduler", "lr_schedule", "lr_decay_style"],
        "`schedule`, as in `schedule = cosine(warmup: 5%)`",
    ),
    (
        &["stage"],
        &[
            "max_steps",
            "steps",
            "num_steps",
            "num_train_steps",
            "train_iters",
            "max_iters",
            "iterations",
            "duration",
            "max_duration",
            "max_tokens",
            "tokens",
        ],
        "`budget`, as in `budget = 1000 steps` or `budget = 2M tokens`",
    ),
    (&["stage"], &["epochs", "num_epochs", "num_train_epochs"], "`budget`, as in `budget = 3 epochs`"),
    (
        &["stage"],
        &["eval_steps", "eval_interval", "eval_every", "evaluate_every", "evaluation"],
        "`evaluate`, as in `evaluate = every(50 steps)`",
    ),
    (
        &["stage"],
        &["eval_iters", "eval_batches", "eval_samples", "max_eval_samples"],
        "`evaluate_on`, as in `evaluate_on = 64 sequences`",
    ),
    (
        &["stage"],
        &["save", "save_steps", "save_every", "save_interval", "checkpoint_every", "checkpoint_interval"],
        "`checkpoint`, as in `checkpoint = every(500 steps)`",
    ),
    (&["stage"], &["save_total_limit", "keep_last", "max_checkpoints"], "`keep`, as in `keep = 3`"),
    (
        &["stage"],
        &["base_model", "model_name_or_path", "pretrained", "checkpoint_path", "init_from", "from_pretrained"],
        "`init`, as in `init = hf(\"models/gpt2\")`",
    ),
    (&["stage"], &["dataset", "datasets", "train_data", "training_data"], "`data`"),
    (&["stage"], &["loss", "task", "goal"], "`objective`, as in `objective = causal_lm`"),
    (&["stage"], &["optim"], "`optimizer`, as in `optimizer = adamw(learning_rate: 6e-4)`"),
    (&["stage"], &["random_seed", "manual_seed"], "`seed`"),
    (
        &["stage"],
        &["output_dir", "out_dir", "output", "save_folder"],
        "the command line says where a run goes: `llmc run --out DIR`",
    ),
    (
        &["dataset"],
        &["path", "paths", "file", "files", "data", "text", "glob", "sources", "train"],
        "`source`, as in `source = files(\"data/**/*.txt\")`",
    ),
    (
        &["dataset"],
        &["validation", "validation_split", "val_split", "val_fraction", "test_size", "test_split", "heldout"],
        "`holdout`, as in `holdout = 1%`",
    ),
    (&["dataset"], &["max_bytes", "max_size", "limit_bytes", "size"], "`limit`, as in `limit = 24 MB`"),
    (
        &["dataset"],
        &[
            "dedup",
            "deduplicate",
            "deduplication",
            "minhash",
            "filter",
            "filters",
            "steps",
            "pipeline",
            "preprocess",
            "redact",
            "pii",
        ],
        "`process`, as in `process = [dedup_exact, dedup_near(threshold: 0.8), gopher, pii]`",
    ),
    (&["dedup_near"], &["similarity", "jaccard", "jaccard_threshold"], "`threshold`, as in `threshold: 0.8`"),
    (&["dedup_near"], &["ngram", "ngrams", "n_gram", "ngram_size", "shingle_size"], "`shingle`, as in `shingle: 5`"),
    (
        &["dedup_near"],
        &["num_perm", "permutations", "bands", "rows", "num_hashes"],
        "`hashes`, as in `hashes: 128`; bands and rows follow",
    ),
    (
        &["tokenizer"],
        &["path", "file", "source", "from_file", "tokenizer_json", "json"],
        "`load`, as in `load = \"tokenizer.json\"`",
    ),
    (
        &["tokenizer"],
        &["eos", "eos_token", "eot", "bos_eos", "end_token"],
        "`end_of_text`, as in `end_of_text = \"<|endoftext|>\"`",
    ),
    (
        &["tokenizer"],
        &["vocab", "vocab_size", "vocabulary"],
        "it is an argument of the training: `train = byte_bpe(vocab: 8192, on: DATASET)`",
    ),
    (&["byte_bpe"], &["vocab_size", "vocabulary", "size", "num_tokens"], "`vocab`"),
    (&["byte_bpe"], &["data", "dataset", "corpus", "from"], "`on`"),
    (&["byte_bpe"], &["limit", "max_bytes", "sample_size"], "`sample`, as in `sample: 16 MB`"),
    (&["sample"], &["max_tokens", "max_new_tokens", "length", "n"], "`tokens`"),
    (&["sample"], &["text", "input"], "`prompt`"),
    (&["sample"], &["temp"], "`temperature`"),
    (&["jsonl"], &["column", "key", "text_field"], "`field`"),
    (&["tokens"], &["name", "key"], "`tensor`"),
];
