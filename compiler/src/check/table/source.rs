//! Rows of the table: sources of documents.

use super::super::units::Dimension;
use super::{Field, Form, Presence, Range, Type};

/// What a dataset's `source` takes.
pub static SOURCES: &[&Form] = &[&FILES, &TEXT, &JSONL, &CSV, &PARQUET, &FOLDER, &TOKENS, &RANDOM_TOKENS];

/// What a dataset's `type` takes.
pub static TYPES: &[&Form] = &[
    &bare("text", "Running text."),
    &bare(
        "dialogue",
        "Conversations: a list of messages (`role`/`content`, or ShareGPT's `from`/`value`), or a question and its answer (Alpaca's `instruction`, `input`, `output`).",
    ),
    &bare(
        "preference",
        "Two answers to one prompt, `chosen` and `rejected`; without a prompt, two whole conversations that share their start.",
    ),
    &bare("prompts", "Prompts without answers."),
    &bare("scored", "Texts, or answers to prompts, with a number."),
    &bare("tokens", "Token ids that are already made."),
];

/// What a dataset's `on_error` takes.
pub static ON_ERROR: &[&Form] = &[
    &bare("reject", "The run ends with a message that names the place."),
    &bare("skip", "What cannot be read is left out: the document, the record, the rest of a damaged file."),
    &bare(
        "replace",
        "What can be read is kept: invalid bytes become U+FFFD, a damaged archive gives what lies before the damage, a line that is too long is cut in pieces. Broken records are left out.",
    ),
];

static SOURCE_KINDS: &[&Form] = &[
    &bare("web", "Pages of the web."),
    &bare("books", "Books."),
    &bare("papers", "Scientific papers."),
    &bare("code", "Source code."),
    &bare("social", "Forums, chats, social media."),
    &bare("specialised", "One field's own texts: law, medicine, finance."),
];

const fn bare(name: &'static str, doc: &'static str) -> Form {
    Form { name, doc, example: name, positional: 0, fields: &[] }
}

const KIND: Field = Field {
    name: "kind",
    ty: Type::Call(SOURCE_KINDS),
    presence: Presence::Optional("not said"),
    doc: "What the documents were written for; shown in tables, kept in the report and in `recipe.lock`.",
    example: "web",
};
const LICENSE: Field = Field {
    name: "license",
    ty: Type::Text,
    presence: Presence::Optional("not said"),
    doc: "Its licence, checked by `require_license`; shown in tables, kept in the report and in `recipe.lock`.",
    example: "\"CC-BY-4.0\"",
};
const WEIGHT: Field = Field {
    name: "weight",
    ty: Type::Number(Range::POSITIVE),
    presence: Presence::Optional("sources are read one after another; 1 where another source has a weight"),
    doc: "Rows of the sources stand side by side, in proportion to their weights.",
    example: "0.5",
};
const NOTES: Field = Field {
    name: "notes",
    ty: Type::Text,
    presence: Presence::Optional("nothing"),
    doc: "Whatever else is to be known; kept in the report.",
    example: "\"scanned in 2019\"",
};
const RECORDS_PATH: Field = Field {
    name: "path",
    ty: Type::Text,
    presence: Presence::Required,
    doc: "The file's path, relative to the recipe, or a glob of several files.",
    example: "\"docs/*.jsonl\"",
};
const FIELD: Field = Field {
    name: "field",
    ty: Type::Text,
    presence: Presence::Default("\"text\""),
    doc: "The field or column that holds the text.",
    example: "\"content\"",
};
const MESSAGES: Field = Field {
    name: "messages",
    ty: Type::Text,
    presence: Presence::Optional("recognised by its usual name"),
    doc: "The column that holds a list of messages, each with `role` and `content` or `from` and `value`; usually `messages` or `conversations`.",
    example: "\"chat\"",
};
const PROMPT: Field = Field {
    name: "prompt",
    ty: Type::Text,
    presence: Presence::Optional("recognised by its usual name"),
    doc: "The column that holds the question or instruction; usually `prompt`, `instruction`, `question` or `query`. A list of messages will do.",
    example: "\"question\"",
};
const CONTEXT: Field = Field {
    name: "context",
    ty: Type::Text,
    presence: Presence::Optional("recognised by its usual name"),
    doc: "The column that holds what an instruction is about; usually `input` or `context`.",
    example: "\"passage\"",
};
const RESPONSE: Field = Field {
    name: "response",
    ty: Type::Text,
    presence: Presence::Optional("recognised by its usual name"),
    doc: "The column that holds the answer; usually `response`, `output`, `completion` or `answer`.",
    example: "\"reply\"",
};
const CHOSEN: Field = Field {
    name: "chosen",
    ty: Type::Text,
    presence: Presence::Optional("recognised by its usual name"),
    doc: "The column that holds the better answer, or the whole better conversation; usually `chosen`.",
    example: "\"better\"",
};
const REJECTED: Field = Field {
    name: "rejected",
    ty: Type::Text,
    presence: Presence::Optional("recognised by its usual name"),
    doc: "The column that holds the worse answer, or the whole worse conversation; usually `rejected`.",
    example: "\"worse\"",
};
const SCORE: Field = Field {
    name: "score",
    ty: Type::Text,
    presence: Presence::Optional("recognised by its usual name"),
    doc: "The column that holds the number of a scored text; usually `score`, `label`, `rating` or `reward`.",
    example: "\"stars\"",
};

