//! What `llmc bench` prints for people.

use std::fmt::Write;

use super::{Account, Row, Summary};
use llmc_grammar::number::{count, flops};

/// Rows of the second table; what comes after them is folded into one line.
const PLACES: usize = 16;

impl Summary {
    /// The figures of the whole step, a line each.
    pub fn table(&self) -> String {
        let Summary { recipe, stage, batch, seq, threads, .. } = self;
        let plural = if *threads == 1 { "" } else { "s" };
        let (memory, beside) = match self.card_mb {
            Some(card) => (card, format!(", of the card; the process has {:.1}", self.peak_rss_mb)),
            None => (self.peak_rss_mb, String::new()),
        };
        let mut text = format!("{recipe} / {stage}: {batch} x {seq} tokens a step, {threads} thread{plural}\n\n");
        for (name, value, note) in [
            ("parameters", count(self.params), String::new()),
            ("tokens/s", format!("{:.0}", self.tokens_per_s), String::new()),
            (
                "step",
                format!("{:.2} ms", self.step_ms),
                format!("median of {}, best {:.2}", self.steps, self.step_ms_best),
            ),
            ("FLOPs of a step", flops(self.flops_per_step as f64), "matrix products and attention".to_owned()),
            ("first step after", format!("{:.3} s", self.first_step_s), "since the process started".to_owned()),
            ("peak memory", format!("{memory:.1} MiB"), format!("{:.1} predicted{beside}", self.predicted_peak_mb)),
            ("loss", format!("{:.4}", self.loss_last), format!("{:.4} at the first step", self.loss_first)),
        ] {
            let _ = writeln!(text, "{}", format!("  {name:17} {value:>12}  {note}").trim_end());
        }
        text
    }
}

impl Account {
    /// Where the time goes, in two tables.
    pub fn table(&self) -> String {
        let percent = |share: f64| format!("{:.1}%", share * 100.0);
        let mut text = format!(
            "  machine           {:.1} GFLOP/s ({:.1} on one thread), copy {:.1} GB/s\n  matrix products   {} of the peak\n  \
             whole step        {} of the peak\n  accounted         {} of the step\n",
            self.peak_gflops,
            self.peak_gflops_one_thread,
            self.copy_gb_per_s,
            percent(self.matmul_share_of_peak),
            percent(self.step_share_of_peak),
            percent(self.accounted),
        );
        let mut cells = vec![heading("kernel")];
        cells.extend(self.kernels.iter().map(|row| line(row, &row.kernel)));
        let other = format!("{:.3}", self.other_s * 1e3);
        let share = percent(self.other_s / self.timed_step_s.max(f64::MIN_POSITIVE));
        cells.push(["other".to_owned(), String::new(), other, share].into_iter().chain(empty(5)).collect());
        let _ = write!(text, "\n{}", aligned(&cells));
        let mut cells = vec![heading("kernel, place")];
        let shown = PLACES.min(self.places.len());
        cells.extend(self.places[..shown].iter().map(|row| {
            let place = row.place.as_deref().unwrap_or_default();
            line(row, &format!("{} {place}", row.kernel))
        }));
        let rest = &self.places[shown..];
        if !rest.is_empty() {
            let (launches, seconds, share) = rest.iter().fold((0, 0.0, 0.0), |(launches, seconds, share), row| {
                (launches + row.launches, seconds + row.seconds, share + row.share)
            });
            let name = format!("{} more", rest.len());
            let cell = [name, launches.to_string(), format!("{:.3}", seconds * 1e3), percent(share)];
            cells.push(cell.into_iter().chain(empty(5)).collect());
        }
        let _ = write!(text, "\n{}", aligned(&cells));
        text
    }
}

fn heading(first: &str) -> Vec<String> {
    let names = [first, "launches", "ms", "share", "MFLOP", "GFLOP/s", "of peak", "MB", "GB/s"];
    names.map(str::to_owned).to_vec()
}

fn empty(cells: usize) -> impl Iterator<Item = String> {
    std::iter::repeat_n(String::new(), cells)
}

fn line(row: &Row, name: &str) -> Vec<String> {
    let operations = match row.flops {
        0 => [String::new(), String::new(), String::new()],
        flops => [
            format!("{:.1}", flops as f64 / 1e6),
            format!("{:.1}", row.gflops),
            format!("{:.1}%", row.share_of_peak * 100.0),
        ],
    };
    let time = [name.to_owned(), row.launches.to_string(), format!("{:.3}", row.seconds * 1e3)];
    let traffic = [format!("{:.2}", row.bytes as f64 / 1e6), format!("{:.1}", row.gb_per_s)];
    let share = [format!("{:.1}%", row.share * 100.0)];
    time.into_iter().chain(share).chain(operations).chain(traffic).collect()
}

/// Columns side by side, the first to the left, numbers to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        let mut out = String::from(" ");
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if index == 0 { write!(out, " {cell:width$}") } else { write!(out, "  {cell:>width$}") };
        }
        let _ = writeln!(text, "{}", out.trim_end());
    }
    text
}
