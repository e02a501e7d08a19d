//! Rows of the table: how a trained model comes to a longer context.

use super::super::units::Dimension;
use super::{Field, Form, Presence, Range, Type};

/// Every way.
pub static EXTENSIONS: &[&Form] = &[&INTERPOLATE, &RESCALE_NTK, &RESCALE_DYNAMIC_NTK, &RESCALE_YARN, &RESCALE_LLAMA3];

const TO: Field = Field {
    name: "to",
    ty: Type::Quantity(&[Dimension::Tokens], Range::between(2.0, 16_777_216.0)),
    presence: Presence::Required,
    doc: "Positions that the model then has: its `context`. Rows are as long as `sequence_length` says.",
    example: "512 tokens",
};

static INTERPOLATE: Form = Form {
    name: "interpolate",
    doc: "The positions that the model knows are spread over the longer context (Chen et al. 2023): rows of a table of learned \
          positions by linear interpolation, rotary frequencies divided by the growth, which becomes the model's \
          `scaling: interpolation(...)`.",
    example: "interpolate(to: 512 tokens)",
    positional: 0,
    fields: &[
        TO,
        Field {
            name: "align",
            ty: Type::Call(&[&CORNERS, &CENTRES]),
            presence: Presence::Optional("corners, where positions are learned"),
            doc: "Where the new rows of a table of learned positions lie among the old ones.",
            example: "centres",
        },
    ],
};

static CORNERS: Form = Form {
    name: "corners",
    doc: "The first and the last row stay what they are, the others lie evenly between: no two new rows are the same.",
    example: "corners",
    positional: 0,
    fields: &[],
};

static CENTRES: Form = Form {
    name: "centres",
    doc: "Rows are stretches of equal length whose centres are compared; rows before the first centre are copies of the first, \
          those behind the last of the last (PyTorch's `interpolate` with `align_corners=False`).",
    example: "centres",
    positional: 0,
    fields: &[],
};

static RESCALE_NTK: Form = Form {
    name: "rescale_ntk",
    doc: "The model's `scaling` becomes `ntk`, its factor the growth of the context.",
    example: "rescale_ntk(to: 512 tokens)",
    positional: 0,
    fields: &[TO],
};

static RESCALE_DYNAMIC_NTK: Form = Form {
    name: "rescale_dynamic_ntk",
    doc: "The model's `scaling` becomes `dynamic_ntk`, its factor the growth of the context. `context` stays what it was, since \
          `config.json` has the rule stretch from there.",
    example: "rescale_dynamic_ntk(to: 512 tokens)",
    positional: 0,
    fields: &[TO],
};

static RESCALE_YARN: Form = Form {
    name: "rescale_yarn",
    doc: "The model's `scaling` becomes `yarn`, its factor the growth of the context.",
    example: "rescale_yarn(to: 512 tokens)",
    positional: 0,
    fields: &[TO],
};

static RESCALE_LLAMA3: Form = Form {
    name: "rescale_llama3",
    doc: "The model's `scaling` becomes `llama3`, its factor the growth of the context.",
    example: "rescale_llama3(to: 512 tokens)",
    positional: 0,
    fields: &[TO],
};
