//! Rows of the table: `stage`.

use super::super::units::Dimension;
use super::extend::EXTENSIONS;
use super::objective::OBJECTIVES;
use super::precision::PRECISIONS;
use super::{Field, Form, Presence, Range, Type};

/// `stage NAME [from BASE] { ... }`
pub static STAGE: Form = Form {
    name: "stage",
    doc: "One training run: a model, its data, what is minimised and for how long. \
          `stage b from a` starts from the weights of `a` and takes over every field that it does not write itself, except `init`.",
    example: "stage pretrain {\n  model     = gpt2(vocab: 8192)\n  data      = rust\n  tokenizer = bpe\n  objective = causal_lm\n  \
              optimizer = adamw(learning_rate: 6e-4)\n  schedule  = cosine(warmup: 5%)\n  sequence_length = 256 tokens\n  \
              global_batch    = 8192 tokens\n  budget          = 2M tokens\n}",
    positional: 0,
    fields: &[
        Field {
            name: "model",
            ty: Type::Model,
            presence: Presence::Required,
            doc: "The model to train, by name or with constant arguments.",
            example: "gpt2(layers: 6, vocab: 8192)",
        },
        Field {
            name: "data",
            ty: Type::Declaration(&["dataset", "mixture"]),
            presence: Presence::Required,
            doc: "The dataset or mixture to train on.",
            example: "rust",
        },
        Field {
            name: "tokenizer",
            ty: Type::Declaration(&["tokenizer"]),
            presence: Presence::Optional("the data is token ids already"),
            doc: "The tokenizer; its vocabulary must be the model's. Needed for text.",
            example: "bpe",
        },
        Field {
            name: "objective",
            ty: Type::Call(OBJECTIVES),
            presence: Presence::Required,
            doc: "What is minimised.",
            example: "causal_lm",
        },
        Field {
            name: "optimizer",
            ty: Type::Call(&[&ADAMW]),
            presence: Presence::Required,
            doc: "The update rule.",
            example: "adamw(learning_rate: 6e-4, weight_decay: 0.1)",
        },
        Field {
            name: "schedule",
            ty: Type::Call(&[&CONSTANT, &LINEAR, &COSINE, &WARMUP_STABLE_DECAY]),
            presence: Presence::Default("constant()"),
            doc: "The learning rate over the steps, as a factor of the optimizer's `learning_rate`.",
            example: "cosine(warmup: 5%, floor: 10%)",
        },
        Field {
            name: "sequence_length",
            ty: Type::Quantity(&[Dimension::Tokens], Range::between(1.0, 16_777_216.0)),
            presence: Presence::Required,
            doc: "Tokens in a row: the model's `T`, or with an encoder its `S`.",
            example: "256 tokens",
        },
        Field {
            name: "global_batch",
            ty: Type::Quantity(&[Dimension::Tokens, Dimension::Sequences], Range::POSITIVE),
            presence: Presence::Required,
            doc: "Size of one optimizer step over all micro-batches.",
            example: "32 sequences",
        },
        Field {
            name: "micro_batch",
            ty: Type::Quantity(&[Dimension::Sequences], Range::POSITIVE),
            presence: Presence::Optional("the whole global batch at once"),
            doc: "Rows of one forward and backward pass; gradients are summed until the global batch is full.",
            example: "8 sequences",
        },
        Field {
            name: "budget",
            ty: Type::Quantity(&[Dimension::Tokens, Dimension::Steps, Dimension::Epochs], Range::POSITIVE),
            presence: Presence::Required,
            doc: "How long to train; tokens and epochs are rounded up to whole steps. \
                  Epochs need data whose size is known: `tokens(...)` without a holdout.",
            example: "2M tokens",
        },
        Field {
            name: "evaluate",
            ty: Type::Call(&[&EVERY]),
            presence: Presence::Optional("only at the end"),
            doc: "How often the loss on the held-out documents is measured.",
            example: "every(50 steps)",
        },
        Field {
            name: "evaluate_on",
            ty: Type::Quantity(&[Dimension::Sequences], Range::POSITIVE),
            presence: Presence::Default("64 sequences"),
            doc: "Most held-out rows of one evaluation.",
            example: "256 sequences",
        },
        Field {
            name: "checkpoint",
            ty: Type::Call(&[&EVERY]),
            presence: Presence::Optional("only at the end"),
            doc: "How often a checkpoint is written.",
            example: "every(500 steps)",
        },
        Field {
            name: "keep",
            ty: Type::Integer(Range::NOT_NEGATIVE),
            presence: Presence::Default("1"),
            doc: "Checkpoints kept besides the last one; needs `checkpoint`.",
            example: "3",
        },
        Field {
            name: "shuffle",
            ty: Type::Call(&[&ROWS]),
            presence: Presence::DefaultOrNone("rows"),
            doc: "What is put into a random order in each epoch; `none` keeps the order of the data.",
            example: "none",
        },
        Field {
            name: "packing",
            ty: Type::Call(&[&CONCATENATE, &BEST_FIT, &PAD]),
            presence: Presence::Default("concatenate"),
            doc: "How documents of text are put into rows. `llmc data` tells how many are cut and how much is padding. \
                  Where the model takes `documents`, a token sees only its own document and positions start anew in each.",
            example: "best_fit",
        },
        Field {
            name: "precision",
            ty: Type::Call(PRECISIONS),
            presence: Presence::Default("f32"),
            doc: "How exactly the stage computes. Weights, their gradients, moments, statistics, losses and sums stay 32-bit floats; a \
                  processor rounds where a card would keep 16 bits. Training and held-out losses are computed so, all else in f32.",
            example: "bf16",
        },
        Field {
            name: "seed",
            ty: Type::Integer(Range::NOT_NEGATIVE),
            presence: Presence::Default("0"),
            doc: "Key of every random number: first weights, order of rows, dropout, samples.",
            example: "42",
        },
        Field {
            name: "init",
            ty: Type::Call(&[&HF, &GGUF]),
            presence: Presence::Optional("each weight's own initialiser"),
            doc: "Weights to start from. The directory's `config.json` fills in the model's arguments that are not written.",
            example: "hf(\"models/gpt2\")",
        },
        Field {
            name: "freeze",
            ty: Type::OneOrMore(&Type::Text),
            presence: Presence::Optional("every weight is trained"),
            doc: "Weights that stay as they are, by their paths; `*` stands for any characters. They take no gradient, no moments \
                  and no step. In 16-bit precision a card keeps, and saves, them rounded.",
            example: "[\"transformer.wte.*\", \"transformer.h.0.*\"]",
        },
        Field {
            name: "extend",
            ty: Type::Call(EXTENSIONS),
            presence: Presence::Optional("the context of the weights"),
            doc: "How the trained model, of the stage after `from` or of `init`, comes to a longer context; gives the model's \
                  `context` and `scaling`.",
            example: "interpolate(to: 512 tokens)",
        },
        Field {
            name: "sample",
            ty: Type::Call(&[&SAMPLE]),
            presence: Presence::Optional("no sample is drawn"),
            doc: "Text to draw from the model when the stage ends; needs a tokenizer.",
            example: "sample(prompt: \"fn main\", tokens: 100)",
        },
    ],
};

