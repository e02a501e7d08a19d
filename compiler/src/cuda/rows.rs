//! Softmax and cross-entropy: a block a row.

use super::loops::is_run;
use super::settings::Settings;
use super::writer::{At, Parameters, THREADS};
use crate::plan::LossPlan;
use crate::program::View;

/// Elements that a thread keeps in registers at most.
const KEPT: u64 = 32;
/// Threads of a block at most: with more of them, none has registers for so many.
const MOST_THREADS: u64 = 512;

/// How the threads of a block go through a row.
pub(super) struct Sweep {
    width: u64,
    /// Neighbouring elements that a thread takes at once.
    pub run: u64,
    /// Threads of the block: whole warps.
    pub threads: u64,
    /// Whether the rows stay in registers.
    is_kept: bool,
}

impl Sweep {
    /// Through rows that all lie in these views, so many of them at once.
    pub fn of(at: &At<'_>, width: u64, rows: u64, views: &[&View]) -> Sweep {
        let run = run_of(at, width, views);
        let most = if rows * width <= KEPT * THREADS { THREADS } else { MOST_THREADS };
        let threads = (width / run).next_multiple_of(32).clamp(32, most);
        Sweep { width, run, threads, is_kept: rows * width <= KEPT * MOST_THREADS }
    }

    /// Constants that all kernels of rows have. Rows of no `steps` are too wide for registers.
    pub fn settings(&self) -> Settings {
        let kept = if self.is_kept { self.width.div_ceil(self.threads * self.run) } else { 0 };
        let mut settings = Settings::default();
        settings.small("threads", self.threads).whole("width", self.width).small("run", self.run).small("steps", kept);
        settings
    }
}

/// Sixteen bytes of the shortest type, or half of that, where rows can be cut into them.
fn run_of(at: &At<'_>, width: u64, views: &[&View]) -> u64 {
    let longest = if views.iter().any(|view| at.dtype(view).is_half()) { 8 } else { 4 };
    let is_cut = |run: &u64| {
        let mut rows = views.iter().map(|view| is_run(at, view, view.shape.len().checked_sub(1), *run));
        width.is_multiple_of(*run) && rows.all(|is_run| is_run)
    };
    [longest, 4].into_iter().find(is_cut).unwrap_or(1)
}

/// The last axis's size, and the number of rows.
pub(super) fn rows(view: &View) -> (u64, u64) {
    let width = view.shape.last().copied().unwrap_or(1);
    (width, view.elements() / width.max(1))
}

/// `(x [.., D]) -> [.., D]`
pub(super) fn softmax(at: &mut At<'_>) -> Result<(), String> {
    let (x, out) = (at.read(0)?, at.write(0)?);
    let (width, rows) = rows(&x);
    let sweep = Sweep::of(at, width, 1, &[&x, &out]);
    let mut settings = sweep.settings();
    settings.rows("x", &x).rows("out", &out);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.result(&mut parameters, "out", &out);
    at.template("softmax", "softmax", &settings, sweep.threads, [rows, 1], parameters)
}

fn loss_settings(sweep: &Sweep, plan: &LossPlan) -> Settings {
    let mut settings = sweep.settings();
    settings.double("smoothing", plan.label_smoothing).double("z_loss", plan.z_loss);
    settings
}

/// `(logits [N, V], targets [N]) -> loss [N]`
pub(super) fn cross_entropy(at: &mut At<'_>, plan: &LossPlan) -> Result<(), String> {
    let (logits, targets, loss) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let (width, rows) = rows(&logits);
    let sweep = Sweep::of(at, width, 1, &[&logits]);
    let mut settings = loss_settings(&sweep, plan);
    settings.rows("logits", &logits).elements("targets", &targets).elements("loss", &loss);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "logits", &logits);
    at.operand(&mut parameters, "targets", &targets);
    at.result(&mut parameters, "loss", &loss);
    at.fault(&mut parameters);
    at.template("cross_entropy", "cross_entropy", &settings, sweep.threads, [rows, 1], parameters)
}

/// `(logits [N, V], targets [N], dloss [N]) -> (dlogits [N, V], loss [N]?)`
pub(super) fn cross_entropy_gradient(at: &mut At<'_>, plan: &LossPlan, has_loss: bool) -> Result<(), String> {
    let (logits, targets, dloss, dlogits) = (at.read(0)?, at.read(1)?, at.read(2)?, at.write(0)?);
    let (width, rows) = rows(&logits);
    let sweep = Sweep::of(at, width, 1, &[&logits, &dlogits]);
    let mut settings = loss_settings(&sweep, plan);
    settings.rows("logits", &logits).elements("targets", &targets).elements("dloss", &dloss).rows("dlogits", &dlogits);
    settings.flag("has_loss", has_loss);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "logits", &logits);
    at.operand(&mut parameters, "targets", &targets);
    at.operand(&mut parameters, "dloss", &dloss);
    at.result(&mut parameters, "dlogits", &dlogits);
    if has_loss {
        let loss = at.write(1)?;
        settings.elements("loss", &loss);
        at.result(&mut parameters, "loss", &loss);
    } else {
        parameters.absent("float *", "loss");
    }
    at.fault(&mut parameters);
    let name = "cross_entropy_gradient";
    at.template(name, name, &settings, sweep.threads, [rows, 1], parameters)
}
