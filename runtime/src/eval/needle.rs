//! A needle in a haystack: a fact is put somewhere into held-out text, and asked for at its end (Kamradt 2023).

use std::fmt::Write;

use llmc_compiler::random::{Stream, stream_of};
use llmc_grammar::codes::TOO_LONG;
use serde::Serialize;

use super::{HeldOut, mean};
use crate::checkpoint::model::TrainedModel;
use crate::failure::Failure;
use crate::report::plot::{HEIGHT, LEFT, RIGHT, TOP, WIDTH, escape, heading};
use crate::score::{Row, RowScore, RowScorer};
use crate::train::machine::Machine;

/// What is asked, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Needles {
    /// The fact, `{}` standing for the answer.
    pub fact: String,
    /// The question, which the answer follows.
    pub question: String,
    /// Answers that are taken in turn; where there are none, numbers of four digits are drawn.
    pub answers: Vec<String>,
    /// Tokens of whole rows, question and answer included.
    pub lengths: Vec<usize>,
    /// Places of the fact as shares of the text before the question.
    pub depths: Vec<f64>,
    /// Answers and texts for each length and depth.
    pub trials: usize,
    /// Key of the answers.
    pub seed: u64,
}

/// What several models find.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// The fact.
    pub fact: String,
    /// The question.
    pub question: String,
    /// The answer of each trial.
    pub answers: Vec<String>,
    /// One result for each model.
    pub models: Vec<ModelFound>,
}

/// What a model finds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelFound {
    /// Where it lies.
    pub model: String,
    /// Positions that its config speaks of.
    pub context: u64,
    /// By length and depth; lengths that the model has no positions for are left out.
    pub cells: Vec<Cell>,
}

/// The trials of one length and depth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cell {
    /// Tokens of a row.
    pub length: usize,
    /// Place of the fact, as a share of the text before the question.
    pub depth: f64,
    /// Mean log-probability of the answer's tokens after the question, in nats per token.
    pub logprob: f64,
    /// The same where the text holds no fact: what the model guesses.
    pub without: f64,
    /// Share of the answers all of whose tokens are the most likely ones.
    pub exact: f64,
}

/// One row with what it is for.
struct Trial {
    length: usize,
    /// Index of the depth; none without the fact.
    depth: Option<usize>,
    row: Row,
}

impl Needles {
    /// Asks every model.
    ///
    /// # Errors
    /// If a model has no tokenizer or does not predict the next token, a length is too short, or there is too little text.
    pub fn look(&self, models: &[TrainedModel], text: &HeldOut, machine: &Machine) -> Result<Found, Failure> {
        let found = models.iter().map(|model| self.look_with(model, text, machine));
        let models = found.collect::<Result<_, Failure>>()?;
        let answers = (0..self.trials).map(|number| self.answer(number)).collect();
        Ok(Found { fact: self.fact.clone(), question: self.question.clone(), answers, models })
    }

    fn look_with(&self, model: &TrainedModel, text: &HeldOut, machine: &Machine) -> Result<ModelFound, Failure> {
        super::position::predicts_the_next(model)?;
        let positions = model.positions().map_or(usize::MAX, |positions| positions as usize);
        let documents = text.documents(model)?;
        let mut trials = Vec::new();
        for &length in self.lengths.iter().filter(|length| **length <= positions) {
            let hay = documents.rows(length, self.trials)?.rows;
            for number in 0..self.trials {
                self.add_trials(model, length, number, &hay[number % hay.len()], &mut trials)?;
            }
        }
        let lengths = trials.iter().map(|trial| (trial.row.tokens.len(), 0));
        let mut scorer = RowScorer::new(model, lengths, true, machine)?;
        let rows: Vec<Row> = trials.iter().map(|trial| trial.row.clone()).collect();
        let scores = scorer.score(&rows)?;
        let of = |length: usize, depth: Option<usize>| {
            let wanted = move |(trial, _): &(&Trial, &RowScore)| trial.length == length && trial.depth == depth;
            let found = trials.iter().zip(&scores).filter(wanted).map(|(_, score)| score);
            let logprob = |score: &RowScore| -mean(score.losses.iter().map(|&loss| f64::from(loss))).unwrap_or(0.0);
            let exact = |score: &RowScore| f64::from(u8::from(score.hits.iter().all(|hit| *hit)));
            (mean(found.clone().map(logprob)), mean(found.map(exact)))
        };
        let mut cells = Vec::new();
        for &length in &self.lengths {
            for (index, &depth) in self.depths.iter().enumerate() {
                if let ((Some(logprob), Some(exact)), (Some(without), _)) = (of(length, Some(index)), of(length, None))
                {
                    cells.push(Cell { length, depth, logprob, without, exact });
                }
            }
        }
        Ok(ModelFound { model: model.directory.display().to_string(), context: model.context(), cells })
    }

