//! Rows of the table: `mixture`.

use super::{Field, Form, Presence, Range, Type};

/// `mixture NAME { ... }`
pub static MIXTURE: Form = Form {
    name: "mixture",
    doc: "Several datasets read side by side. The order of their rows is a pure function of the shares and the step; what each holds out is evaluated apart.",
    example: "mixture blend {\n  parts       = [part(web, weight: 0.7), part(books, weight: 0.3, epochs: 4)]\n  temperature = 1.0\n}",
    positional: 0,
    fields: &[
        Field {
            name: "parts",
            ty: Type::OneOrMore(&Type::Call(&[&PART])),
            presence: Presence::Required,
            doc: "Its datasets. Either all have a weight, or none has.",
            example: "[part(web, weight: 0.7), part(books, weight: 0.3)]",
        },
        Field {
            name: "temperature",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Default("1"),
            doc: "A dataset's share is its weight to the power of `1 / temperature`: above 1, small ones come up more often (Conneau et al. 2020).",
            example: "3.3",
        },
    ],
};

static PART: Form = Form {
    name: "part",
    doc: "One dataset of a mixture.",
    example: "part(books, weight: 0.3, epochs: 4)",
    positional: 1,
    fields: &[
        Field {
            name: "dataset",
            ty: Type::Declaration(&["dataset"]),
            presence: Presence::Required,
            doc: "Its name.",
            example: "books",
        },
        Field {
            name: "weight",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Optional("its rows"),
            doc: "Rows of the datasets stand side by side in proportion to their weights.",
            example: "0.3",
        },
        Field {
            name: "epochs",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Optional("as often as the budget needs"),
            doc: "How often its rows are read at most; then the others take its place. Up to 4 epochs are worth nearly as much as new data (Muennighoff et al. 2023).",
            example: "4",
        },
    ],
};
