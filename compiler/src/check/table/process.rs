//! Rows of the table: the calls of a dataset's `process`.

use super::super::units::Dimension;
use super::curation;
use super::{Field, Form, Presence, Range, Type};
use crate::plan::{Rule, RuleUnit};

/// Every step that documents can go through.
pub static STEPS: &[&Form] = &[
    &DEDUP_EXACT,
    &DEDUP_NEAR,
    &DEDUP_LINES,
    &GOPHER,
    &C4,
    &FINEWEB,
    &CODE,
    &FILTER,
    &curation::QUALITY,
    &curation::PERPLEXITY,
    &curation::LANGUAGE,
    &curation::SCORE,
    &curation::DROP_TERMS,
    &curation::COUNTERFACTUAL,
    &curation::REWEIGHT,
    &curation::DECONTAMINATE,
    &PII,
];

static DEDUP_EXACT: Form = Form {
    name: "dedup_exact",
    doc: "Of documents that are equal after Unicode composition, lower-casing and folding of white space, the first stays.",
    example: "dedup_exact()",
    positional: 0,
    fields: &[],
};

static DEDUP_NEAR: Form = Form {
    name: "dedup_near",
    doc: "Of documents that share most of their word n-grams, directly or through others, the first stays (MinHash and locality-sensitive hashing, every candidate verified).",
    example: "dedup_near(threshold: 0.8)",
    positional: 0,
    fields: &[
        Field {
            name: "threshold",
            ty: Type::Number(Range::between(0.3, 1.0)),
            presence: Presence::Default("0.8"),
            doc: "Jaccard similarity of the two sets of n-grams from which on documents are near-duplicates.",
            example: "0.85",
        },
        Field {
            name: "shingle",
            ty: Type::Integer(Range::between(1.0, 64.0)),
            presence: Presence::Default("5"),
            doc: "Words of one n-gram.",
            example: "3",
        },
        Field {
            name: "hashes",
            ty: Type::Integer(Range::between(16.0, 1024.0)),
            presence: Presence::Default("128"),
            doc: "MinHash values of a document, at most; bands and rows follow from it and from `threshold`.",
            example: "256",
        },
    ],
};

static DEDUP_LINES: Form = Form {
    name: "dedup_lines",
    doc: "Lines or paragraphs that were seen before, in the same document or an earlier one, are removed.",
    example: "dedup_lines(unit: paragraph)",
    positional: 0,
    fields: &[
        Field {
            name: "unit",
            ty: Type::Call(&[&LINE, &PARAGRAPH]),
            presence: Presence::Default("line"),
            doc: "What is compared, with white space folded.",
            example: "paragraph",
        },
        Field {
            name: "min_length",
            ty: Type::Integer(Range::NOT_NEGATIVE),
            presence: Presence::Default("40"),
            doc: "Lines or paragraphs of fewer characters always stay.",
            example: "80",
        },
    ],
};

pub(super) const fn word(name: &'static str, doc: &'static str) -> Form {
    Form { name, doc, example: name, positional: 0, fields: &[] }
}

static LINE: Form = word("line", "What line breaks part.");
static PARAGRAPH: Form = word("paragraph", "What blank lines part.");

/// A rule of a filter: with this default, or not asked unless written.
const fn limit(rule: Rule, default: Option<&'static str>) -> Field {
    let ty = match rule.unit() {
        RuleUnit::Count => Type::Integer(Range::NOT_NEGATIVE),
        RuleUnit::Number => Type::Number(Range::NOT_NEGATIVE),
        RuleUnit::Share => Type::Quantity(&[Dimension::Share], Range::between(0.0, 1.0)),
    };
    let presence = match default {
        Some(text) => Presence::DefaultOrNone(text),
        None => Presence::Optional("not asked"),
    };
    Field { name: rule.name(), ty, presence, doc: rule.doc(), example: rule.example() }
}

const fn short_line() -> Field {
    Field {
        name: "short_line",
        ty: Type::Integer(Range::NOT_NEGATIVE),
        presence: Presence::Default("30"),
        doc: "Characters under which a line is short.",
        example: "20",
    }
}

static GOPHER: Form = Form {
    name: "gopher",
    doc: "Drops documents by the quality and repetition rules of Gopher (Rae et al. 2021, arXiv:2112.11446, appendix A.1.1), with their limits.",
    example: "gopher(min_words: 20, min_stop_words: none)",
    positional: 0,
    fields: &[
        limit(Rule::MinWords, Some("50")),
        limit(Rule::MaxWords, Some("100_000")),
        limit(Rule::MinMeanWordLength, Some("3")),
        limit(Rule::MaxMeanWordLength, Some("10")),
        limit(Rule::MaxHashesPerWord, Some("10%")),
        limit(Rule::MaxEllipsesPerWord, Some("10%")),
        limit(Rule::MaxBulletLines, Some("90%")),
        limit(Rule::MaxEllipsisLines, Some("30%")),
        limit(Rule::MinAlphabeticWords, Some("80%")),
        limit(Rule::MinStopWords, Some("2")),
        limit(Rule::MaxDuplicateLines, Some("30%")),
        limit(Rule::MaxDuplicateParagraphs, Some("30%")),
        limit(Rule::MaxDuplicateLineCharacters, Some("20%")),
        limit(Rule::MaxDuplicateParagraphCharacters, Some("20%")),
        limit(Rule::MaxTop2Gram, Some("20%")),
        limit(Rule::MaxTop3Gram, Some("18%")),
        limit(Rule::MaxTop4Gram, Some("16%")),
        limit(Rule::MaxDuplicate5Grams, Some("15%")),
        limit(Rule::MaxDuplicate6Grams, Some("14%")),
        limit(Rule::MaxDuplicate7Grams, Some("13%")),
        limit(Rule::MaxDuplicate8Grams, Some("12%")),
        limit(Rule::MaxDuplicate9Grams, Some("11%")),
        limit(Rule::MaxDuplicate10Grams, Some("10%")),
    ],
};

