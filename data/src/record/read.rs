//! Columns to records.

use llmc_compiler::plan::Layout;
use serde_json::{Map, Value};

use super::{Message, Record, Role};
use crate::sources::jsonl::kind_of;

/// Why a record's columns make no record, as a clause for people.
type Unreadable = String;

/// Marks of speakers in conversations that are one text, as in Anthropic's HH-RLHF.
const MARKS: [(&str, Role); 2] = [("\n\nHuman:", Role::User), ("\n\nAssistant:", Role::Assistant)];

impl Record {
    /// The record in these columns. [`Layout::Text`] is none.
    ///
    /// # Errors
    /// A column that is missing, of another kind or empty, with the column's name.
    pub fn read(layout: &Layout, fields: &Map<String, Value>) -> Result<Record, Unreadable> {
        match layout {
            Layout::Text { text } => Err(format!("`{text}` is running text")),
            Layout::Messages { messages } => {
                let messages = conversation(fields, messages)?;
                if !messages.iter().any(|message| message.role == Role::Assistant) {
                    return Err("the conversation holds no message of the assistant".to_owned());
                }
                Ok(Record::Dialogue { messages })
            }
            Layout::Turn { prompt, context, response } => {
                let mut messages = question(fields, prompt, context.as_deref())?;
                messages.extend(answer(fields, response)?);
                Ok(Record::Dialogue { messages })
            }
            Layout::Pair { prompt, chosen, rejected } => pair(fields, prompt.as_deref(), chosen, rejected),
            Layout::Prompt { prompt, context } => {
                let mut messages = question(fields, prompt, context.as_deref())?;
                // A conversation that ends with an answer is a prompt up to it.
                while messages.last().is_some_and(|message| message.role == Role::Assistant) {
                    messages.pop();
                }
                match messages.is_empty() {
                    true => Err(format!("`{prompt}` holds no prompt")),
                    false => Ok(Record::Prompt { messages }),
                }
            }
            Layout::Scored { prompt, text, score } => {
                let prompt = match prompt {
                    Some(prompt) => question(fields, prompt, None)?,
                    None => Vec::new(),
                };
                Ok(Record::Scored { prompt, text: string(fields, text)?, score: number(fields, score)? })
            }
        }
    }
}

fn value<'a>(fields: &'a Map<String, Value>, column: &str) -> Result<&'a Value, Unreadable> {
    fields.get(column).ok_or_else(|| format!("there is no `{column}`"))
}

fn string(fields: &Map<String, Value>, column: &str) -> Result<String, Unreadable> {
    match value(fields, column)? {
        Value::String(text) if text.trim().is_empty() => Err(format!("`{column}` is empty")),
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("`{column}` is {} instead of a string", kind_of(other))),
    }
}

/// A number, also as text (as in a table of values), or a truth value.
fn number(fields: &Map<String, Value>, column: &str) -> Result<f64, Unreadable> {
    let number = match value(fields, column)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite()).ok_or_else(|| format!("`{column}` is no number"))
}

/// A list of messages, a single one, or a text that holds them as JSON or with marks of the speakers.
fn conversation(fields: &Map<String, Value>, column: &str) -> Result<Vec<Message>, Unreadable> {
    let messages = messages(value(fields, column)?, column)?;
    match messages {
        Some(messages) if messages.is_empty() => Err(format!("`{column}` holds no message")),
        Some(messages) => Ok(messages),
        None => Err(format!("`{column}` is no list of messages")),
    }
}

/// None for a text that is no conversation.
fn messages(value: &Value, column: &str) -> Result<Option<Vec<Message>>, Unreadable> {
    match value {
        Value::Array(items) => items.iter().map(|item| message(item, column)).collect::<Result<_, _>>().map(Some),
        Value::Object(_) => Ok(Some(vec![message(value, column)?])),
        Value::String(text) => {
            let listed = text.trim_start().starts_with('[').then(|| serde_json::from_str::<Vec<Value>>(text).ok());
            match listed.flatten() {
                Some(items) if items.iter().all(Value::is_object) => messages(&Value::Array(items), column),
                _ => Ok(marked(text)),
            }
        }
        other => Err(format!("`{column}` is {} instead of messages", kind_of(other))),
    }
}