static ADAMW: Form = Form {
    name: "adamw",
    doc: "Adam with decoupled weight decay (Loshchilov and Hutter 2019).",
    example: "adamw(learning_rate: 6e-4, betas: [0.9, 0.95], weight_decay: 0.1, clip_norm: 1.0)",
    positional: 0,
    fields: &[
        Field {
            name: "learning_rate",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Required,
            doc: "Highest learning rate; the schedule scales it.",
            example: "6e-4",
        },
        Field {
            name: "betas",
            ty: Type::Pair(Range::below(0.0, 1.0)),
            presence: Presence::Default("[0.9, 0.95]"),
            doc: "Decay rates of the first and second moment.",
            example: "[0.9, 0.999]",
        },
        Field {
            name: "epsilon",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Default("1e-8"),
            doc: "Added to the denominator.",
            example: "1e-6",
        },
        Field {
            name: "weight_decay",
            ty: Type::Number(Range::NOT_NEGATIVE),
            presence: Presence::Default("0.1"),
            doc: "Decoupled decay, times the learning rate in each step.",
            example: "0.01",
        },
        Field {
            name: "decay_all",
            ty: Type::Bool,
            presence: Presence::Default("false"),
            doc: "Whether biases and norm scales (tensors of fewer than two dimensions) decay too.",
            example: "true",
        },
        Field {
            name: "clip_norm",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::DefaultOrNone("1.0"),
            doc: "Bound on the norm of all gradients together; `none` does not clip.",
            example: "none",
        },
    ],
};

const WARMUP: Field = Field {
    name: "warmup",
    ty: Type::Quantity(&[Dimension::Share, Dimension::Steps, Dimension::Tokens], Range::NOT_NEGATIVE),
    presence: Presence::Default("0 steps"),
    doc: "Linear rise to the highest rate, `(step + 1) / warmup`; a share of all steps, steps or tokens.",
    example: "5%",
};

const FLOOR: Field = Field {
    name: "floor",
    ty: Type::Quantity(&[Dimension::Share], Range::between(0.0, 1.0)),
    presence: Presence::Default("0%"),
    doc: "Rate at the end, as a share of the highest.",
    example: "10%",
};

