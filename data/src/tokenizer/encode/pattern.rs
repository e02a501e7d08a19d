//! A pattern that cuts text into words, as one automaton.
//!
//! Tokenizers cut text by a regular expression whose alternatives are tried in order at each place. They end with
//! `\s+(?!\S)|\s+`: white space gives its last character to the word that follows. A finite automaton cannot look
//! ahead, so that part is not in it: a run of white space is found whole, and its last character handed back.

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;
use regex_automata::{Anchored, MatchKind};

/// GPT-2's pattern (Radford et al. 2019, `encoder.py`).
pub const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Largest automaton, in bytes; the patterns in use need a tenth.
const LARGEST: usize = 32 << 20;

/// How a pattern treats white space that no other alternative takes.
struct Tail {
    written: &'static str,
    /// What of it is left for the automaton, in order.
    alternatives: &'static [&'static str],
    /// Whether white space at the end of the text is one word.
    ends_whole: bool,
}

const TAILS: [Tail; 2] = [
    Tail { written: r"|\s+(?!\S)|\s+", alternatives: &[r"\s+"], ends_whole: false },
    Tail { written: r"|\s+\z|\s*[\r\n]|\s+(?!\S)|\s", alternatives: &[r"\s*[\r\n]", r"\s+"], ends_whole: true },
];

/// Finds words at the start of a text.
#[derive(Debug)]
pub struct Pattern {
    automaton: dense::DFA<Vec<u32>>,
    start: StateID,
    /// The alternative of the automaton that is white space as a whole.
    spaces: Option<usize>,
    ends_whole: bool,
}

impl Pattern {
    /// The automaton of a regular expression. None where it asks for more than an automaton can do: then it
    /// must be left to a matcher that backtracks.
    pub fn new(expression: &str) -> Option<Pattern> {
        let tail = TAILS.iter().find(|tail| expression.ends_with(tail.written));
        let words = tail.map_or(expression, |tail| &expression[..expression.len() - tail.written.len()]);
        let facts = syntax::parse(words).ok()?;
        let facts = facts.properties();
        if is_possessive(words) || !facts.look_set().is_empty() || facts.minimum_len().is_none_or(|length| length == 0)
        {
            return None;
        }
        let mut alternatives = vec![words];
        alternatives.extend(tail.iter().flat_map(|tail| tail.alternatives));
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .match_kind(MatchKind::LeftmostFirst)
            .dfa_size_limit(Some(LARGEST))
            .determinize_size_limit(Some(LARGEST));
        let automaton = dense::Builder::new().configure(config).build_many(&alternatives).ok()?;
        let start = automaton.universal_start_state(Anchored::Yes)?;
        let spaces = tail.map(|_| alternatives.len() - 1);
        Some(Pattern { automaton, start, spaces, ends_whole: tail.is_some_and(|tail| tail.ends_whole) })
    }

    /// Hands each word of `text` to `found` in order, with whether it fits the pattern or lies between such words.
    pub fn split<'t>(&self, text: &'t str, mut found: impl FnMut(&'t str, bool)) {
        let spaces_from = if self.ends_whole { text.trim_end().len() } else { text.len() };
        let (mut start, mut between) = (0, 0);
        while start < text.len() {
            let Some((mut end, alternative)) = self.longest(&text.as_bytes()[start..]) else {
                start += text[start..].chars().next().map_or(1, char::len_utf8);
                continue;
            };
            end += start;
            if alternative > 0 && start >= spaces_from {
                end = text.len();
            } else if self.spaces == Some(alternative) && end < text.len() {
                let last = text[start..end].chars().next_back().map_or(0, char::len_utf8);
                if end - last > start {
                    end -= last;
                }
            }
            if between < start {
                found(&text[between..start], false);
            }
            found(&text[start..end], true);
            (start, between) = (end, end);
        }
        if between < text.len() {
            found(&text[between..], false);
        }
    }

    /// The length of the word at the start of `text`, and its alternative.
    fn longest(&self, text: &[u8]) -> Option<(usize, usize)> {
        let automaton = &self.automaton;
        let mut state = self.start;
        let mut longest = None;
        // The automaton tells a match one byte late.
        for (length, &byte) in text.iter().enumerate() {
            state = automaton.next_state(state, byte);
            if automaton.is_special_state(state) {
                if automaton.is_match_state(state) {
                    longest = Some((length, automaton.match_pattern(state, 0).as_usize()));
                } else if automaton.is_dead_state(state) {
                    return longest;
                }
            }
        }
        state = automaton.next_eoi_state(state);
        if automaton.is_match_state(state) {
            longest = Some((text.len(), automaton.match_pattern(state, 0).as_usize()));
        }
        longest
    }
}

/// Whether a quantifier is followed by `+`, which some libraries take as "never give back" and others as a second
/// quantifier. `}+` may also follow a class such as `\p{L}`.
fn is_possessive(expression: &str) -> bool {
    let counted = (0..=9).any(|digit| expression.contains(&format!("{digit}}}+"))) || expression.contains(",}+");
    counted || ["++", "*+", "?+"].iter().any(|quantifier| expression.contains(quantifier))
}
