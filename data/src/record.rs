//! Records of several texts: conversations, preferences, prompts and scored texts.

mod read;

use serde::{Deserialize, Serialize};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Rules for the whole conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A program that the model called.
    Tool,
}

impl Role {
    /// As chat templates write it.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// A document of a data set whose type is neither text nor token ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A conversation with at least one message of the assistant.
    Dialogue {
        /// Its messages in order.
        messages: Vec<Message>,
    },
    /// Two ways for a conversation to go on.
    Preference {
        /// What both have in common; not empty.
        prompt: Vec<Message>,
        /// The better continuation; not empty.
        chosen: Vec<Message>,
        /// The worse continuation; not empty.
        rejected: Vec<Message>,
    },
    /// A conversation that waits for the assistant.
    Prompt {
        /// Its messages in order.
        messages: Vec<Message>,
    },
    /// A text with a number.
    Scored {
        /// What the text answers; may be empty.
        prompt: Vec<Message>,
        /// The text.
        text: String,
        /// How good it is.
        score: f64,
    },
}

impl Record {
    /// Every text with the part it plays, in order.
    pub fn texts(&self) -> Vec<(String, &str)> {
        let mut texts = Vec::new();
        for (part, messages) in self.parts() {
            texts.extend(messages.iter().map(|message| {
                let role = message.role.name();
                (if part.is_empty() { role.to_owned() } else { format!("{part} {role}") }, message.content.as_str())
            }));
        }
        if let Record::Scored { text, .. } = self {
            texts.push(("text".to_owned(), text));
        }
        texts
    }

    fn parts(&self) -> Vec<(&'static str, &[Message])> {
        match self {
            Record::Dialogue { messages } | Record::Prompt { messages } => vec![("", messages)],
            Record::Preference { prompt, chosen, rejected } => {
                vec![("prompt", prompt), ("chosen", chosen), ("rejected", rejected)]
            }
            Record::Scored { prompt, .. } => vec![("prompt", prompt)],
        }
    }

    /// All texts as one, for what looks at the record as a whole.
    pub fn joined(&self) -> String {
        self.texts().into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n\n")
    }

    /// Puts other texts in the place of its own: as many as [`Record::texts`] gives, in that order.
    pub fn replace(&mut self, texts: Vec<String>) {
        let mut texts = texts.into_iter();
        let lists: Vec<&mut Vec<Message>> = match self {
            Record::Dialogue { messages } | Record::Prompt { messages } => vec![messages],
            Record::Preference { prompt, chosen, rejected } => vec![prompt, chosen, rejected],
            Record::Scored { prompt, .. } => vec![prompt],
        };
        for (message, text) in lists.into_iter().flatten().zip(&mut texts) {
            message.content = text;
        }
        if let (Record::Scored { text, .. }, Some(last)) = (self, texts.next()) {
            *text = last;
        }
    }
}
