//! Ranges that numbers must lie in.

use std::fmt;

/// Which numbers a field takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Smallest value.
    pub low: f64,
    /// Whether `low` itself is allowed.
    pub low_included: bool,
    /// Largest value.
    pub high: f64,
    /// Whether `high` itself is allowed.
    pub high_included: bool,
}

impl Range {
    /// Every number.
    pub const ANY: Range =
        Range { low: f64::NEG_INFINITY, low_included: false, high: f64::INFINITY, high_included: false };

    /// Every number above zero.
    pub const POSITIVE: Range = Range { low: 0.0, ..Range::ANY };

    /// Zero or more.
    pub const NOT_NEGATIVE: Range = Range::at_least(0.0);

    /// `low` or more.
    pub const fn at_least(low: f64) -> Range {
        Range { low, low_included: true, ..Range::ANY }
    }

    /// `low` to `high`, both allowed.
    pub const fn between(low: f64, high: f64) -> Range {
        Range { low, low_included: true, high, high_included: true }
    }

    /// `low` to `high`, `high` itself not allowed.
    pub const fn below(low: f64, high: f64) -> Range {
        Range { high_included: false, ..Range::between(low, high) }
    }

    /// `above 0`, `at least 1`, `from 0% to 50%`, with each bound times `scale` and `unit` after it; empty for [`Range::ANY`].
    pub fn describe(&self, scale: f64, unit: &str) -> String {
        let low = format!("{}{unit}", self.low * scale);
        let high = format!("{}{unit}", self.high * scale);
        match (self.low.is_finite(), self.high.is_finite()) {
            (false, false) => String::new(),
            (true, false) if self.low_included => format!("at least {low}"),
            (true, false) => format!("above {low}"),
            (false, true) if self.high_included => format!("at most {high}"),
            (false, true) => format!("below {high}"),
            (true, true) => {
                let from = if self.low_included { "from" } else { "above" };
                let to = if self.high_included { "to" } else { "to below" };
                format!("{from} {low} {to} {high}")
            }
        }
    }

    /// True if `value` lies inside (never for NaN).
    pub fn contains(&self, value: f64) -> bool {
        let above = value > self.low || (self.low_included && value == self.low);
        let below = value < self.high || (self.high_included && value == self.high);
        above && below
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.describe(1.0, ""))
    }
}
