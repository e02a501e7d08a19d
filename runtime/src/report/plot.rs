//! What every drawing shares: its size, its axes and its lines, as SVG by hand so that it reads well anywhere.

use std::fmt::Write;

/// Width of a drawing, in SVG user units.
pub const WIDTH: f64 = 960.0;
/// Its height.
pub const HEIGHT: f64 = 540.0;
/// Its left margin.
pub const LEFT: f64 = 70.0;
/// Its right margin.
pub const RIGHT: f64 = 24.0;
/// Its margin above.
pub const TOP: f64 = 64.0;
/// Its margin below.
pub const BOTTOM: f64 = 58.0;
/// Points of a line at most: more cannot be told apart.
const POINTS: usize = 1200;

/// A range of values on an axis and the pixels that it fills.
pub struct Axis {
    /// The smallest value.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Where the smallest lies.
    pub from: f64,
    /// Where the largest lies.
    pub to: f64,
}

impl Axis {
    /// Where a value lies.
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers, about `wanted` of them, inside the range.
    pub fn ticks(&self, wanted: f64) -> Vec<f64> {
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

/// The beginning of a drawing called `title`; `of` stands before it in the document's own title.
pub fn heading(of: &str, title: &str) -> String {
    let title = escape(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" font-size=\"13\" fill=\"#334155\">\n\
         <title>{of}{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"18\" font-weight=\"600\" fill=\"#0f172a\">{title}</text>\n"
    )
}

/// Both axes with their ticks and names. Of `x` only whole numbers have ticks.
pub fn draw_axes(svg: &mut String, x: &Axis, y: &Axis, across: &str, up: &str) {
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
         <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{across}</text>\n\
         <text transform=\"translate(20 {:.1}) rotate(-90)\" text-anchor=\"middle\">{up}</text>",
        (LEFT + right) / 2.0,
        HEIGHT - 14.0,
        (TOP + bottom) / 2.0
    );
}

/// A tick's value without needless zeros.
pub fn label(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Points joined by a line; of very many only as many as can be told apart.
pub fn polyline(svg: &mut String, x: &Axis, y: &Axis, points: &[(f64, f64)], style: &str) {
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

/// Text as XML has it.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let axis = Axis { low: 0.0, high: 300.0, from: 0.0, to: 1.0 };
        assert_eq!(axis.ticks(8.0), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0]);
        assert_eq!([label(0.0), label(2.5), label(300.0)], ["0", "2.5", "300"]);
    }
}
