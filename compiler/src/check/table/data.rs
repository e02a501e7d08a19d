//! Rows of the table: `dataset` and `tokenizer`.

use super::super::units::Dimension;
use super::process::STEPS;
use super::source::{ON_ERROR, SOURCES, TYPES};
use super::{Field, Form, Presence, Range, Type};

/// `dataset NAME { ... }`
pub static DATASET: Form = Form {
    name: "dataset",
    doc: "Documents to train on: where they come from and what is held out.",
    example: "dataset rust {\n  source  = files(\"~/.cargo/registry/src/**/*.rs\")\n  holdout = 1%\n}",
    positional: 0,
    fields: &[
        Field {
            name: "source",
            ty: Type::OneOrMore(&Type::Call(SOURCES)),
            presence: Presence::Required,
            doc: "Where the documents come from; several sources are read one after another, or side by side where they have weights.",
            example: "[text(\"a.txt\"), jsonl(\"b.jsonl\")]",
        },
        Field {
            name: "type",
            ty: Type::Call(TYPES),
            presence: Presence::Optional("text, or token ids where the source holds them"),
            doc: "What the documents are. Records of several texts need sources with columns.",
            example: "dialogue",
        },
        Field {
            name: "holdout",
            ty: Type::Quantity(&[Dimension::Share], Range::between(0.0, 0.5)),
            presence: Presence::Default("1%"),
            doc: "Share of the documents kept out of training for evaluation, chosen by a hash of each document; of a single document its last lines.",
            example: "5%",
        },
        Field {
            name: "limit",
            ty: Type::Quantity(&[Dimension::Bytes], Range::POSITIVE),
            presence: Presence::Optional("everything is read"),
            doc: "Most bytes to read, sources in order.",
            example: "24 MB",
        },
        Field {
            name: "on_error",
            ty: Type::Call(ON_ERROR),
            presence: Presence::Optional(
                "files that a pattern finds are skipped where they are no text; anything else ends the run",
            ),
            doc: "What happens to what cannot be read: damaged archives, invalid UTF-8, records without their columns, lines over 64 MiB. Counts go to the report.",
            example: "skip",
        },
        Field {
            name: "require_license",
            ty: Type::OneOrMore(&Type::Text),
            presence: Presence::Optional("any licence, or none, will do"),
            doc: "Every source must have one of these licences.",
            example: "[\"MIT\", \"Apache-2.0\"]",
        },
        Field {
            name: "process",
            ty: Type::OneOrMore(&Type::Call(STEPS)),
            presence: Presence::Optional("documents stay as they are"),
            doc: "What the documents go through before they are split and tokenized, in order; `llmc data` shows what each step did.",
            example: "[dedup_exact, dedup_near(threshold: 0.8), gopher, pii]",
        },
    ],
};

/// `tokenizer NAME { ... }`
pub static TOKENIZER: Form = Form {
    name: "tokenizer",
    doc: "Text to token ids: trained on a dataset, or loaded. Exactly one of `train` and `load` is written.",
    example: "tokenizer bpe { train = byte_bpe(vocab: 8192, on: rust) }",
    positional: 0,
    fields: &[
        Field {
            name: "train",
            ty: Type::Call(&[&BYTE_BPE]),
            presence: Presence::Optional("`load` says which tokenizer"),
            doc: "Train a tokenizer before the first stage.",
            example: "byte_bpe(vocab: 8192, on: rust)",
        },
        Field {
            name: "load",
            ty: Type::TextOrCall(&[&BYTES]),
            presence: Presence::Optional("`train` says which tokenizer"),
            doc: "Path of a Hugging Face `tokenizer.json`, relative to the recipe; or `bytes()`.",
            example: "\"gpt2/tokenizer.json\"",
        },
        Field {
            name: "end_of_text",
            ty: Type::Text,
            presence: Presence::DefaultOrNone("\"<|endoftext|>\""),
            doc: "Special token put after each document; a loaded tokenizer must have it.",
            example: "\"</s>\"",
        },
    ],
};

static BYTE_BPE: Form = Form {
    name: "byte_bpe",
    doc: "Byte-level byte-pair encoding, as GPT-2's: any text can be encoded, nothing is unknown.",
    example: "byte_bpe(vocab: 8192, on: rust, sample: 16 MB)",
    positional: 0,
    fields: &[
        Field {
            name: "vocab",
            ty: Type::Integer(Range::between(257.0, 4_194_304.0)),
            presence: Presence::Required,
            doc: "Number of token ids: the 256 bytes, the merges and the end-of-text token.",
            example: "8192",
        },
        Field {
            name: "on",
            ty: Type::Declaration(&["dataset"]),
            presence: Presence::Required,
            doc: "The dataset to train on.",
            example: "rust",
        },
        Field {
            name: "sample",
            ty: Type::Quantity(&[Dimension::Bytes], Range::POSITIVE),
            presence: Presence::Default("16 MB"),
            doc: "Most bytes of text to train on.",
            example: "64 MB",
        },
    ],
};

/// `bytes()`
pub static BYTES: Form = Form {
    name: "bytes",
    doc: "The 256 bytes as they are; end-of-text is id 256.",
    example: "bytes()",
    positional: 0,
    fields: &[],
};
