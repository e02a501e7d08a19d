//! Rows of the table: the rules by which rotary frequencies change for longer texts.

use super::{Field, Form, Presence, Range, Type};

/// Every rule that a `rope_scaling` can be.
pub static SCALINGS: &[&Form] = &[&INTERPOLATION, &NTK, &DYNAMIC_NTK, &YARN, &LLAMA3];

const FACTOR: Field = Field {
    name: "factor",
    ty: Type::Number(Range::at_least(1.0)),
    presence: Presence::Required,
    doc: "How many times longer texts become.",
    example: "8.0",
};

const ORIGINAL: Field = Field {
    name: "original",
    ty: Type::Integer(Range::at_least(1.0)),
    presence: Presence::Required,
    doc: "Tokens of a row in the model's first training.",
    example: "8192",
};

static INTERPOLATION: Form = Form {
    name: "interpolation",
    doc: "Position interpolation: every rotary frequency is divided by `factor` (Chen et al. 2023); `linear` in Hugging Face.",
    example: "interpolation(factor: 4.0)",
    positional: 0,
    fields: &[FACTOR],
};

static NTK: Form = Form {
    name: "ntk",
    doc: "NTK-aware scaling: the base becomes `theta * factor^(K / (K - 2))` for heads of `K` elements, so that the lowest frequency is divided by `factor` and the highest stays (Peng et al. 2023). `config.json` has no name for it and gets the new base.",
    example: "ntk(factor: 8.0)",
    positional: 0,
    fields: &[FACTOR],
};

static DYNAMIC_NTK: Form = Form {
    name: "dynamic_ntk",
    doc: "NTK-aware scaling by `factor * L / original - (factor - 1)` for rows of `L > original` tokens, none for shorter ones (Peng et al. 2023); `dynamic` in Hugging Face. `L` is the length of the rows that a program is compiled for, in generation that of its cache.",
    example: "dynamic_ntk(factor: 2.0, original: 2048)",
    positional: 0,
    fields: &[FACTOR, ORIGINAL],
};

static YARN: Form = Form {
    name: "yarn",
    doc: "YaRN: frequencies that turn often over the original length stay, those that hardly turn are divided by `factor`, a ramp between them; turned vectors are scaled, which sharpens attention (Peng et al. 2023).",
    example: "yarn(factor: 16.0, original: 4096)",
    positional: 0,
    fields: &[
        FACTOR,
        ORIGINAL,
        Field {
            name: "beta_fast",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Default("32.0"),
            doc: "Turns over the original length above which a frequency stays.",
            example: "32.0",
        },
        Field {
            name: "beta_slow",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Default("1.0"),
            doc: "Turns below which a frequency is divided by the whole factor.",
            example: "1.0",
        },
        Field {
            name: "attention_factor",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Optional("`0.1 ln(factor) + 1`"),
            doc: "Factor on the turned queries and keys: the square root of attention's inverse temperature.",
            example: "1.2",
        },
        Field {
            name: "truncate",
            ty: Type::Bool,
            presence: Presence::Default("true"),
            doc: "The ramp begins and ends at whole pairs.",
            example: "false",
        },
    ],
};

static LLAMA3: Form = Form {
    name: "llama3",
    doc: "Llama 3's rule: frequencies that turn more than `high` times over the original length stay, those that turn less than `low` times are divided by `factor`, a straight line between them (Dubey et al. 2024).",
    example: "llama3(factor: 8.0, low: 1.0, high: 4.0, original: 8192)",
    positional: 0,
    fields: &[
        FACTOR,
        Field {
            name: "low",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Default("1.0"),
            doc: "Turns below which a frequency is divided by the whole factor; `low_freq_factor` in Hugging Face.",
            example: "1.0",
        },
        Field {
            name: "high",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Default("4.0"),
            doc: "Turns above which a frequency stays; `high_freq_factor` in Hugging Face.",
            example: "4.0",
        },
        ORIGINAL,
    ],
};