/// Of sources of records.
const RECORD_FIELDS: &[Field] =
    &[RECORDS_PATH, FIELD, MESSAGES, PROMPT, CONTEXT, RESPONSE, CHOSEN, REJECTED, SCORE, KIND, LICENSE, WEIGHT, NOTES];

static FILES: Form = Form {
    name: "files",
    doc: "Every file that matches a pattern, or lies in a directory, is one document; `.gz` and `.zst` are expanded. A text over 64 MiB is cut into documents of about 1 MiB at line ends.",
    example: "files(\"~/notes/**/*.md\", kind: code, license: \"MIT\")",
    positional: 1,
    fields: &[
        Field {
            name: "pattern",
            ty: Type::Text,
            presence: Presence::Required,
            doc: "Glob of the files: `*` within a folder, `**` over folders; `~` and `$VAR` are filled in when it is read. A directory stands for all files in it.",
            example: "\"~/notes/**/*.md\"",
        },
        KIND,
        LICENSE,
        WEIGHT,
        NOTES,
    ],
};

static TEXT: Form = Form {
    name: "text",
    doc: "One text file is one document; `.gz` and `.zst` are expanded. A text over 64 MiB is cut into documents of about 1 MiB at line ends.",
    example: "text(\"shakespeare.txt\")",
    positional: 1,
    fields: &[
        Field {
            name: "path",
            ty: Type::Text,
            presence: Presence::Required,
            doc: "The file's path, relative to the recipe.",
            example: "\"shakespeare.txt\"",
        },
        KIND,
        LICENSE,
        WEIGHT,
        NOTES,
    ],
};

static JSONL: Form = Form {
    name: "jsonl",
    doc: "One JSON object a line; one of its fields is the document, or several make a record of the dataset's type. `.gz` and `.zst` are expanded.",
    example: "jsonl(\"docs.jsonl\", field: \"text\")",
    positional: 2,
    fields: RECORD_FIELDS,
};

static CSV: Form = Form {
    name: "csv",
    doc: "Comma-separated values with a heading line; `.gz` and `.zst` are expanded.",
    example: "csv(\"docs.csv\", field: \"text\")",
    positional: 2,
    fields: &[
        RECORDS_PATH,
        FIELD,
        Field {
            name: "delimiter",
            ty: Type::Text,
            presence: Presence::Optional("a tab in `.tsv` files, else a comma"),
            doc: "The one ASCII character between two values.",
            example: "\";\"",
        },
        MESSAGES,
        PROMPT,
        CONTEXT,
        RESPONSE,
        CHOSEN,
        REJECTED,
        SCORE,
        KIND,
        LICENSE,
        WEIGHT,
        NOTES,
    ],
};

static PARQUET: Form = Form {
    name: "parquet",
    doc: "Apache Parquet, uncompressed, Snappy or gzip. Needs a build with `--features parquet`.",
    example: "parquet(\"docs/*.parquet\", field: \"text\")",
    positional: 2,
    fields: RECORD_FIELDS,
};

static FOLDER: Form = Form {
    name: "folder",
    doc: "A directory as Hugging Face `datasets` reads it: `.jsonl`, `.csv`, `.tsv`, `.parquet` and `.txt` files (a line of `.txt` is a document). Files or folders named after `train`, `validation` (`valid`, `val`, `dev`) or `test` (`eval`) are divided so: the validation files are held out, the test files are not read, everything else is trained on.",
    example: "folder(\"datasets/wiki\", field: \"text\")",
    positional: 2,
    fields: &[
        Field {
            name: "path",
            ty: Type::Text,
            presence: Presence::Required,
            doc: "The directory's path, relative to the recipe.",
            example: "\"datasets/wiki\"",
        },
        FIELD,
        MESSAGES,
        PROMPT,
        CONTEXT,
        RESPONSE,
        CHOSEN,
        REJECTED,
        SCORE,
        KIND,
        LICENSE,
        WEIGHT,
        NOTES,
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
        Field {
            name: "weights",
            ty: Type::Text,
            presence: Presence::Optional("every token counts 1"),
            doc: "A tensor of 32-bit floats in the same safetensors file and of the same shape: how much the loss of predicting each \
                  token counts, 0 for not at all. The loss is divided by the sum of the weights. For `causal_lm` and `prefix_lm` \
                  without an encoder.",
            example: "\"loss_weights\"",
        },
        KIND,
        LICENSE,
        NOTES,
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