/// `{role, content}` or ShareGPT's `{from, value}`.
fn message(value: &Value, column: &str) -> Result<Message, Unreadable> {
    let text = |names: [&str; 2]| names.into_iter().find_map(|name| value.get(name)?.as_str());
    let (Some(role), Some(content)) = (text(["role", "from"]), text(["content", "value"])) else {
        return Err(format!("a message in `{column}` lacks `role` and `content` (or `from` and `value`)"));
    };
    let known = match role.to_ascii_lowercase().as_str() {
        "system" | "developer" => Role::System,
        "user" | "human" | "prompter" => Role::User,
        "assistant" | "gpt" | "bot" | "model" | "chatgpt" => Role::Assistant,
        "tool" | "function" | "function_call" | "function_response" | "observation" | "ipython" => Role::Tool,
        _ => return Err(format!("a message in `{column}` has the unknown role `{role}`")),
    };
    Ok(Message { role: known, content: content.to_owned() })
}

/// A conversation with marks of the speakers; none where the text does not begin with one.
fn marked(text: &str) -> Option<Vec<Message>> {
    // The place of the next mark, where the message begins, and whose it is.
    let next = |from: usize| {
        let found = MARKS.iter().filter_map(|(mark, role)| {
            let at = from + text[from..].find(mark)?;
            Some((at, at + mark.len(), *role))
        });
        found.min_by_key(|(at, _, _)| *at)
    };
    let (start, mut from, mut role) = next(0)?;
    if !text[..start].trim().is_empty() {
        return None;
    }
    let mut messages = Vec::new();
    loop {
        let following = next(from);
        let end = following.map_or(text.len(), |(at, _, _)| at);
        messages.push(Message { role, content: text[from..end].trim().to_owned() });
        match following {
            Some((_, begin, speaker)) => (from, role) = (begin, speaker),
            None => return Some(messages),
        }
    }
}

/// What comes before an answer: a text of the user, perhaps with a passage after it, or messages.
fn question(fields: &Map<String, Value>, column: &str, context: Option<&str>) -> Result<Vec<Message>, Unreadable> {
    let found = value(fields, column)?;
    if let Some(messages) = messages(found, column)? {
        return Ok(messages);
    }
    let mut content = string(fields, column)?;
    if let Some(Value::String(context)) = context.and_then(|context| fields.get(context))
        && !context.trim().is_empty()
    {
        content.push_str("\n\n");
        content.push_str(context);
    }
    Ok(vec![Message { role: Role::User, content }])
}

/// What the assistant says: a text, or messages.
fn answer(fields: &Map<String, Value>, column: &str) -> Result<Vec<Message>, Unreadable> {
    match messages(value(fields, column)?, column)? {
        Some(messages) => Ok(messages),
        None => Ok(vec![Message { role: Role::Assistant, content: string(fields, column)? }]),
    }
}

fn pair(fields: &Map<String, Value>, prompt: Option<&str>, chosen: &str, rejected: &str) -> Result<Record, Unreadable> {
    let mut better = answer(fields, chosen)?;
    let mut worse = answer(fields, rejected)?;
    let prompt = match prompt {
        Some(prompt) => {
            let prompt = question(fields, prompt, None)?;
            // Some data sets repeat the prompt in both.
            for messages in [&mut better, &mut worse] {
                if messages.starts_with(&prompt) {
                    messages.drain(..prompt.len());
                }
            }
            prompt
        }
        None => {
            let shared = better.iter().zip(&worse).take_while(|(one, other)| one == other).count();
            if shared == 0 {
                return Err(format!(
                    "`{chosen}` and `{rejected}` do not begin with the same message, and there is no prompt"
                ));
            }
            worse.drain(..shared);
            better.drain(..shared).collect()
        }
    };
    if better.is_empty() || worse.is_empty() || better == worse {
        return Err(format!("`{chosen}` and `{rejected}` give no choice"));
    }
    Ok(Record::Preference { prompt, chosen: better, rejected: worse })
}

#[cfg(test)]
mod tests {
    use llmc_compiler::plan::{Columns, ContentType};
    use serde_json::json;

    use super::*;

    /// The record's texts with their parts.
    fn read(content: ContentType, value: Value) -> Result<Vec<String>, String> {
        let Value::Object(fields) = value else { panic!("a record") };
        let names: Vec<String> = fields.keys().cloned().collect();
        let layout = Layout::find(content, &Columns::default(), "text", &names).map_err(|missing| missing.role)?;
        let record = Record::read(&layout, &fields)?;
        Ok(record.texts().iter().map(|(part, text)| format!("{part}: {text}")).collect())
    }

