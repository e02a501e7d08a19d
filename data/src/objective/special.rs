//! The special tokens that objectives use, by their ids.

use llmc_compiler::plan::{Corruption, Masking, Objective, Sentinels, SpecialToken, StagePlan};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use crate::tokenizer::Tokenizer;

/// Ids of special tokens, and what is known of all ids.
#[derive(Debug, Clone, Default)]
pub struct Special {
    /// What stands in place of a hidden token.
    pub mask: i32,
    /// The sentinels of spans, in order.
    pub sentinels: Vec<i32>,
    /// What ends an encoder's input and a decoder's target.
    pub end: Option<i32>,
    /// For each id whether a word begins with it; empty where words are not asked for.
    pub begins_word: Vec<bool>,
    /// For each id whether it stands for no text; empty without a tokenizer.
    pub is_special: Vec<bool>,
}

impl Special {
    /// What the objective of a stage needs.
    ///
    /// # Errors
    /// A token that the tokenizer lacks, or an id outside the vocabulary.
    pub fn new(
        stage: &StagePlan,
        tokenizer: Option<&Tokenizer>,
        end_of_text: Option<u32>,
    ) -> Result<Special, Diagnostic> {
        let mut special = Special { end: end_of_text.map(|id| id as i32), ..Special::default() };
        if let Some(tokenizer) = tokenizer {
            special.is_special = vec![false; tokenizer.vocab_size() as usize];
            for token in tokenizer.special_tokens() {
                if let Some(id) = tokenizer.id(&token) {
                    special.is_special[id as usize] = true;
                }
            }
        }
        for part in stage.objective.kind.parts() {
            match part {
                Objective::MaskedLm(masking) => special.masking(masking, stage, tokenizer)?,
                Objective::SpanCorruption(corruption) => special.corruption(corruption, stage, tokenizer)?,
                _ => {}
            }
        }
        Ok(special)
    }

    fn masking(
        &mut self,
        masking: &Masking,
        stage: &StagePlan,
        tokenizer: Option<&Tokenizer>,
    ) -> Result<(), Diagnostic> {
        self.mask = id(&masking.mask, stage, tokenizer)?;
        if masking.whole_words {
            let tokenizer = tokenizer.ok_or_else(|| {
                Diagnostic::error(codes::OBJECTIVE_UNFIT, "token ids do not say where words begin")
                    .help("leave `whole_words` out, or train on text with a tokenizer")
            })?;
            self.begins_word = tokenizer.word_begins();
        }
        Ok(())
    }

    fn corruption(
        &mut self,
        corruption: &Corruption,
        stage: &StagePlan,
        tokenizer: Option<&Tokenizer>,
    ) -> Result<(), Diagnostic> {
        let spans = corruption.noise(corruption.tokens_for(stage.sequence_length)).1;
        let sentinels: Result<Vec<i32>, Diagnostic> = (0..spans)
            .map(|number| match &corruption.sentinels {
                Sentinels::Pattern(pattern) => {
                    let text = pattern.replace("{}", &number.to_string());
                    id(&SpecialToken::Text(text), stage, tokenizer).map_err(|mistake| {
                        let name = &stage.name;
                        mistake.help(format!(
                            "a row of stage `{name}` has up to {spans} spans, each with a sentinel of its own"
                        ))
                    })
                }
                Sentinels::From(first) => match first.checked_sub(number) {
                    Some(sentinel) => id(&SpecialToken::Id(sentinel), stage, tokenizer),
                    None => Err(Diagnostic::error(
                        codes::OBJECTIVE_UNFIT,
                        format!("{spans} sentinels do not fit below the id {first}"),
                    )),
                },
            })
            .collect();
        let sentinels = sentinels?;
        if sentinels.len() > self.sentinels.len() {
            self.sentinels = sentinels;
        }
        Ok(())
    }
}

/// The id of a token that stands for no text.
fn id(token: &SpecialToken, stage: &StagePlan, tokenizer: Option<&Tokenizer>) -> Result<i32, Diagnostic> {
    let (objective, vocab) = (stage.objective.kind.name(), stage.model.vocab);
    match (token, tokenizer) {
        (SpecialToken::Id(id), _) if *id < vocab => Ok(*id as i32),
        (SpecialToken::Id(id), _) => Err(Diagnostic::error(
            codes::OBJECTIVE_UNFIT,
            format!("`{objective}` uses the id {id}, but the model's vocabulary is 0..{vocab}"),
        )),
        (SpecialToken::Text(text), Some(tokenizer)) => tokenizer.id(text).map(|id| id as i32).ok_or_else(|| {
            Diagnostic::error(
                codes::OBJECTIVE_UNFIT,
                format!("`{objective}` needs the token `{text}`, which the tokenizer lacks"),
            )
            .help("name a token that it has, or train it with the token among its special ones")
        }),
        (SpecialToken::Text(text), None) => Err(Diagnostic::error(
            codes::OBJECTIVE_UNFIT,
            format!("`{objective}` needs the token `{text}`, but the data is token ids without a tokenizer"),
        )
        .help("name it by its id: `mask_id` or `first_sentinel`")),
    }
}
