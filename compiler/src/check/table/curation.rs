//! Rows of the table: steps of `process` that learn from other data sets, weigh documents, balance groups and keep
//! evaluations out.

use super::super::units::Dimension;
use super::process::word;
use super::{Field, Form, Presence, Range, Type};
use crate::plan::Component;

const fn seed() -> Field {
    Field {
        name: "seed",
        ty: Type::Integer(Range::NOT_NEGATIVE),
        presence: Presence::Default("0"),
        doc: "Another seed, other documents are chosen.",
        example: "7",
    }
}

const fn sample(default: &'static str, doc: &'static str) -> Field {
    Field {
        name: "sample",
        ty: Type::Quantity(&[Dimension::Bytes], Range::POSITIVE),
        presence: Presence::Default(default),
        doc,
        example: "4 MB",
    }
}

const fn dataset(name: &'static str, doc: &'static str, example: &'static str) -> Field {
    Field { name, ty: Type::Declaration(&["dataset"]), presence: Presence::Required, doc, example }
}

static TRAIN_CLASSIFIER: Form = Form {
    name: "train",
    doc: "In `quality`: a logistic regression over hashed words and pairs of words (the features of Joulin et al. 2016, arXiv:1607.01759), trained on two data sets, a tenth of whose documents is kept out to measure it.",
    example: "train(good: reviewed, bad: crawled)",
    positional: 0,
    fields: &[
        dataset("good", "The data set of good documents.", "reviewed"),
        dataset(
            "bad",
            "The data set of bad documents. Both classes weigh the same, however many documents they have.",
            "crawled",
        ),
        sample("16 MB", "Bytes of text of each data set to train on at most."),
    ],
};

static TRAIN_NGRAMS: Form = Form {
    name: "train",
    doc: "In `perplexity`: an n-gram model of words and punctuation with interpolated Kneser-Ney smoothing (Kneser and Ney 1995; Chen and Goodman 1999), trained on a data set, a tenth of whose documents is kept out to measure it. It holds at most 3.6 million n-grams.",
    example: "train(on: reviewed, order: 3)",
    positional: 0,
    fields: &[
        dataset("on", "The data set of good documents.", "reviewed"),
        Field {
            name: "order",
            ty: Type::Integer(Range::between(1.0, 5.0)),
            presence: Presence::Default("3"),
            doc: "Words of the longest n-gram.",
            example: "4",
        },
        sample("16 MB", "Bytes of text to train on at most."),
    ],
};

pub static QUALITY: Form = Form {
    name: "quality",
    doc: "Drops documents that a linear classifier finds more like the bad than the good ones. Its accuracy and area under the curve on documents kept out of its training stand in the report.",
    example: "quality(model: train(good: reviewed, bad: crawled), min: 0.5)",
    positional: 0,
    fields: &[
        Field {
            name: "model",
            ty: Type::Call(&[&TRAIN_CLASSIFIER]),
            presence: Presence::Required,
            doc: "The classifier.",
            example: "train(good: reviewed, bad: crawled)",
        },
        Field {
            name: "min",
            ty: Type::Number(Range::between(0.0, 1.0)),
            presence: Presence::Default("0.5"),
            doc: "Smallest probability of being good that is let through.",
            example: "0.7",
        },
    ],
};

const fn perplexity_bound(name: &'static str, doc: &'static str, example: &'static str) -> Field {
    Field { name, ty: Type::Number(Range::POSITIVE), presence: Presence::Optional("not asked"), doc, example }
}

pub static PERPLEXITY: Form = Form {
    name: "perplexity",
    doc: "Drops documents by their perplexity under an n-gram model of good text (as CCNet does, Wenzek et al. 2019, arXiv:1911.00359). Documents that the model was trained on are far more likely than others. Its distribution, and that of documents kept out of the training, stand in the report.",
    example: "perplexity(model: train(on: reviewed), max: 2000)",
    positional: 0,
    fields: &[
        Field {
            name: "model",
            ty: Type::Call(&[&TRAIN_NGRAMS]),
            presence: Presence::Required,
            doc: "The language model.",
            example: "train(on: reviewed)",
        },
        perplexity_bound("min", "Smallest perplexity of a word that is let through: less is repetition.", "10"),
        perplexity_bound("max", "Largest perplexity of a word that is let through.", "2000"),
    ],
};

