//! Rows of the table: `dataset`.

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