static CONSTANT: Form = Form {
    name: "constant",
    doc: "The highest rate from the end of the warm-up on.",
    example: "constant(warmup: 100 steps)",
    positional: 0,
    fields: &[WARMUP],
};

static LINEAR: Form = Form {
    name: "linear",
    doc: "In a straight line from the highest rate to the floor.",
    example: "linear(warmup: 5%)",
    positional: 0,
    fields: &[WARMUP, FLOOR],
};

static COSINE: Form = Form {
    name: "cosine",
    doc: "Along half a cosine from the highest rate to the floor (Loshchilov and Hutter 2017).",
    example: "cosine(warmup: 5%, floor: 10%)",
    positional: 0,
    fields: &[WARMUP, FLOOR],
};

static WARMUP_STABLE_DECAY: Form = Form {
    name: "warmup_stable_decay",
    doc: "The highest rate, then a straight line to the floor over the last steps (Hu et al. 2024, MiniCPM).",
    example: "warmup_stable_decay(warmup: 1%, decay: 10%)",
    positional: 0,
    fields: &[
        WARMUP,
        Field {
            name: "decay",
            ty: Type::Quantity(&[Dimension::Share, Dimension::Steps, Dimension::Tokens], Range::POSITIVE),
            presence: Presence::Default("10%"),
            doc: "Length of the final decay; a share of all steps, steps or tokens.",
            example: "20%",
        },
        FLOOR,
    ],
};

static EVERY: Form = Form {
    name: "every",
    doc: "Again and again after so much training, and once at the end.",
    example: "every(50 steps)",
    positional: 1,
    fields: &[Field {
        name: "interval",
        ty: Type::Quantity(&[Dimension::Steps, Dimension::Tokens, Dimension::Share], Range::POSITIVE),
        presence: Presence::Required,
        doc: "Steps, tokens (rounded up to whole steps) or a share of the stage.",
        example: "50 steps",
    }],
};

static ROWS: Form = Form {
    name: "rows",
    doc: "Rows of `sequence_length` tokens are shuffled, the tokens in a row are not.",
    example: "rows",
    positional: 0,
    fields: &[],
};

static CONCATENATE: Form = Form {
    name: "concatenate",
    doc: "One after another, cut wherever a row is full: nothing is padded.",
    example: "concatenate",
    positional: 0,
    fields: &[],
};

static BEST_FIT: Form = Form {
    name: "best_fit",
    doc: "Whole documents together by best-fit decreasing (Ding et al. 2024): only those longer than a row are cut, \
          and little is padded.",
    example: "best_fit",
    positional: 0,
    fields: &[],
};

static PAD: Form = Form {
    name: "pad",
    doc: "Each document in rows of its own, the last one padded.",
    example: "pad",
    positional: 0,
    fields: &[],
};

static HF: Form = Form {
    name: "hf",
    doc: "A Hugging Face directory with `config.json` and `model.safetensors`.",
    example: "hf(\"models/gpt2\")",
    positional: 1,
    fields: &[Field {
        name: "directory",
        ty: Type::Text,
        presence: Presence::Required,
        doc: "The directory's path, relative to the recipe.",
        example: "\"models/gpt2\"",
    }],
};

static GGUF: Form = Form {
    name: "gguf",
    doc: "A GGUF file, as llama.cpp writes them, of a Llama or GPT-2 model: F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K are read.",
    example: "gguf(\"models/tiny.gguf\")",
    positional: 1,
    fields: &[Field {
        name: "file",
        ty: Type::Text,
        presence: Presence::Required,
        doc: "The file's path, relative to the recipe.",
        example: "\"models/tiny.gguf\"",
    }],
};

static SAMPLE: Form = Form {
    name: "sample",
    doc: "Draws text from the model.",
    example: "sample(prompt: \"fn main\", tokens: 100, temperature: 0.8, top_k: 50)",
    positional: 1,
    fields: &[
        Field {
            name: "prompt",
            ty: Type::Text,
            presence: Presence::Required,
            doc: "The text to continue.",
            example: "\"fn main\"",
        },
        Field {
            name: "tokens",
            ty: Type::Integer(Range::between(1.0, 1_000_000.0)),
            presence: Presence::Default("200"),
            doc: "How many tokens to draw.",
            example: "100",
        },
        Field {
            name: "temperature",
            ty: Type::Number(Range::NOT_NEGATIVE),
            presence: Presence::Default("0.8"),
            doc: "Below 1 prefers likely tokens; 0 always takes the likeliest.",
            example: "0",
        },
        Field {
            name: "top_k",
            ty: Type::Integer(Range::between(1.0, 4_194_304.0)),
            presence: Presence::DefaultOrNone("50"),
            doc: "Draw from this many likeliest tokens only; `none` draws from all.",
            example: "none",
        },
    ],
};