pub static LANGUAGE: Form = Form {
    name: "language",
    doc: "Drops documents in other languages (trigrams and alphabets of the crate whatlang). Short texts are told badly: of English cut to 25 words 99% are told rightly, to 12 words 93%, to 6 words 78%, to 3 words 53%, and most of the short ones have a confidence below 0.65. Source code counts as the language of its names and comments. Of a long text the first 1,000 characters count.",
    example: "language(keep: [en, de], min: 0.65)",
    positional: 0,
    fields: &[
        Field {
            name: "keep",
            ty: Type::OneOrMore(&Type::Language),
            presence: Presence::Required,
            doc: "Languages that stay, by their ISO 639-1 codes (`\"or\"`, Odia, in quotes).",
            example: "[en, de]",
        },
        Field {
            name: "min",
            ty: Type::Number(Range::between(0.0, 1.0)),
            presence: Presence::Default("0.65"),
            doc: "Smallest confidence that is let through.",
            example: "0.9",
        },
    ],
};

pub static SCORE: Form = Form {
    name: "score",
    doc: "Drops documents by a weighted sum of components, each of which is a number from 0 to 1. The distribution of the sum and the mean of each component stand in the report.",
    example: "score(0.3 * grammar + 0.5 * content - 0.2 * spam > 0.5)",
    positional: 1,
    fields: &[
        Field {
            name: "formula",
            ty: Type::Formula(COMPONENTS),
            presence: Presence::Required,
            doc: "The sum and what it is compared with (`>`, `>=`, `<`, `<=`), written without a name.",
            example: "content - spam > 0.4",
        },
        Field {
            name: "quality",
            ty: Type::Call(&[&TRAIN_CLASSIFIER]),
            presence: Presence::Optional("not a part"),
            doc: "The classifier behind the component `quality`.",
            example: "train(good: reviewed, bad: crawled)",
        },
        Field {
            name: "fluency",
            ty: Type::Call(&[&TRAIN_NGRAMS]),
            presence: Presence::Optional("not a part"),
            doc: "The language model behind the component `fluency`.",
            example: "train(on: reviewed)",
        },
        Field {
            name: "language",
            ty: Type::OneOrMore(&Type::Language),
            presence: Presence::Optional("not a part"),
            doc: "The languages of the component `language`.",
            example: "[en]",
        },
    ],
};

const fn component(component: Component) -> Form {
    word(component.name(), component.doc())
}

const fn every_component<const N: usize>() -> [Form; N] {
    assert!(N == Component::ALL.len());
    let mut forms = [const { word("", "") }; N];
    let mut index = 0;
    while index < N {
        forms[index] = component(Component::ALL[index]);
        index += 1;
    }
    forms
}

const fn references<const N: usize>(forms: &'static [Form; N]) -> [&'static Form; N] {
    let mut references = [&forms[0]; N];
    let mut index = 0;
    while index < N {
        references[index] = &forms[index];
        index += 1;
    }
    references
}

static COMPONENT_FORMS: [Form; Component::ALL.len()] = every_component();
static COMPONENTS: &[&Form] = &references(&COMPONENT_FORMS);

pub static DROP_TERMS: Form = Form {
    name: "drop_terms",
    doc: "Drops documents that hold listed words or phrases, as whole words. Terms and text are compared in Unicode compatibility form (NFKC) and lower case, without accents and invisible characters, with any white space or punctuation between the words.",
    example: "drop_terms(file: \"bad_words.txt\", max: 0)",
    positional: 0,
    fields: &[
        Field {
            name: "file",
            ty: Type::Text,
            presence: Presence::Required,
            doc: "Text file of one word or phrase a line; empty lines are left out.",
            example: "\"bad_words.txt\"",
        },
        Field {
            name: "max",
            ty: Type::Integer(Range::NOT_NEGATIVE),
            presence: Presence::Default("0"),
            doc: "Occurrences that are let through.",
            example: "2",
        },
        Field {
            name: "leetspeak",
            ty: Type::Bool,
            presence: Presence::Default("false"),
            doc: "Digits and signs are also read as the letters they resemble: `0` o, `1` and `!` i, `3` e, `4` and `@` a, `5` and `$` s, `7` t.",
            example: "true",
        },
    ],
};

static SWAP: Form = word("swap", "The exchanged text stands in place of the original.");
static ADD: Form = word(
    "add",
    "The exchanged copy follows the original. It is a document of its own: a later deduplication may drop it, and `holdout` may part the two.",
);