    /// The rows of one answer: with the fact at each depth, and without.
    fn add_trials(
        &self,
        model: &TrainedModel,
        length: usize,
        number: usize,
        hay: &[u32],
        trials: &mut Vec<Trial>,
    ) -> Result<(), Failure> {
        let tokenizer = model.text_tokenizer()?;
        let answer = self.answer(number);
        let fact = tokenizer.encode_document(&format!(" {} ", self.fact.replace("{}", &answer)))?;
        let question = tokenizer.encode_document(&format!("\n{}", self.question))?;
        let answer = tokenizer.encode_document(&format!(" {answer}"))?;
        // Texts of models that are used to it begin with the token for that.
        let begin: Vec<u32> = tokenizer.encode("")?.into_iter().filter(|id| Some(*id) == model.begin_of_text).collect();
        let needed = begin.len() + fact.len() + question.len() + answer.len();
        let Some(room) = length.checked_sub(needed).filter(|room| *room > 0) else {
            return Err(Failure::with_help(
                TOO_LONG,
                format!("fact, question and answer have {needed} tokens, and a row has {length}"),
                "take longer rows with `--lengths`, or a shorter `--fact`",
            ));
        };
        let depths = self.depths.iter().enumerate().map(|(index, &depth)| (Some(index), depth));
        for (depth, share) in depths.chain([(None, 0.0)]) {
            let fact = if depth.is_some() { fact.as_slice() } else { &[] };
            let hay =
                &hay[..room + if depth.is_some() { 0 } else { needed - begin.len() - question.len() - answer.len() }];
            let place = (share * hay.len() as f64).round() as usize;
            let tokens = [&begin, &hay[..place], fact, &hay[place..], &question, &answer].concat();
            let mut targets = vec![None; tokens.len()];
            for (slot, &id) in targets[tokens.len() - answer.len() - 1..].iter_mut().zip(&answer) {
                *slot = Some(id);
            }
            trials.push(Trial { length, depth, row: Row { tokens, targets, ..Row::default() } });
        }
        Ok(())
    }

    /// The answer of a trial.
    fn answer(&self, trial: usize) -> String {
        if let Some(given) = trial.checked_rem(self.answers.len()) {
            return self.answers[given].clone();
        }
        let drawn = Stream::new(self.seed, stream_of("needle")).uniform(trial as u64);
        (1000 + (drawn * 9000.0) as u64).to_string()
    }
}

