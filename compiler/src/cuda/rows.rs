//! Softmax and cross-entropy: a block a row.

use super::settings::Settings;
use super::writer::{At, Parameters};
use crate::plan::LossPlan;
use crate::program::View;

/// Threads for a row of so many elements.
pub(super) fn threads(width: u64) -> u64 {
    match width {
        0..=128 => 32,
        129..=512 => 128,
        513..=8192 => 256,
        _ => 1024,
    }
}

/// The last axis's size, and the number of rows.
pub(super) fn rows(view: &View) -> (u64, u64) {
    let width = view.shape.last().copied().unwrap_or(1);
    (width, view.elements() / width.max(1))
}

/// Constants that all kernels of rows have.
pub(super) fn shape(width: u64) -> Settings {
    let mut settings = Settings::default();
    settings.small("threads", threads(width)).whole("width", width);
    settings
}

/// `(x [.., D]) -> [.., D]`
pub(super) fn softmax(at: &mut At<'_>) -> Result<(), String> {
    let (x, out) = (at.read(0)?, at.write(0)?);
    let (width, rows) = rows(&x);
    let mut settings = shape(width);
    settings.rows("x", &x).rows("out", &out);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.result(&mut parameters, "out", &out);
    at.template("softmax", "softmax", &settings, threads(width), [rows, 1], parameters)
}

fn loss_settings(width: u64, plan: &LossPlan) -> Settings {
    let mut settings = shape(width);
    settings.double("smoothing", plan.label_smoothing).double("z_loss", plan.z_loss);
    settings
}

/// `(logits [N, V], targets [N]) -> loss [N]`
pub(super) fn cross_entropy(at: &mut At<'_>, plan: &LossPlan) -> Result<(), String> {
    let (logits, targets, loss) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let (width, rows) = rows(&logits);
    let mut settings = loss_settings(width, plan);
    settings.rows("logits", &logits).elements("targets", &targets).elements("loss", &loss);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "logits", &logits);
    at.operand(&mut parameters, "targets", &targets);
    at.result(&mut parameters, "loss", &loss);
    at.fault(&mut parameters);
    at.template("cross_entropy", "cross_entropy", &settings, threads(width), [rows, 1], parameters)
}

/// `(logits [N, V], targets [N], dloss [N]) -> (dlogits [N, V], loss [N]?)`
pub(super) fn cross_entropy_gradient(at: &mut At<'_>, plan: &LossPlan, has_loss: bool) -> Result<(), String> {
    let (logits, targets, dloss, dlogits) = (at.read(0)?, at.read(1)?, at.read(2)?, at.write(0)?);
    let (width, rows) = rows(&logits);
    let mut settings = loss_settings(width, plan);
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
    at.template(name, name, &settings, threads(width), [rows, 1], parameters)
}
