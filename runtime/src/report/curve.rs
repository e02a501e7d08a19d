//! `loss.svg`: the loss over the steps, drawn by hand so that it reads well anywhere.

use std::fmt::Write;

use super::metrics::StepMetrics;

/// Size of the drawing and its margins, in SVG user units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 540.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 58.0;
/// Points of the training curve at most: more cannot be told apart.
const POINTS: usize = 1200;

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

/// A range of values on an axis and the pixels that it fills.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers, about `wanted` of them, inside the range.
    fn ticks(&self, wanted: f64) -> Vec<f64> {
        let step = nice_step((self.high - self.low) / wanted);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|index| index as f64 * step).collect()
    }
}

/// 1, 2 or 5 times a power of ten, at least `raw`.
fn nice_step(raw: f64) -> f64 {
    let magnitude = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * magnitude >= raw * 0.999);
    factor.unwrap_or(10.0) * magnitude
}

impl Curve<'_> {
    /// The whole SVG document. Deterministic; works without steps.
    pub fn draw(&self) -> String {
        let (x, y) = self.axes();
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" font-size=\"13\" fill=\"#334155\">\n\
             <title>Loss of {title}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"28\" font-size=\"18\" font-weight=\"600\" fill=\"#0f172a\">{title}</text>",
            title = escape(self.title),
        );
        draw_axes(&mut svg, &x, &y);
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

fn draw_axes(svg: &mut String, x: &Axis, y: &Axis) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for value in y.ticks(6.0) {
        let at = y.at(value);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e2e8f0\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.5,
            label(value)
        );
    }
    for value in x.ticks(8.0).into_iter().filter(|value| value.fract() == 0.0) {
        let at = x.at(value);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom}\" y2=\"{}\" stroke=\"#94a3b8\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 5.0,
            bottom + 21.0,
            label(value)
        );
    }
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\" stroke=\"#94a3b8\"/>\n\
         <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">step</text>\n\
         <text transform=\"translate(20 {:.1}) rotate(-90)\" text-anchor=\"middle\">loss (nats per token)</text>",
        (LEFT + right) / 2.0,
        HEIGHT - 14.0,
        (TOP + bottom) / 2.0
    );
}

/// A tick's value without needless zeros.
fn label(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
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

fn polyline(svg: &mut String, x: &Axis, y: &Axis, points: &[(f64, f64)], style: &str) {
    if points.len() < 2 {
        return;
    }
    let stride = points.len().div_ceil(POINTS);
    let last = points.len() - 1;
    let text: Vec<String> = points
        .iter()
        .enumerate()
        .filter(|(index, _)| index % stride == 0 || *index == last)
        .map(|(_, &(step, loss))| format!("{:.1},{:.1}", x.at(step), y.at(loss)))
        .collect();
    let _ = writeln!(svg, "<polyline fill=\"none\" stroke-linejoin=\"round\" {style} points=\"{}\"/>", text.join(" "));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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

    #[test]
    fn ticks_are_round_numbers() {
        let axis = Axis { low: 0.0, high: 300.0, from: 0.0, to: 1.0 };
        assert_eq!(axis.ticks(8.0), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0]);
        assert_eq!([label(0.0), label(2.5), label(300.0)], ["0", "2.5", "300"]);
    }
}