impl Found {
    /// The table for people: log-probability for each length and depth, and what the model guesses without the fact.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for model in &self.models {
            let _ = writeln!(text, "{} (context {})", model.model, model.context);
            let _ =
                writeln!(text, "  {:>8}  {:>6}  {:>8}  {:>8}  {:>6}", "tokens", "depth", "logprob", "without", "exact");
            for cell in &model.cells {
                let _ = writeln!(
                    text,
                    "  {:>8}  {:>5.0}%  {:>8.3}  {:>8.3}  {:>5.0}%",
                    cell.length,
                    cell.depth * 100.0,
                    cell.logprob,
                    cell.without,
                    cell.exact * 100.0
                );
            }
        }
        text
    }

    /// The heat map: a panel for each model, a column for each length, a row for each depth. A cell says what the fact adds to the
    /// log-probability of each token of the answer, and the share of exact answers; it is full where the answer became certain,
    /// empty where the fact adds nothing, and red where it does harm.
    pub fn draw(&self) -> String {
        let mut svg = heading("", "Needle in a haystack: nats per token that the fact adds, exact answers");
        let panel = (WIDTH - LEFT - RIGHT) / self.models.len().max(1) as f64;
        for (index, model) in self.models.iter().enumerate() {
            model.draw(&mut svg, LEFT + panel * index as f64, panel - 16.0);
        }
        let _ = writeln!(
            svg,
            "<text transform=\"translate(20 {:.1}) rotate(-90)\" text-anchor=\"middle\">place of the fact in the text</text>\n</svg>",
            (TOP + HEIGHT) / 2.0
        );
        svg
    }
}

impl ModelFound {
    fn draw(&self, svg: &mut String, left: f64, width: f64) {
        let mut lengths: Vec<usize> = self.cells.iter().map(|cell| cell.length).collect();
        lengths.dedup();
        let mut depths: Vec<f64> = self.cells.iter().map(|cell| cell.depth).collect();
        depths.sort_by(f64::total_cmp);
        depths.dedup();
        let (across, down) = (width / lengths.len().max(1) as f64, (HEIGHT - TOP - 66.0) / depths.len().max(1) as f64);
        let name = escape(&self.model);
        let _ = writeln!(
            svg,
            "<text x=\"{left:.1}\" y=\"{:.1}\" font-weight=\"600\">{name} ({})</text>",
            TOP - 8.0,
            self.context
        );
        for cell in &self.cells {
            let column = lengths.iter().position(|length| *length == cell.length).unwrap_or(0) as f64;
            let row = depths.iter().position(|depth| *depth == cell.depth).unwrap_or(0) as f64;
            let (x, y) = (left + across * column, TOP + down * row);
            let gain = cell.logprob - cell.without;
            // Of what was missing to a certain answer.
            let share = (gain / (-cell.without).max(1e-6)).clamp(-1.0, 1.0);
            let (fill, ink) =
                (if gain < 0.0 { "#d55e00" } else { "#0072b2" }, if share > 0.5 { "#ffffff" } else { "#334155" });
            let strength = share.abs();
            let _ = writeln!(
                svg,
                "<g><title>{} tokens, fact at {:.0}%: log-probability {:.3} a token, {:.3} without the fact, exact {:.0}%</title>\
                 <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\" fill-opacity=\"{strength:.3}\" stroke=\"#e2e8f0\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{ink}\">{gain:+.2} / {:.0}%</text></g>",
                cell.length,
                cell.depth * 100.0,
                cell.logprob,
                cell.without,
                cell.exact * 100.0,
                across,
                down,
                x + across / 2.0,
                y + down / 2.0 + 4.0,
                cell.exact * 100.0
            );
        }
        for (column, length) in lengths.iter().enumerate() {
            let x = left + across * (column as f64 + 0.5);
            let guess = self.cells.iter().find(|cell| cell.length == *length).map_or(0.0, |cell| cell.without);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{length} tokens</text>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#64748b\">without: {guess:.2}</text>",
                HEIGHT - 44.0,
                HEIGHT - 24.0
            );
        }
        // Every panel has the same rows: the first names them.
        for (row, depth) in depths.iter().enumerate().filter(|_| left <= LEFT) {
            let y = TOP + down * (row as f64 + 0.5) + 4.0;
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{:.0}%</text>",
                left - 6.0,
                depth * 100.0
            );
        }
    }
}
