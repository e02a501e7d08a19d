//! Progress while data is prepared and while a stage trains: a bar on a terminal, a line now and then elsewhere.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::metrics::StepMetrics;
use super::terminal::Terminal;
use llmc_data::{Phase, Progress};
use llmc_grammar::number;

/// How often lines appear where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress of data preparation.
pub struct DataProgress<'a> {
    terminal: &'a Terminal,
    shown: RefCell<Option<(Phase, ProgressBar, Instant)>>,
}

impl<'a> DataProgress<'a> {
    /// Nothing shown yet.
    pub fn new(terminal: &'a Terminal) -> Self {
        DataProgress { terminal, shown: RefCell::new(None) }
    }

    /// Shows how far preparation has come.
    pub fn update(&self, progress: Progress) {
        if self.terminal.quiet {
            return;
        }
        let verb = match progress.phase {
            Phase::Reading => "reading",
            Phase::Processing => "processing documents",
            Phase::TrainingTokenizer => "training the tokenizer",
            Phase::TrainingFilter => "training a model of the filter",
            Phase::Encoding => "tokenizing",
        };
        let mut shown = self.shown.borrow_mut();
        let is_new = !matches!(&*shown, Some((phase, _, _)) if *phase == progress.phase);
        if is_new {
            if let Some((_, bar, _)) = shown.take() {
                bar.finish_and_clear();
            }
            if !self.terminal.interactive {
                self.terminal.note(verb);
            }
            *shown = Some((progress.phase, self.bar(verb), Instant::now()));
        }
        let Some((_, bar, last)) = &mut *shown else {
            return;
        };
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_position(progress.done);
        if !self.terminal.interactive && last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            self.terminal.note(format!("{verb}: {}", number::bytes(progress.done)));
        }
    }

    fn bar(&self, verb: &'static str) -> ProgressBar {
        if !self.terminal.interactive {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::no_length();
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.set_style(style("{prefix} [{bar:30}] {binary_bytes} {binary_bytes_per_sec}", self.terminal.colour));
        bar.set_prefix(verb);
        bar
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some((_, bar, _)) = self.shown.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}

/// Progress of training.
pub struct TrainingProgress<'a> {
    terminal: &'a Terminal,
    bar: ProgressBar,
    steps: u64,
    last_line: Option<Instant>,
}

impl<'a> TrainingProgress<'a> {
    /// A stage of `steps` steps of which `done` are done.
    pub fn new(terminal: &'a Terminal, stage: &str, done: u64, steps: u64) -> Self {
        let bar = if terminal.interactive && !terminal.quiet {
            let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
            bar.set_style(style("{prefix} [{bar:30}] {pos}/{len} {wide_msg}", terminal.colour));
            bar.set_prefix(stage.to_owned());
            bar.set_position(done);
            bar
        } else {
            ProgressBar::hidden()
        };
        TrainingProgress { terminal, bar, steps, last_line: None }
    }

    /// Shows a step. `rate` is tokens per second over the last steps, `left` the seconds that are left.
    pub fn step(&mut self, metrics: &StepMetrics, rate: f64, left: f64) {
        let text = describe(metrics, rate, left);
        if self.terminal.interactive {
            self.bar.set_position(metrics.step);
            self.bar.set_message(text);
            return;
        }
        let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY);
        if due || metrics.step == self.steps {
            self.last_line = Some(Instant::now());
            self.terminal.note(format!("step {}/{}  {text}", metrics.step, self.steps));
        }
    }

    /// A line above the bar.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| self.terminal.note(line));
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn describe(metrics: &StepMetrics, rate: f64, left: f64) -> String {
    format!(
        "loss {:.4}  lr {:.2e}  grad norm {:.2}  {} tokens/s  {} left",
        metrics.loss,
        metrics.lr,
        metrics.grad_norm,
        number::count(rate as u64),
        number::duration(left)
    )
}

fn style(template: &str, colour: bool) -> ProgressStyle {
    let template = if colour { template.replace("{bar:30}", "{bar:30.cyan/blue}") } else { template.to_owned() };
    ProgressStyle::with_template(&template).expect("the templates above are well-formed").progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_well_formed() {
        for colour in [false, true] {
            let terminal = Terminal { quiet: false, colour, interactive: true };
            DataProgress::new(&terminal).bar("reading");
            style("{prefix} [{bar:30}] {pos}/{len} {wide_msg}", colour);
        }
    }

    #[test]
    fn a_step_is_told_in_one_line() {
        let metrics = StepMetrics {
            auxiliary_loss: None,
            step: 10,
            tokens: 640,
            loss: 3.21,
            lr: 6e-4,
            grad_norm: 1.5,
            loss_scale: None,
            skipped: false,
            tokens_per_s: 12_345.0,
            seconds: 3.0,
            heldout_loss: None,
            bits_per_byte: None,
            heldout_parts: std::collections::BTreeMap::new(),
        };
        assert_eq!(
            describe(&metrics, 12_345.0, 65.0),
            "loss 3.2100  lr 6.00e-4  grad norm 1.50  12.3 K tokens/s  1m 05s left"
        );
    }
}
