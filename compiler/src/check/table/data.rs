//! Rows of the table: `dataset`.

use super::super::units::Dimension;
use super::process::STEPS;
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
            ty: Type::OneOrMore(&Type::Call(&[&FILES, &TEXT, &JSONL, &TOKENS, &RANDOM_TOKENS])),
            presence: Presence::Required,
            doc: "Where the documents come from; several sources are read one after another.",
            example: "[text(\"a.txt\"), jsonl(\"b.jsonl\")]",
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
            name: "process",
            ty: Type::OneOrMore(&Type::Call(STEPS)),
            presence: Presence::Optional("documents stay as they are"),
            doc: "What the documents go through before they are split and tokenized, in order; `llmc data` shows what each step did.",
            example: "[dedup_exact, dedup_near(threshold: 0.8), gopher, pii]",
        },
    ],
};

static FILES: Form = Form {
    name: "files",
    doc: "Every file that matches a pattern is one document; `.gz` and `.zst` are expanded. What is not UTF-8 text, or a damaged archive, is skipped and counted.",
    example: "files(\"~/notes/**/*.md\")",
    positional: 1,
    fields: &[Field {
        name: "pattern",
        ty: Type::Text,
        presence: Presence::Required,
        doc: "Glob of the files: `*` within a folder, `**` over folders; `~` and `$VAR` are filled in when it is read.",
        example: "\"~/notes/**/*.md\"",
    }],
};

static TEXT: Form = Form {
    name: "text",
    doc: "One text file is one document; `.gz` and `.zst` are expanded.",
    example: "text(\"shakespeare.txt\")",
    positional: 1,
    fields: &[Field {
        name: "path",
        ty: Type::Text,
        presence: Presence::Required,
        doc: "The file's path, relative to the recipe.",
        example: "\"shakespeare.txt\"",
    }],
};

static JSONL: Form = Form {
    name: "jsonl",
    doc: "One JSON object a line; one of its fields is the document. `.gz` and `.zst` are expanded.",
    example: "jsonl(\"docs.jsonl\", field: \"text\")",
    positional: 2,
    fields: &[
        Field {
            name: "path",
            ty: Type::Text,
            presence: Presence::Required,
            doc: "The file's path, relative to the recipe.",
            example: "\"docs.jsonl\"",
        },
        Field {
            name: "field",
            ty: Type::Text,
            presence: Presence::Default("\"text\""),
            doc: "The field that holds the text.",
            example: "\"content\"",
        },
    ],
};

static TOKENS: Form = Form {
    name: "tokens",
    doc: "Token ids that are already made, rows in order: safetensors, `.npy`, or `.bin` of 16- or 32-bit numbers.",
    example: "tokens(\"batches.safetensors\", tensor: \"input_ids\")",
    positional: 1,
    fields: &[
        Field {
            name: "path",
            ty: Type::Text,
            presence: Presence::Required,
            doc: "The file's path, relative to the recipe.",
            example: "\"train.bin\"",
        },
        Field {
            name: "tensor",
            ty: Type::Text,
            presence: Presence::Optional("the file's only tensor"),
            doc: "The tensor's name in a safetensors file.",
            example: "\"input_ids\"",
        },
    ],
};

static RANDOM_TOKENS: Form = Form {
    name: "random_tokens",
    doc: "Token ids drawn uniformly at random, to time a model without any data; the dataset's only source.",
    example: "random_tokens(vocab: 8192, count: 1M tokens)",
    positional: 0,
    fields: &[
        Field {
            name: "vocab",
            ty: Type::Integer(Range::between(1.0, 4_194_304.0)),
            presence: Presence::Required,
            doc: "Ids are at least 0 and less than this; at most the model's vocabulary.",
            example: "8192",
        },
        Field {
            name: "count",
            ty: Type::Quantity(&[Dimension::Tokens], Range::POSITIVE),
            presence: Presence::Required,
            doc: "How many ids one epoch has. They are made as they are used and take no memory.",
            example: "1M tokens",
        },
        Field {
            name: "seed",
            ty: Type::Integer(Range::NOT_NEGATIVE),
            presence: Presence::Default("0"),
            doc: "Another seed, other ids.",
            example: "1",
        },
    ],
};