const fn pairs() -> Field {
    Field {
        name: "pairs",
        ty: Type::Text,
        presence: Presence::Optional("English pronouns, titles, kinship and other words of gender"),
        doc: "Text file of one pair a line, the term of the first group, a tab or comma, and that of the second.",
        example: "\"pairs.tsv\"",
    }
}

const fn attributes() -> Field {
    Field {
        name: "attributes",
        ty: Type::Text,
        presence: Presence::Optional("60 English names of occupations"),
        doc: "Text file of one word a line whose company in a sentence with terms of either group is measured before and after.",
        example: "\"occupations.txt\"",
    }
}

pub static COUNTERFACTUAL: Form = Form {
    name: "counterfactual",
    doc: "Exchanges the terms of two groups in documents (counterfactual data augmentation, Lu et al. 2018, arXiv:1807.11714; Zhao et al. 2018, arXiv:1804.06876). Pronouns agree: `her` becomes `his` before what is possessed and `him` elsewhere. Capitals stay; proper names do not change. How often terms of either group stand with attributes, before and after, stands in the report.",
    example: "counterfactual(share: 50%, action: swap)",
    positional: 0,
    fields: &[
        pairs(),
        Field {
            name: "share",
            ty: Type::Quantity(&[Dimension::Share], Range { low_included: false, ..Range::between(0.0, 1.0) }),
            presence: Presence::Default("50%"),
            doc: "Share of the documents whose terms are exchanged, chosen by a hash of each.",
            example: "100%",
        },
        Field {
            name: "action",
            ty: Type::Call(&[&SWAP, &ADD]),
            presence: Presence::Default("swap"),
            doc: "Whether the original stays.",
            example: "add",
        },
        attributes(),
        seed(),
    ],
};

static LEAVE_OUT: Form = word("drop", "Documents of the group that is too large are left out.");
static COPY: Form = word("copy", "Documents of the group that is too small are repeated, right after themselves.");

pub static REWEIGHT: Form = Form {
    name: "reweight",
    doc: "Brings the documents about two groups to a ratio. A document is about the group whose terms it holds more of; others are left as they are.",
    example: "reweight(ratio: 1, by: copy)",
    positional: 0,
    fields: &[
        pairs(),
        Field {
            name: "ratio",
            ty: Type::Number(Range::POSITIVE),
            presence: Presence::Default("1"),
            doc: "Documents about the first group for each about the second.",
            example: "1.5",
        },
        Field {
            name: "by",
            ty: Type::Call(&[&LEAVE_OUT, &COPY]),
            presence: Presence::Default("copy"),
            doc: "How the ratio is reached.",
            example: "drop",
        },
        Field {
            name: "max_repeat",
            ty: Type::Integer(Range::between(2.0, 100.0)),
            presence: Presence::Default("4"),
            doc: "Times that one document may stand in the result, at most: the ratio is missed rather than this.",
            example: "2",
        },
        attributes(),
        seed(),
    ],
};

static DROP_DOCUMENT: Form = word("drop", "The whole document is dropped.");
static REPORT: Form = word("report", "Documents stay and are counted.");

pub static DECONTAMINATE: Form = Form {
    name: "decontaminate",
    doc: "Finds documents that share a run of words with texts of evaluations (Brown et al. 2020, arXiv:2005.14165, appendix C). Words are runs of letters and digits in lower case. Counts by evaluation and examples stand in the report.",
    example: "decontaminate(against: [\"eval/gsm8k_test.jsonl\"], ngram: 13)",
    positional: 0,
    fields: &[
        Field {
            name: "against",
            ty: Type::OneOrMore(&Type::TextOrDeclaration("dataset")),
            presence: Presence::Required,
            doc: "The evaluations: data sets, or files, of which JSON lines give every string in every record.",
            example: "[questions, \"eval/mmlu.jsonl\"]",
        },
        Field {
            name: "ngram",
            ty: Type::Integer(Range::between(2.0, 100.0)),
            presence: Presence::Default("13"),
            doc: "Words in a row that must not be shared.",
            example: "8",
        },
        Field {
            name: "min_words",
            ty: Type::Integer(Range::between(1.0, 100.0)),
            presence: Presence::Optional("8, or `ngram` where that is less"),
            doc: "Texts of fewer words than `ngram` are sought whole if they have at least this many; shorter ones are counted and not sought.",
            example: "5",
        },
        Field {
            name: "action",
            ty: Type::Call(&[&DROP_DOCUMENT, &REPORT]),
            presence: Presence::Default("drop"),
            doc: "What happens to documents that share one.",
            example: "report",
        },
    ],
};
