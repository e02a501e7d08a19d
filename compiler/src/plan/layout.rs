//! Which columns of a record are what: written in the recipe, or recognised by their usual names.

use super::{Columns, ContentType};

/// Usual names of a column, in the order in which they are looked for. `conversations` is ShareGPT's,
/// `instruction`, `input` and `output` are Alpaca's.
const MESSAGES: &[&str] = &["messages", "conversations", "conversation"];
const PROMPT: &[&str] = &["prompt", "instruction", "question", "query"];
const CONTEXT: &[&str] = &["input", "context"];
const RESPONSE: &[&str] = &["response", "output", "completion", "answer"];
const CHOSEN: &[&str] = &["chosen", "preferred"];
const REJECTED: &[&str] = &["rejected", "dispreferred"];
const SCORE: &[&str] = &["score", "label", "rating", "reward"];

/// Where the texts of a record stand. Each name is a column that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Running text.
    Text {
        /// The text.
        text: String,
    },
    /// A conversation as a list of messages.
    Messages {
        /// The list.
        messages: String,
    },
    /// A conversation of one question and one answer.
    Turn {
        /// The question.
        prompt: String,
        /// What the question is about, set after it.
        context: Option<String>,
        /// The answer.
        response: String,
    },
    /// Two answers; without a prompt, two whole conversations that share their start.
    Pair {
        /// The prompt.
        prompt: Option<String>,
        /// The better one.
        chosen: String,
        /// The worse one.
        rejected: String,
    },
    /// A prompt: a text, or a list of messages.
    Prompt {
        /// The prompt.
        prompt: String,
        /// What it is about, set after it.
        context: Option<String>,
    },
    /// A text with a number, perhaps the answer to a prompt.
    Scored {
        /// The prompt.
        prompt: Option<String>,
        /// The text.
        text: String,
        /// The number.
        score: String,
    },
}

/// A column that is needed and not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingColumn {
    /// The argument that names it.
    pub role: &'static str,
    /// The name that the recipe gives; none where no usual name was found.
    pub written: Option<String>,
    /// The usual names.
    pub usual: &'static [&'static str],
}

impl Layout {
    /// Finds the columns of `content` among `fields`; `text` is the column of running text.
    ///
    /// # Errors
    /// The first column that is not there.
    pub fn find(
        content: ContentType,
        columns: &Columns,
        text: &str,
        fields: &[String],
    ) -> Result<Layout, MissingColumn> {
        let find = Finder { fields };
        let prompt = || find.column("prompt", &columns.prompt, PROMPT);
        let response = || find.column("response", &columns.response, RESPONSE);
        let context = || find.optional("context", &columns.context, CONTEXT);
        let text_column = || match fields.iter().any(|field| field == text) {
            true => Ok(text.to_owned()),
            false => Err(MissingColumn { role: "field", written: Some(text.to_owned()), usual: &[] }),
        };
        Ok(match content {
            ContentType::Text | ContentType::Tokens => Layout::Text { text: text_column()? },
            ContentType::Dialogue => {
                let turn = columns.prompt.is_some() || columns.response.is_some() || columns.context.is_some();
                match find.column("messages", &columns.messages, MESSAGES) {
                    Ok(messages) if !turn => Layout::Messages { messages },
                    Err(missing) if columns.messages.is_some() => return Err(missing),
                    _ if turn => Layout::Turn { prompt: prompt()?, context: context()?, response: response()? },
                    Err(missing) => match (prompt(), response()) {
                        (Ok(prompt), Ok(response)) => Layout::Turn { prompt, context: context()?, response },
                        (Ok(_), Err(missing)) | (Err(missing), Ok(_)) => return Err(missing),
                        (Err(_), Err(_)) => return Err(missing),
                    },
                    Ok(messages) => Layout::Messages { messages },
                }
            }
            ContentType::Preference => Layout::Pair {
                prompt: find.optional("prompt", &columns.prompt, PROMPT)?,
                chosen: find.column("chosen", &columns.chosen, CHOSEN)?,
                rejected: find.column("rejected", &columns.rejected, REJECTED)?,
            },
            ContentType::Prompts => match (&columns.prompt, find.column("messages", &columns.messages, MESSAGES)) {
                (None, Ok(messages)) => Layout::Prompt { prompt: messages, context: None },
                (None, Err(missing)) if columns.messages.is_some() => return Err(missing),
                _ => Layout::Prompt { prompt: prompt()?, context: context()? },
            },
            ContentType::Scored => {
                let text = match &columns.response {
                    Some(_) => response()?,
                    None => text_column().or_else(|missing| response().map_err(|_| missing))?,
                };
                let score = find.column("score", &columns.score, SCORE)?;
                Layout::Scored { prompt: find.optional("prompt", &columns.prompt, PROMPT)?, text, score }
            }
        })
    }

    /// The columns that are read, in the order of the record's texts.
    pub fn columns(&self) -> Vec<&str> {
        let all: Vec<Option<&String>> = match self {
            Layout::Text { text } => vec![Some(text)],
            Layout::Messages { messages } => vec![Some(messages)],
            Layout::Turn { prompt, context, response } => vec![Some(prompt), context.as_ref(), Some(response)],
            Layout::Pair { prompt, chosen, rejected } => vec![prompt.as_ref(), Some(chosen), Some(rejected)],
            Layout::Prompt { prompt, context } => vec![Some(prompt), context.as_ref()],
            Layout::Scored { prompt, text, score } => vec![prompt.as_ref(), Some(text), Some(score)],
        };
        all.into_iter().flatten().map(String::as_str).collect()
    }
}

impl Columns {
    /// Arguments that the recipe writes and that mean nothing for `content`.
    pub fn without_meaning(&self, content: ContentType) -> Vec<&'static str> {
        let meant: &[&str] = match content {
            ContentType::Text | ContentType::Tokens => &[],
            ContentType::Dialogue => &["messages", "prompt", "context", "response"],
            ContentType::Preference => &["prompt", "chosen", "rejected"],
            ContentType::Prompts => &["messages", "prompt", "context"],
            ContentType::Scored => &["prompt", "response", "score"],
        };
        let written = [
            ("messages", &self.messages),
            ("prompt", &self.prompt),
            ("context", &self.context),
            ("response", &self.response),
            ("chosen", &self.chosen),
            ("rejected", &self.rejected),
            ("score", &self.score),
        ];
        written.into_iter().filter(|(name, value)| value.is_some() && !meant.contains(name)).map(|it| it.0).collect()
    }
}

struct Finder<'a> {
    fields: &'a [String],
}

impl Finder<'_> {
    /// The written column, else the first usual one.
    fn column(
        &self,
        role: &'static str,
        written: &Option<String>,
        usual: &'static [&'static str],
    ) -> Result<String, MissingColumn> {
        let is_there = |name: &str| self.fields.iter().any(|field| field == name);
        let found = match written {
            Some(name) => Some(name.as_str()).filter(|name| is_there(name)),
            None => usual.iter().copied().find(|name| is_there(name)),
        };
        found.map(str::to_owned).ok_or_else(|| MissingColumn { role, written: written.clone(), usual })
    }

    /// As [`Finder::column`], where the column may be missing unless it is written.
    fn optional(
        &self,
        role: &'static str,
        written: &Option<String>,
        usual: &'static [&'static str],
    ) -> Result<Option<String>, MissingColumn> {
        match self.column(role, written, usual) {
            Ok(name) => Ok(Some(name)),
            Err(missing) if missing.written.is_some() => Err(missing),
            Err(_) => Ok(None),
        }
    }
}
