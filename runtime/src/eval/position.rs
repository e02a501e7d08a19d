//! Loss by position: how much each further token of context helps, and where a model is lost.

use std::fmt::Write;

use llmc_compiler::lower::Reading;
use llmc_grammar::codes::DEVICE;
use serde::Serialize;

use super::{HeldOut, Rows, colour, mean};
use crate::checkpoint::model::TrainedModel;
use crate::failure::Failure;
use crate::report::plot::{Axis, BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw_axes, escape, heading, polyline};
use crate::score::{Row, RowScorer};
use crate::train::machine::Machine;

/// Buckets of positions, at most.
const BUCKETS: usize = 32;

/// Held-out loss by position, of several models on the same text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByPosition {
    /// Tokens of a row.
    pub length: usize,
    /// One result for each model.
    pub models: Vec<ModelByPosition>,
}

/// Of one model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelByPosition {
    /// Where it lies.
    pub model: String,
    /// Positions that its config speaks of.
    pub context: u64,
    /// Rows that were looked at.
    pub rows: usize,
    /// Whether each lies within one document.
    pub within_documents: bool,
    /// Mean loss of all positions, in nats per token.
    pub loss: Option<f64>,
    /// Mean loss of the positions that all models have by their configs: what is forgotten shows here.
    pub short: Option<f64>,
    /// Mean loss behind them.
    pub long: Option<f64>,
    /// By position.
    pub buckets: Vec<Bucket>,
}

/// Neighbouring positions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bucket {
    /// Tokens before the predicted one: at least so many,
    pub from: usize,
    /// and fewer than so many.
    pub to: usize,
    /// Mean loss in nats per token; none where the model has no such positions.
    pub loss: Option<f64>,
}

impl ByPosition {
    /// Scores rows of `length` tokens, at most `rows` for each model.
    ///
    /// # Errors
    /// If a model does not predict the next token, there is too little text, or the machine has not the memory.
    pub fn measure(
        models: &[TrainedModel],
        text: &HeldOut,
        length: usize,
        rows: usize,
        machine: &Machine,
    ) -> Result<ByPosition, Failure> {
        let shortest = models.iter().map(|model| model.context() as usize).min().unwrap_or(length);
        let models = models.iter().map(|model| {
            let losses = Losses::of(model, text.documents(model)?.rows(length, rows)?, machine)?;
            Ok(losses.result(model, length, shortest))
        });
        Ok(ByPosition { length, models: models.collect::<Result<_, Failure>>()? })
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let shortest = self.models.iter().map(|model| model.context).min().unwrap_or(0);
        let number = |loss: Option<f64>| loss.map_or("-".to_owned(), |loss| format!("{loss:.4}"));
        let width = self.models.iter().map(|model| model.model.chars().count()).max().unwrap_or(0).max(5);
        let mut text = format!(
            "  {:width$}  {:>8}  {:>8}  {:>12}  {:>12}\n",
            "model",
            "context",
            "all",
            format!("before {shortest}"),
            format!("from {shortest}")
        );
        for model in &self.models {
            let _ = writeln!(
                text,
                "  {:width$}  {:>8}  {:>8}  {:>12}  {:>12}",
                model.model,
                model.context,
                number(model.loss),
                number(model.short),
                number(model.long)
            );
        }
        if self.models.iter().any(|model| !model.within_documents) {
            text.push_str("  No document is as long as a row: several stand in each.\n");
        }
        text
    }

