//! The precisions of a stage.

use super::range::Range;
use super::{Field, Form, Presence, Type};

/// What `precision` may be.
pub static PRECISIONS: &[&Form] = &[&F32, &TF32, &BF16, &FP16];

static F32: Form = Form { name: "f32", doc: "32-bit floats throughout.", example: "f32", positional: 0, fields: &[] };

static TF32: Form = Form {
    name: "tf32",
    doc: "A card may round the operands of matrix products to 10 bits of mantissa, which its tensor cores multiply \
          many times as fast (NVIDIA's TF32); sums stay in f32.",
    example: "tf32",
    positional: 0,
    fields: &[],
};

static BF16: Form = Form {
    name: "bf16",
    doc: "Activations, their gradients and what matrix products read are kept as bf16: half the memory, the range of f32, \
          8 bits of precision. `llmc compile` tells what is kept how.",
    example: "bf16",
    positional: 0,
    fields: &[Field {
        name: "stochastic",
        ty: Type::Bool,
        presence: Presence::Default("false"),
        doc: "Whether matrix products in training read trained weights rounded at random, up or down so that the mean is the \
              weight itself (Gupta et al. 2015), instead of to the nearest. The weights themselves stay f32.",
        example: "true",
    }],
};

static FP16: Form = Form {
    name: "fp16",
    doc: "As `bf16`, but as IEEE half precision: 11 bits of precision, nothing above 65504. The loss is scaled so that small \
          gradients are not lost, and a step whose gradients overflow is left out (Micikevicius et al. 2018; the rules of \
          PyTorch's `GradScaler`). Gradients are brought back to size before they are clipped.",
    example: "fp16(scale: 1024)",
    positional: 0,
    fields: &[
        Field {
            name: "scale",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Default("65536"),
            doc: "First scale of the loss.",
            example: "1024",
        },
        Field {
            name: "growth",
            ty: Type::Number(Range { low: 1.0, ..Range::ANY }),
            presence: Presence::Default("2.0"),
            doc: "Factor by which the scale grows.",
            example: "1.5",
        },
        Field {
            name: "backoff",
            ty: Type::Number(Range { low_included: false, ..Range::below(0.0, 1.0) }),
            presence: Presence::Default("0.5"),
            doc: "Factor by which the scale falls when a step is left out.",
            example: "0.25",
        },
        Field {
            name: "interval",
            ty: Type::Integer(Range::POSITIVE),
            presence: Presence::Default("2000"),
            doc: "Steps in a row without overflow after which the scale grows.",
            example: "100",
        },
    ],
};
