//! Runs cases on two devices and measures how far apart their results are.

use super::case::Case;
use crate::device::{Device, DeviceError, HostTensor};

/// Share of a result's size that rounding may move it by. Sums of thousands of terms in another order stay well below. Where 16-bit
/// floats are written, a unit of theirs is added: what lies between two of them may go either way.
const TOLERANCE: f64 = 1e-4;
/// Results smaller than this, from operands around 1, are what cancellation left of larger ones.
const SMALLEST: f64 = 1e-2;

/// Shares of a result's size by which it may be off.
#[derive(Debug, Clone, Copy)]
struct Allowed {
    /// Every element.
    single: f64,
    /// All of them: their root mean square.
    whole: f64,
}

/// What a case came to.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The kernel's name.
    pub kernel: &'static str,
    /// The kernel with its operands' sizes.
    pub case: String,
    /// The largest difference, as a share of the element or of the result's root mean square, whichever is larger.
    pub error: f64,
    /// The element that differs too much, with both values; none where all agree.
    pub wrong: Option<String>,
}

/// Runs case `i` as program `i` of both devices.
///
/// # Errors
/// Of a device.
pub fn compare(
    cases: &[Case],
    seed: u64,
    tested: &mut dyn Device,
    trusted: &mut dyn Device,
) -> Result<Vec<Difference>, DeviceError> {
    let differences = cases.iter().enumerate().map(|(number, case)| {
        let values = case.values(seed, number as u64);
        let names: Vec<String> = (0..values.len()).map(|index| index.to_string()).collect();
        let inputs: Vec<(&str, HostTensor<'_>)> =
            names.iter().map(String::as_str).zip(values.iter().map(|values| values.tensor())).collect();
        tested.run(number, &inputs)?;
        trusted.run(number, &inputs)?;
        let step = case.program.steps.last();
        let whole = TOLERANCE + case.unit();
        let allowed = Allowed { single: TOLERANCE + case.spread() * case.unit(), whole };
        let mut difference = Difference {
            kernel: step.map_or("", |step| step.kernel.name()),
            case: case.program.name.clone(),
            error: 0.0,
            wrong: None,
        };
        // What a gradient of attention keeps for itself is nobody's result.
        let own = step.filter(|step| step.kernel.name() == "attention_grad").and_then(|step| step.writes.last());
        for (index, name) in names.iter().enumerate().filter(|(index, _)| own.is_none_or(|own| own.buffer != *index)) {
            let found = tested.read_output(number, name)?;
            let expected = trusted.read_output(number, name)?;
            difference.add(|| case.describe(index), allowed, &found, &expected);
        }
        Ok(difference)
    });
    differences.collect()
}

impl Difference {
    fn add(&mut self, what: impl Fn() -> String, allowed: Allowed, found: &[f32], expected: &[f32]) {
        let finite = expected.iter().filter(|value| value.is_finite());
        let (squares, count) =
            finite.fold((0.0, 0u64), |(sum, count), value| (sum + f64::from(*value).powi(2), count + 1));
        let typical = (squares / count.max(1) as f64).sqrt();
        let mut apart_squares = 0.0;
        for (element, (found, expected)) in found.iter().zip(expected).enumerate() {
            if found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()) {
                continue;
            }
            let size = f64::from(expected.abs()).max(typical).max(SMALLEST);
            let apart = (f64::from(*found) - f64::from(*expected)).abs();
            apart_squares += apart.powi(2);
            let error = if apart.is_finite() { apart / size } else { f64::INFINITY };
            self.error = self.error.max(error);
            if error > allowed.single && self.wrong.is_none() {
                self.wrong = Some(format!("element {element} of {}: {found} instead of {expected}", what()));
            }
        }
        let apart = (apart_squares / count.max(1) as f64).sqrt() / typical.max(SMALLEST);
        if apart > allowed.whole && self.wrong.is_none() {
            self.wrong = Some(format!("{} is off by {apart:.1e} of its size", what()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_passes_and_mistakes_do_not() {
        let fresh = Difference { kernel: "", case: String::new(), error: 0.0, wrong: None };
        let wrong = |found: &[f32], expected: &[f32]| {
            let mut difference = fresh.clone();
            let allowed = Allowed { single: 2.0 * TOLERANCE, whole: TOLERANCE };
            difference.add(|| "operand 0".to_owned(), allowed, found, expected);
            difference.wrong.is_some()
        };
        assert!(!wrong(&[1.0, 1e-6, f32::NAN], &[1.00001, 0.0, f32::NAN]));
        assert!(wrong(&[1.0, 0.0], &[1.0, 0.001]));
        assert!(!wrong(&[1.00015, 1.0, 1.0], &[1.0; 3]));
        assert!(wrong(&[1.00015, 1.00015, 1.0], &[1.0; 3]));
        assert!(wrong(&[f32::NAN], &[1.0]));
        assert!(wrong(&[1.0], &[f32::INFINITY]));
        assert!(!wrong(&[f32::NEG_INFINITY], &[f32::NEG_INFINITY]));
    }
}
