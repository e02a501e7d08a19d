//! Rows of the table: what a stage minimises.

use super::super::units::Dimension;
use super::{Field, Form, Presence, Range, Type};

/// Every objective.
pub static OBJECTIVES: &[&Form] = &[&CAUSAL_LM, &MASKED_LM, &PREFIX_LM, &SPAN_CORRUPTION, &PERMUTATION_LM, &MIXTURE_OF];

const LABEL_SMOOTHING: Field = Field {
    name: "label_smoothing",
    ty: Type::Number(Range::below(0.0, 1.0)),
    presence: Presence::Default("0.0"),
    doc: "Share of each target that goes to all tokens of the vocabulary alike (Szegedy et al. 2016).",
    example: "0.1",
};

const Z_LOSS: Field = Field {
    name: "z_loss",
    ty: Type::Number(Range::NOT_NEGATIVE),
    presence: Presence::Default("0.0"),
    doc: "Factor on the square of the logarithm of the softmax's sum, which keeps logits small (Chowdhery et al. 2022).",
    example: "1e-4",
};

static CAUSAL_LM: Form = Form {
    name: "causal_lm",
    doc: "Cross-entropy of the next token, averaged over the target tokens of the global batch. Takes text or token ids.",
    example: "causal_lm",
    positional: 0,
    fields: &[LABEL_SMOOTHING, Z_LOSS],
};

static MASKED_LM: Form = Form {
    name: "masked_lm",
    doc: "Some tokens are hidden and predicted from all others (Devlin et al. 2019, section 3.1): of those most become `mask`, \
          some a random token, some stay. For models whose tokens see each other on both sides.",
    example: "masked_lm(rate: 15%, mask: \"[MASK]\")",
    positional: 0,
    fields: &[
        Field {
            name: "rate",
            ty: Type::Quantity(&[Dimension::Share], Range::between(0.001, 1.0)),
            presence: Presence::Default("15%"),
            doc: "Share of the tokens that are predicted; at least one of a row.",
            example: "30%",
        },
        Field {
            name: "random",
            ty: Type::Quantity(&[Dimension::Share], Range::between(0.0, 1.0)),
            presence: Presence::Default("10%"),
            doc: "Share of the predicted tokens that become a random token of the vocabulary.",
            example: "0%",
        },
        Field {
            name: "unchanged",
            ty: Type::Quantity(&[Dimension::Share], Range::between(0.0, 1.0)),
            presence: Presence::Default("10%"),
            doc: "Share of the predicted tokens that stay as they are.",
            example: "0%",
        },
        Field {
            name: "whole_words",
            ty: Type::Bool,
            presence: Presence::Default("false"),
            doc: "The tokens of a word are hidden together; needs a tokenizer.",
            example: "true",
        },
        Field {
            name: "mask",
            ty: Type::Text,
            presence: Presence::DefaultOrNone("\"[MASK]\""),
            doc: "Special token of the tokenizer that stands in place of hidden ones.",
            example: "\"<mask>\"",
        },
        Field {
            name: "mask_id",
            ty: Type::Integer(Range::NOT_NEGATIVE),
            presence: Presence::Optional("`mask` says which token"),
            doc: "Its id, where the data is token ids.",
            example: "103",
        },
        LABEL_SMOOTHING,
        Z_LOSS,
    ],
};

static PREFIX_LM: Form = Form {
    name: "prefix_lm",
    doc: "The tokens behind a prefix are predicted one by one, those of the prefix see each other and are not predicted \
          (Raffel et al. 2020, section 3.2.1). The model takes `order`; with an encoder the prefix is its input (UL2's S-denoiser, \
          Tay et al. 2022).",
    example: "prefix_lm(shortest: 10%, longest: 90%)",
    positional: 0,
    fields: &[
        Field {
            name: "shortest",
            ty: Type::Quantity(&[Dimension::Share], Range::between(0.0, 1.0)),
            presence: Presence::Default("0%"),
            doc: "Shortest prefix, as a share of each document in a row; lengths are drawn evenly.",
            example: "25%",
        },
        Field {
            name: "longest",
            ty: Type::Quantity(&[Dimension::Share], Range::between(0.0, 1.0)),
            presence: Presence::Default("100%"),
            doc: "Longest prefix; at least one token is left to predict.",
            example: "75%",
        },
        LABEL_SMOOTHING,
        Z_LOSS,
    ],
};

