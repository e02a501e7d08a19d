//! `loss.svg`: the loss over the steps, drawn by hand so that it reads well anywhere.

use std::fmt::Write;

use super::metrics::StepMetrics;
use super::plot::{Axis, BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw_axes, heading, polyline};

/// What the drawing shows.
#[derive(Debug, Clone)]
pub struct Curve<'a> {
    /// Its heading: recipe and stage.
    pub title: &'a str,
    /// The steps so far.
    pub steps: &'a [StepMetrics],
    /// Entropy of the unigram distribution of the same data, in nats per token.
    pub unigram: Option<f64>,
}

impl Curve<'_> {
    /// The whole SVG document. Deterministic; works without steps.
    pub fn draw(&self) -> String {
        let (x, y) = self.axes();
        let mut svg = heading("Loss of ", self.title);
        draw_axes(&mut svg, &x, &y, "step", "loss (nats per token)");
        self.draw_unigram(&mut svg, &y);
        self.draw_training(&mut svg, &x, &y);
        self.draw_heldout(&mut svg, &x, &y);
        self.draw_legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self) -> (Axis, Axis) {
        let last = self.steps.last().map_or(1, |line| line.step.max(1));
        let losses = || {
            let training = self.steps.iter().map(|line| line.loss);
            let heldout = self.steps.iter().filter_map(|line| line.heldout_loss);
            training.chain(heldout).chain(self.unigram).filter(|loss| loss.is_finite())
        };
        let low = losses().fold(f64::INFINITY, f64::min);
        let high = losses().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let room = ((high - low) * 0.06).max(0.05);
        let x = Axis { low: 0.0, high: last as f64, from: LEFT, to: WIDTH - RIGHT };
        let y = Axis { low: (low - room).max(0.0), high: high + room, from: HEIGHT - BOTTOM, to: TOP };
        (x, y)
    }

    fn draw_unigram(&self, svg: &mut String, y: &Axis) {
        let Some(entropy) = self.unigram else { return };
        let at = y.at(entropy);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#94a3b8\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\"/>",
            WIDTH - RIGHT
        );
    }

    fn draw_training(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let raw: Vec<(f64, f64)> =
            self.steps.iter().filter(|line| line.loss.is_finite()).map(|line| (line.step as f64, line.loss)).collect();
        polyline(svg, x, y, &raw, "stroke=\"#93c5fd\" stroke-width=\"1\" stroke-opacity=\"0.7\"");
        polyline(svg, x, y, &smooth(&raw), "stroke=\"#1d4ed8\" stroke-width=\"2.2\"");
    }

    fn draw_heldout(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let points: Vec<(f64, f64)> = self
            .steps
            .iter()
            .filter_map(|line| Some((line.step as f64, line.heldout_loss.filter(|loss| loss.is_finite())?)))
            .collect();
        polyline(svg, x, y, &points, "stroke=\"#ea580c\" stroke-width=\"1.5\" stroke-opacity=\"0.6\"");
        for (step, loss) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"#ea580c\" stroke=\"#ffffff\"><title>step {step}: held-out loss {loss:.4}</title></circle>",
                x.at(step),
                y.at(loss)
            );
        }
    }

    fn draw_legend(&self, svg: &mut String) {
        let last = self.steps.last();
        let heldout = self.steps.iter().rev().find_map(|line| line.heldout_loss);
        let mut at = LEFT;
        let mut entry = |mark: &str, text: String| {
            let _ =
                writeln!(svg, "<g transform=\"translate({at:.0} 48)\">{mark}<text x=\"28\" y=\"4\">{text}</text></g>");
            at += 44.0 + 7.0 * text.chars().count() as f64;
        };
        if let Some(last) = last {
            entry("<line x2=\"20\" stroke=\"#1d4ed8\" stroke-width=\"2.2\"/>", format!("training {:.3}", last.loss));
        }
        if let Some(loss) = heldout {
            entry("<circle cx=\"10\" r=\"4\" fill=\"#ea580c\"/>", format!("held out {loss:.3}"));
        }
        if let Some(entropy) = self.unigram {
            entry(
                "<line x2=\"20\" stroke=\"#94a3b8\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\"/>",
                format!("unigram entropy {entropy:.3}"),
            );
        }
    }
}

/// Centred running mean over about a fortieth of the run.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = points.len() / 80;
    let mut sums = vec![0.0];
    for (_, loss) in points {
        sums.push(sums[sums.len() - 1] + loss);
    }
    points
        .iter()
        .enumerate()
        .map(|(index, &(step, _))| {
            let (from, to) = (index.saturating_sub(half), (index + half + 1).min(points.len()));
            (step, (sums[to] - sums[from]) / (to - from) as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(count: u64) -> Vec<StepMetrics> {
        (1..=count)
            .map(|step| StepMetrics {
                auxiliary_loss: None,
                step,
                tokens: step * 64,
                loss: 2.0 + 4.0 / (step as f64).sqrt() + 0.1 * (step as f64).sin(),
                lr: 0.001,
                grad_norm: 0.5,
                loss_scale: None,
                skipped: false,
                tokens_per_s: 1e4,
                seconds: step as f64,
                heldout_loss: step.is_multiple_of(10).then_some(2.1 + 4.0 / (step as f64).sqrt()),
                bits_per_byte: None,
                heldout_parts: std::collections::BTreeMap::new(),
            })
            .collect()
    }

    #[test]
    fn a_short_run_is_drawn_as_before() {
        let steps = steps(40);
        let curve = Curve { title: "quickstart / pretrain", steps: &steps, unigram: Some(5.5) };
        insta::assert_snapshot!(curve.draw());
    }

    #[test]
    fn nothing_is_drawn_outside_and_nothing_is_not_a_number() {
        for count in [0, 1, 2, 5000] {
            let mut steps = steps(count);
            if let Some(last) = steps.last_mut() {
                last.loss = f64::NAN;
            }
            let svg = Curve { title: "a < b & c", steps: &steps, unigram: None }.draw();
            assert!(svg.contains("a &lt; b &amp; c"));
            assert!(!svg.contains("inf") && !svg.contains("points=\"NaN"), "{svg}");
            assert!(svg.len() < 100_000);
        }
    }
}