    /// The drawing: a line for each model, and where its context ends.
    pub fn draw(&self) -> String {
        let losses = || self.models.iter().flat_map(|model| &model.buckets).filter_map(|bucket| bucket.loss);
        let (low, high) = losses()
            .filter(|loss| loss.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), loss| (low.min(loss), high.max(loss)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let room = ((high - low) * 0.06).max(0.05);
        let x = Axis { low: 0.0, high: self.length as f64, from: LEFT, to: WIDTH - RIGHT };
        let y = Axis { low: (low - room).max(0.0), high: high + room, from: HEIGHT - BOTTOM, to: TOP };
        let mut svg = heading("", "Held-out loss by position");
        draw_axes(&mut svg, &x, &y, "tokens before the predicted one", "loss (nats per token)");
        let mut at = LEFT;
        for (index, model) in self.models.iter().enumerate() {
            let colour = colour(index);
            if (model.context as f64) < x.high {
                let end = x.at(model.context as f64);
                let _ = writeln!(
                    svg,
                    "<line x1=\"{end:.1}\" x2=\"{end:.1}\" y1=\"{TOP}\" y2=\"{}\" stroke=\"{colour}\" stroke-opacity=\"0.6\" stroke-dasharray=\"4 4\"/>",
                    HEIGHT - BOTTOM
                );
            }
            let points: Vec<(f64, f64)> = model
                .buckets
                .iter()
                .filter_map(|bucket| {
                    Some(((bucket.from + bucket.to - 1) as f64 / 2.0, bucket.loss.filter(|loss| loss.is_finite())?))
                })
                .collect();
            polyline(&mut svg, &x, &y, &points, &format!("stroke=\"{colour}\" stroke-width=\"2\""));
            let name = format!("{} ({})", model.model, model.context);
            let _ = writeln!(
                svg,
                "<g transform=\"translate({at:.0} 48)\"><line x2=\"20\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"28\" y=\"4\">{}</text></g>",
                escape(&name)
            );
            at += 44.0 + 7.0 * name.chars().count() as f64;
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// The losses of a model's rows: element `p` of a row is the token after `p + 1` others.
struct Losses {
    rows: Vec<Vec<f32>>,
    within_documents: bool,
}

impl Losses {
    fn of(model: &TrainedModel, rows: Rows, machine: &Machine) -> Result<Losses, Failure> {
        predicts_the_next(model)?;
        let most = model.positions().map_or(usize::MAX, |positions| positions as usize);
        let row = |ids: &Vec<u32>| {
            let tokens: Vec<u32> = ids.iter().copied().take(most).collect();
            Row { targets: tokens.iter().skip(1).copied().map(Some).collect(), tokens, ..Row::default() }
        };
        let given: Vec<Row> = rows.rows.iter().map(row).collect();
        let mut scorer = RowScorer::new(model, given.iter().map(|row| (row.tokens.len(), 0)), false, machine)?;
        let scores = scorer.score(&given)?;
        Ok(Losses {
            rows: scores.into_iter().map(|score| score.losses).collect(),
            within_documents: rows.within_documents,
        })
    }

    /// The mean loss of tokens with at least `from` and fewer than `to` others before them.
    fn between(&self, from: usize, to: usize) -> Option<f64> {
        let places = from.saturating_sub(1)..to.saturating_sub(1);
        mean(
            self.rows
                .iter()
                .flat_map(|row| row.iter().take(places.end).skip(places.start))
                .map(|&loss| f64::from(loss)),
        )
    }

    fn result(&self, model: &TrainedModel, length: usize, shortest: usize) -> ModelByPosition {
        let width = length.div_ceil(BUCKETS).max(1);
        let starts = (0..length).step_by(width);
        let bucket = |start: usize| {
            let (from, to) = (start.max(1), (start + width).min(length));
            Bucket { from, to, loss: self.between(from, to) }
        };
        ModelByPosition {
            model: model.directory.display().to_string(),
            context: model.context(),
            rows: self.rows.len(),
            within_documents: self.within_documents,
            loss: self.between(1, length),
            short: self.between(1, shortest.min(length)),
            long: self.between(shortest.min(length), length),
            buckets: starts.map(bucket).filter(|bucket| bucket.from < bucket.to).collect(),
        }
    }
}

/// Whether the logits of a model are about the next token.
pub(super) fn predicts_the_next(model: &TrainedModel) -> Result<(), Failure> {
    match Reading::of(&model.stage) {
        Reading::Forward => Ok(()),
        _ => Err(Failure::new(
            DEVICE,
            format!(
                "`{}` does not predict each token from those before it: it has no loss by position",
                model.stage.model.name
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_the_tokens_before() {
        let losses = Losses { rows: vec![vec![1.0, 2.0, 3.0], vec![3.0, 4.0]], within_documents: true };
        assert_eq!(losses.between(1, 2), Some(2.0));
        assert_eq!(losses.between(2, 4), Some(3.0));
        assert_eq!(losses.between(4, 9), None);
    }

    #[test]
    fn a_drawing_without_numbers_is_a_drawing() {
        let model = ModelByPosition {
            model: "a<b".to_owned(),
            context: 4,
            rows: 1,
            within_documents: false,
            loss: None,
            short: None,
            long: Some(f64::NAN),
            buckets: vec![Bucket { from: 1, to: 4, loss: Some(f64::NAN) }, Bucket { from: 4, to: 8, loss: None }],
        };
        let drawn = ByPosition { length: 8, models: vec![model] }.draw();
        assert!(drawn.contains("a&lt;b (4)") && !drawn.contains("NaN"), "{drawn}");
    }
}