static SPAN_CORRUPTION: Form = Form {
    name: "span_corruption",
    doc: "Spans are cut out of the encoder's input, a sentinel in the place of each, and the decoder predicts them \
          (Raffel et al. 2020, section 3.1.4). `sequence_length` is the encoder's; the decoder's follows. UL2's R is \
          `span_corruption`, its X has a higher density or longer spans (Tay et al. 2022).",
    example: "span_corruption(density: 15%, mean_span: 3.0)",
    positional: 0,
    fields: &[
        Field {
            name: "density",
            ty: Type::Quantity(&[Dimension::Share], Range::between(0.001, 0.999)),
            presence: Presence::Default("15%"),
            doc: "Share of the tokens that are cut out.",
            example: "50%",
        },
        Field {
            name: "mean_span",
            ty: Type::Number(Range::between(1.0, 1_000_000.0)),
            presence: Presence::Default("3.0"),
            doc: "Mean length of a span, in tokens.",
            example: "8.0",
        },
        Field {
            name: "sentinel",
            ty: Type::Text,
            presence: Presence::DefaultOrNone("\"<extra_id_{}>\""),
            doc: "Special tokens of the tokenizer that mark the spans, `{}` standing for 0, 1, 2 ...",
            example: "\"<span_{}>\"",
        },
        Field {
            name: "first_sentinel",
            ty: Type::Integer(Range::NOT_NEGATIVE),
            presence: Presence::Optional("`sentinel` says which tokens"),
            doc: "The id of the first sentinel, where the data is token ids; the next ones lie below it, one by one.",
            example: "32099",
        },
        LABEL_SMOOTHING,
        Z_LOSS,
    ],
};

static PERMUTATION_LM: Form = Form {
    name: "permutation_lm",
    doc: "Each row gets a random order, and its last tokens are predicted from those before them in it (Yang et al. 2019, \
          section 2). The model takes `order` and has a stream of queries that does not see the token itself.",
    example: "permutation_lm(predict: 20%)",
    positional: 0,
    fields: &[
        Field {
            name: "predict",
            ty: Type::Quantity(&[Dimension::Share], Range::between(0.001, 1.0)),
            presence: Presence::Default("16.6667%"),
            doc: "Share of the tokens that are predicted: the last ones of the order.",
            example: "20%",
        },
        LABEL_SMOOTHING,
        Z_LOSS,
    ],
};

static MIXTURE_OF: Form = Form {
    name: "mixture_of",
    doc: "Each row follows one of several objectives, drawn with their weights (UL2, Tay et al. 2022).",
    example: "mixture_of([span_corruption, prefix_lm], weights: [0.75, 0.25])",
    positional: 1,
    fields: &[
        Field {
            name: "objectives",
            ty: Type::OneOrMore(&Type::Call(&[&MASKED_LM, &PREFIX_LM, &SPAN_CORRUPTION])),
            presence: Presence::Required,
            doc: "The objectives; all for the same kind of model.",
            example: "[span_corruption, span_corruption(density: 50%), prefix_lm(shortest: 75%, longest: 75%)]",
        },
        Field {
            name: "weights",
            ty: Type::OneOrMore(&Type::Number(Range::POSITIVE)),
            presence: Presence::Optional("all are drawn alike"),
            doc: "A weight for each objective.",
            example: "[3.0, 1.0]",
        },
        LABEL_SMOOTHING,
        Z_LOSS,
    ],
};
