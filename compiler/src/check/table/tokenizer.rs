//! Rows of the table: `tokenizer`.

use super::super::units::Dimension;
use super::{Field, Form, Presence, Range, Type};

/// `tokenizer NAME { ... }`
pub static TOKENIZER: Form = Form {
    name: "tokenizer",
    doc: "Text to token ids: trained on a dataset, or loaded. Exactly one of `train` and `load` is written.",
    example: "tokenizer bpe { train = byte_bpe(vocab: 8192, on: rust) }",
    positional: 0,
    fields: &[
        Field {
            name: "train",
            ty: Type::Call(&[&BYTE_BPE, &WORDPIECE, &UNIGRAM]),
            presence: Presence::Optional("`load` says which tokenizer"),
            doc: "Train a tokenizer before the first stage.",
            example: "byte_bpe(vocab: 8192, on: rust)",
        },
        Field {
            name: "load",
            ty: Type::TextOrCall(&[&TIKTOKEN, &BYTES]),
            presence: Presence::Optional("`train` says which tokenizer"),
            doc: "Path of a Hugging Face `tokenizer.json`, relative to the recipe; or `tiktoken(...)`, `bytes()`.",
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
        vocab(257.0, "Number of token ids: the 256 bytes, the merges and the special tokens."),
        ON,
        SAMPLE,
        SPECIAL,
    ],
};

static WORDPIECE: Form = Form {
    name: "wordpiece",
    doc: "WordPiece, as BERT's: spaces are not kept, a word with a character that the text does not have is `[UNK]`. It has `[PAD]`, `[CLS]`, `[SEP]` and `[MASK]`.",
    example: "wordpiece(vocab: 8192, on: rust)",
    positional: 0,
    fields: &[
        vocab(
            8.0,
            "Number of token ids: `[UNK]`, the 1000 most frequent characters, the merges and the special tokens.",
        ),
        ON,
        SAMPLE,
        Field {
            name: "lowercase",
            ty: Type::Bool,
            presence: Presence::Default("true"),
            doc: "Make text lower-case and take accents off.",
            example: "false",
        },
        SPECIAL,
    ],
};

static UNIGRAM: Form = Form {
    name: "unigram",
    doc: "A unigram language model of pieces, as T5's and SentencePiece's: a character that the text does not have is `<unk>`. It has `<pad>`, `<s>` and `</s>`.",
    example: "unigram(vocab: 8192, on: rust, sample: 4 MB)",
    positional: 0,
    fields: &[
        vocab(8.0, "Number of token ids: `<unk>`, every character of the text, other pieces and the special tokens."),
        ON,
        SAMPLE,
        SPECIAL,
    ],
};

const fn vocab(least: f64, doc: &'static str) -> Field {
    let ty = Type::Integer(Range::between(least, 4_194_304.0));
    Field { name: "vocab", ty, presence: Presence::Required, doc, example: "8192" }
}

const ON: Field = Field {
    name: "on",
    ty: Type::Declaration(&["dataset"]),
    presence: Presence::Required,
    doc: "The dataset to train on.",
    example: "rust",
};

const SAMPLE: Field = Field {
    name: "sample",
    ty: Type::Quantity(&[Dimension::Bytes], Range::POSITIVE),
    presence: Presence::Default("16 MB"),
    doc: "Most bytes of text to train on.",
    example: "64 MB",
};

const SPECIAL: Field = Field {
    name: "special",
    ty: Type::OneOrMore(&Type::Text),
    presence: Presence::Optional("only those that it has anyway, and `end_of_text`"),
    doc: "More special tokens: their text in a document is text as any other, and ids they get only from what makes prompts and rows. They are the last ids, before `end_of_text`.",
    example: "[\"<|user|>\", \"<|assistant|>\"]",
};

static TIKTOKEN: Form = Form {
    name: "tiktoken",
    doc: "A file of ranks as tiktoken reads it: each line a token in base64 and its rank. Checkpoints hold it as `tokenizer.json`.",
    example: "tiktoken(\"cl100k_base.tiktoken\")",
    positional: 1,
    fields: &[
        Field {
            name: "path",
            ty: Type::Text,
            presence: Presence::Required,
            doc: "The file's path, relative to the recipe.",
            example: "\"cl100k_base.tiktoken\"",
        },
        Field {
            name: "encoding",
            ty: Type::Call(&[&R50K_BASE, &P50K_BASE, &CL100K_BASE, &O200K_BASE]),
            presence: Presence::Optional("the file's name says it"),
            doc: "The encoding that the ranks are of: how text is cut into words, and which special tokens there are.",
            example: "cl100k_base",
        },
        Field {
            name: "special",
            ty: Type::OneOrMore(&Type::Text),
            presence: Presence::Optional("those of the encoding, with their ids"),
            doc: "Special tokens in place of the encoding's own; their ids follow the ranks.",
            example: "[\"<|endoftext|>\", \"<|user|>\"]",
        },
    ],
};

static R50K_BASE: Form = encoding("r50k_base", "GPT-2's and GPT-3's: 50257 ids.");
static P50K_BASE: Form = encoding("p50k_base", "Codex's: 50281 ids, GPT-2's and runs of spaces.");
static CL100K_BASE: Form = encoding("cl100k_base", "GPT-3.5's and GPT-4's: 100277 ids.");
static O200K_BASE: Form = encoding("o200k_base", "GPT-4o's: 200019 ids.");

const fn encoding(name: &'static str, doc: &'static str) -> Form {
    Form { name, doc, example: name, positional: 0, fields: &[] }
}

/// `bytes()`
pub static BYTES: Form = Form {
    name: "bytes",
    doc: "The 256 bytes as they are; end-of-text is id 256.",
    example: "bytes()",
    positional: 0,
    fields: &[],
};