static C4: Form = Form {
    name: "c4",
    doc: "Cleans lines and drops documents as C4 does (Raffel et al. 2020, arXiv:1910.10683, section 2.2).",
    example: "c4(min_sentences: 5, min_line_words: 3)",
    positional: 0,
    fields: &[
        Field {
            name: "terminal_punctuation",
            ty: Type::Bool,
            presence: Presence::Default("true"),
            doc: "Lines that do not end in `.`, `!`, `?` or a closing quotation mark are removed.",
            example: "false",
        },
        Field {
            name: "min_line_words",
            ty: Type::Integer(Range::NOT_NEGATIVE),
            presence: Presence::DefaultOrNone("5"),
            doc: "Lines of fewer words are removed.",
            example: "3",
        },
        Field {
            name: "boilerplate",
            ty: Type::Bool,
            presence: Presence::Default("true"),
            doc: "Lines that speak of JavaScript, cookies, a privacy policy or terms of use are removed.",
            example: "false",
        },
        limit(Rule::MinSentences, Some("3")),
        limit(Rule::MaxLoremIpsum, Some("0")),
        limit(Rule::MaxCurlyBrackets, Some("0")),
    ],
};

static FINEWEB: Form = Form {
    name: "fineweb",
    doc: "Drops documents by the rules that FineWeb adds to Gopher's and C4's (Penedo et al. 2024, arXiv:2406.17557, section 3.6).",
    example: "fineweb(min_punctuated_lines: 5%)",
    positional: 0,
    fields: &[
        limit(Rule::MinPunctuatedLines, Some("12%")),
        limit(Rule::MaxDuplicateLineCharacters, Some("10%")),
        limit(Rule::MaxShortLines, Some("67%")),
        short_line(),
    ],
};

static CODE: Form = Form {
    name: "code",
    doc: "Drops generated and data-like source files (Chen et al. 2021, arXiv:2107.03374, section 3.1; Li et al. 2023, arXiv:2305.06161, section 3.1).",
    example: "code(max_line_length: 400)",
    positional: 0,
    fields: &[
        limit(Rule::MaxLineLength, Some("1000")),
        limit(Rule::MaxMeanLineLength, Some("100")),
        limit(Rule::MinAlphanumeric, Some("25%")),
    ],
};

/// The rules of a filter without any default, and what short lines are.
const fn every_rule<const N: usize>() -> [Field; N] {
    assert!(N == Rule::ALL.len() + 1);
    let mut fields = [const { short_line() }; N];
    let mut index = 0;
    while index < Rule::ALL.len() {
        fields[index] = limit(Rule::ALL[index], None);
        index += 1;
    }
    fields
}

static FILTER: Form = Form {
    name: "filter",
    doc: "Drops documents by the rules that are written, whichever filter they come from.",
    example: "filter(min_bytes: 200, max_line_length: 2000)",
    positional: 0,
    fields: &every_rule::<{ Rule::ALL.len() + 1 }>(),
};

static PII: Form = Form {
    name: "pii",
    doc: "Finds personal data and secrets by form and check digits, and replaces them. Reports count them and never hold them.",
    example: "pii(replace: fake)",
    positional: 0,
    fields: &[
        Field {
            name: "replace",
            ty: Type::Call(&[&TAG, &FAKE, &DROP]),
            presence: Presence::Default("tag"),
            doc: "What stands in their place.",
            example: "fake",
        },
        Field {
            name: "kinds",
            ty: Type::OneOrMore(&Type::Call(KINDS_OF_PII)),
            presence: Presence::Optional("all of them"),
            doc: "What is looked for.",
            example: "[email, ip]",
        },
        Field {
            name: "seed",
            ty: Type::Integer(Range::NOT_NEGATIVE),
            presence: Presence::Default("0"),
            doc: "Another seed, other fakes. Whoever knows the seed can test a guess of a value against its fake.",
            example: "7",
        },
    ],
};

static TAG: Form = word("tag", "The kind in brackets: `[EMAIL]`.");
static FAKE: Form = word("fake", "An invented value of the same form; the same value gets the same fake everywhere.");
static DROP: Form = word("drop", "Nothing: the whole document is dropped.");

static KINDS_OF_PII: &[&Form] = &[&PRIVATE_KEY, &API_KEY, &CREDENTIALS, &EMAIL, &IP, &IBAN, &CARD, &SSN, &PHONE];
static PRIVATE_KEY: Form = word("private_key", "Blocks from `-----BEGIN ... PRIVATE KEY-----` to their end.");
static API_KEY: Form = word("api_key", "Access tokens of well-known services, by their prefixes, and JSON web tokens.");
static CREDENTIALS: Form = word("credentials", "User name and password in a URL.");
static EMAIL: Form = word("email", "E-mail addresses.");
static IP: Form = word("ip", "IPv4 and IPv6 addresses other than loopback and unspecified ones.");
static IBAN: Form = word("iban", "International bank account numbers with right length and check digits.");
static CARD: Form = word("card", "Payment card numbers with a known prefix and right check digit.");
static SSN: Form = word("ssn", "US social security numbers.");
static PHONE: Form = word(
    "phone",
    "Telephone numbers: international, North American, or written after words such as `call` or `phone`.",
);