    #[test]
    fn conversations_of_every_usual_shape_are_read() {
        let expected = ["user: Hi", "assistant: Hello"];
        for value in [
            json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}),
            json!({"id": 3, "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}),
            json!({"instruction": "Hi", "input": "", "output": "Hello"}),
            json!({"prompt": "Hi", "response": "Hello"}),
            json!({"question": "Hi", "answer": "Hello"}),
            json!({"messages": "[{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"bot\", \"content\": \"Hello\"}]"}),
        ] {
            assert_eq!(read(ContentType::Dialogue, value).unwrap(), expected);
        }
        let with_input = json!({"instruction": "Add", "input": "1 2", "output": "3"});
        assert_eq!(read(ContentType::Dialogue, with_input).unwrap(), ["user: Add\n\n1 2", "assistant: 3"]);
        for (value, reason) in [
            (json!({"messages": [{"role": "user", "content": "Hi"}]}), "no message of the assistant"),
            (json!({"messages": [{"role": "nobody", "content": "Hi"}]}), "unknown role `nobody`"),
            (json!({"messages": []}), "no message"),
            (json!({"messages": 3}), "a number"),
            (json!({"prompt": "Hi", "response": " "}), "`response` is empty"),
            (json!({"text": "Hi"}), "messages"),
        ] {
            let found = read(ContentType::Dialogue, value).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
    }

    #[test]
    fn preferences_have_a_prompt_or_share_their_start() {
        let expected = ["prompt user: Q", "chosen assistant: good", "rejected assistant: bad"];
        let list = |answer: &str| json!([{"role": "user", "content": "Q"}, {"role": "assistant", "content": answer}]);
        for value in [
            json!({"prompt": "Q", "chosen": "good", "rejected": "bad"}),
            json!({"prompt": [{"role": "user", "content": "Q"}], "chosen": {"from": "gpt", "value": "good"}, "rejected": "bad"}),
            json!({"prompt": "Q", "chosen": list("good"), "rejected": list("bad")}),
            json!({"chosen": list("good"), "rejected": list("bad")}),
            json!({"chosen": "\n\nHuman: Q\n\nAssistant: good", "rejected": "\n\nHuman: Q\n\nAssistant: bad"}),
        ] {
            assert_eq!(read(ContentType::Preference, value).unwrap(), expected);
        }
        for (value, reason) in [
            (json!({"chosen": "good", "rejected": "bad"}), "do not begin with the same message"),
            (json!({"prompt": "Q", "chosen": "same", "rejected": "same"}), "no choice"),
            (json!({"chosen": list("same"), "rejected": list("same")}), "no choice"),
        ] {
            let found = read(ContentType::Preference, value).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
    }

    #[test]
    fn prompts_and_scores_are_read() {
        let dialogue = json!({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]});
        assert_eq!(read(ContentType::Prompts, dialogue).unwrap(), ["user: Q"]);
        assert_eq!(read(ContentType::Prompts, json!({"prompt": "Q"})).unwrap(), ["user: Q"]);
        assert_eq!(read(ContentType::Scored, json!({"text": "T", "score": "0.5"})).unwrap(), ["text: T"]);
        let answered = json!({"prompt": "Q", "response": "T", "label": true});
        assert_eq!(read(ContentType::Scored, answered).unwrap(), ["prompt user: Q", "text: T"]);
        assert!(read(ContentType::Scored, json!({"text": "T", "score": "x"})).unwrap_err().contains("no number"));
    }

    #[test]
    fn texts_can_be_replaced() {
        let message = |role, content: &str| Message { role, content: content.to_owned() };
        let mut record = Record::Preference {
            prompt: vec![message(Role::System, "a"), message(Role::User, "b")],
            chosen: vec![message(Role::Assistant, "c")],
            rejected: vec![message(Role::Assistant, "d")],
        };
        assert_eq!(record.joined(), "a\n\nb\n\nc\n\nd");
        record.replace(["1", "2", "3", "4"].map(str::to_owned).to_vec());
        assert_eq!(record.joined(), "1\n\n2\n\n3\n\n4");
        let mut scored = Record::Scored { prompt: vec![message(Role::User, "q")], text: "t".to_owned(), score: 1.0 };
        scored.replace(vec!["Q".to_owned(), "T".to_owned()]);
        assert_eq!(scored.joined(), "Q\n\nT");
    }
}
