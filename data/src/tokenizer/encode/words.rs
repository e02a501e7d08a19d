//! From text to words: the `pre_tokenizer` of a `tokenizer.json`.

use serde_json::Value;

use super::pattern::{GPT2, Pattern};

/// What a tokenizer does before it merges bytes.
#[derive(Debug)]
pub struct WordSplitter {
    steps: Vec<Step>,
}

/// Each step cuts the words of the one before.
#[derive(Debug)]
enum Step {
    /// Numbers apart from other text, each digit alone or as many as follow one another.
    Digits { one_by_one: bool },
    /// By a pattern; text that does not fit it may be dropped.
    Pattern { pattern: Box<Pattern>, drops_rest: bool },
}

impl WordSplitter {
    /// GPT-2's splitter.
    pub fn gpt2() -> Option<WordSplitter> {
        Some(WordSplitter { steps: vec![Step::Pattern { pattern: Box::new(Pattern::new(GPT2)?), drops_rest: false }] })
    }

    /// The steps of a `pre_tokenizer` that ends by writing bytes in GPT-2's alphabet. None where it has a step
    /// that is not known here.
    pub fn of(pre_tokenizer: &Value) -> Option<WordSplitter> {
        let one = std::slice::from_ref(pre_tokenizer);
        let written = pre_tokenizer["pretokenizers"].as_array().map_or(one, Vec::as_slice);
        let (last, before) = written.split_last()?;
        if last["type"] != "ByteLevel" || last["add_prefix_space"] != false {
            return None;
        }
        let mut steps = before.iter().map(step).collect::<Option<Vec<Step>>>()?;
        if last.get("use_regex").is_none_or(|regex| *regex == true) {
            steps.extend(WordSplitter::gpt2()?.steps);
        }
        Some(WordSplitter { steps })
    }

    /// Hands each word to `found`, in order.
    pub fn split<'t>(&self, text: &'t str, found: &mut dyn FnMut(&'t str)) {
        through(&self.steps, text, found);
    }
}

fn step(written: &Value) -> Option<Step> {
    match written["type"].as_str()? {
        "Digits" => Some(Step::Digits { one_by_one: written["individual_digits"].as_bool()? }),
        "Split" => {
            let drops_rest = match (written["behavior"].as_str()?, written["invert"].as_bool()?) {
                ("Isolated", false) => false,
                ("Removed", true) => true,
                _ => return None,
            };
            let pattern = Pattern::new(written["pattern"]["Regex"].as_str()?)?;
            Some(Step::Pattern { pattern: Box::new(pattern), drops_rest })
        }
        _ => None,
    }
}

fn through<'t>(steps: &[Step], text: &'t str, found: &mut dyn FnMut(&'t str)) {
    match steps.split_first() {
        None if text.is_empty() => {}
        None => found(text),
        Some((Step::Digits { one_by_one }, rest)) => split_digits(text, *one_by_one, |word| through(rest, word, found)),
        Some((Step::Pattern { pattern, drops_rest }, rest)) => pattern.split(text, |word, fits| {
            if fits || !drops_rest {
                through(rest, word, found);
            }
        }),
    }
}

fn split_digits<'t>(text: &'t str, one_by_one: bool, mut found: impl FnMut(&'t str)) {
    let mut start = 0;
    let mut in_digits = false;
    for (place, character) in text.char_indices() {
        let digit = character.is_numeric();
        if place > start && (digit != in_digits || (digit && one_by_one)) {
            found(&text[start..place]);
            start = place;
        }
        in_digits = digit;
    }
    if start < text.len() {
        found(&text[start..]);
    }
}
