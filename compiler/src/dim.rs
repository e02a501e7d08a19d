//! Symbolic dimensions: sums of monomials over named dimensions with exact arithmetic.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

/// An exact dimension: a polynomial with integer coefficients over named dimensions; a quotient by a symbol appears as
/// a negative power (`D / heads` is `D * heads^-1`). Equal exactly if the normal forms are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Dim {
    /// Monomial (symbol to power, never 0) to coefficient (never 0).
    terms: BTreeMap<BTreeMap<String, i32>, i64>,
}

impl Dim {
    /// A number. Sizes beyond `i64::MAX` do not occur: literals and arithmetic are bounded by it.
    pub fn constant(value: u64) -> Self {
        Dim::integer(i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// A number that may be negative, as a part of a sum.
    pub fn integer(value: i64) -> Self {
        let mut terms = BTreeMap::new();
        if value != 0 {
            terms.insert(BTreeMap::new(), value);
        }
        Dim { terms }
    }

    /// The value, perhaps negative, if no symbol is left.
    pub fn as_integer(&self) -> Option<i64> {
        let mut terms = self.terms.iter();
        match (terms.next(), terms.next()) {
            (None, _) => Some(0),
            (Some((monomial, &coefficient)), None) if monomial.is_empty() => Some(coefficient),
            _ => None,
        }
    }

    /// Its symbols, ascending, each once.
    pub fn symbols(&self) -> BTreeSet<&str> {
        let names = self.terms.keys().flat_map(|monomial| monomial.keys());
        names.map(String::as_str).collect()
    }

    /// True if it is whole and not negative whatever (whole, not negative) its symbols are: no coefficient and no power
    /// is negative.
    pub fn is_always_whole(&self) -> bool {
        self.terms.iter().all(|(monomial, &coefficient)| coefficient >= 0 && monomial.values().all(|&power| power > 0))
    }

    /// A named dimension.
    pub fn symbol(name: &str) -> Self {
        let monomial = BTreeMap::from([(name.to_owned(), 1)]);
        Dim { terms: BTreeMap::from([(monomial, 1)]) }
    }

    /// The value if no symbol is left.
    pub fn as_constant(&self) -> Option<u64> {
        self.evaluate(&|_| None)
    }

    /// The value under bindings of all symbols; none if one is missing, if a division is not exact, or if it does not fit.
    pub fn evaluate(&self, bindings: &dyn Fn(&str) -> Option<u64>) -> Option<u64> {
        let mut sum: i128 = 0;
        for (monomial, &coefficient) in &self.terms {
            let mut numerator = i128::from(coefficient);
            let mut denominator: i128 = 1;
            for (symbol, &power) in monomial {
                let value = i128::from(bindings(symbol)?).checked_pow(power.unsigned_abs())?;
                if power > 0 {
                    numerator = numerator.checked_mul(value)?;
                } else {
                    denominator = denominator.checked_mul(value)?;
                }
            }
            if denominator == 0 || numerator % denominator != 0 {
                return None;
            }
            sum = sum.checked_add(numerator / denominator)?;
        }
        u64::try_from(sum).ok()
    }

    /// Sum.
    pub fn add(&self, other: &Dim) -> Option<Dim> {
        let mut terms = self.terms.clone();
        for (monomial, coefficient) in &other.terms {
            let entry = terms.entry(monomial.clone()).or_insert(0);
            *entry = entry.checked_add(*coefficient)?;
        }
        terms.retain(|_, coefficient| *coefficient != 0);
        Some(Dim { terms })
    }

    /// Difference.
    pub fn subtract(&self, other: &Dim) -> Option<Dim> {
        let mut negated = other.clone();
        for coefficient in negated.terms.values_mut() {
            *coefficient = coefficient.checked_neg()?;
        }
        self.add(&negated)
    }

    /// Product; none if it overflows or grows beyond 256 terms.
    pub fn multiply(&self, other: &Dim) -> Option<Dim> {
        if self.terms.len().saturating_mul(other.terms.len()) > 256 {
            return None;
        }
        let mut product = Dim::default();
        for (left, a) in &self.terms {
            for (right, b) in &other.terms {
                let mut monomial = left.clone();
                for (symbol, power) in right {
                    let entry = monomial.entry(symbol.clone()).or_insert(0);
                    *entry = entry.checked_add(*power)?;
                }
                monomial.retain(|_, power| *power != 0);
                let term = Dim { terms: BTreeMap::from([(monomial, a.checked_mul(*b)?)]) };
                product = product.add(&term)?;
            }
        }
        Some(product)
    }

    /// Exact quotient by a single term; none if a coefficient does not divide or the divisor has several terms or is zero.
    /// Division by a symbol is exact by construction and must be proved when the symbol gets its value.
    pub fn divide(&self, other: &Dim) -> Option<Dim> {
        if self == other && !self.terms.is_empty() {
            return Some(Dim::constant(1));
        }
        let mut divisors = other.terms.iter();
        let (Some((divisor, &by)), None) = (divisors.next(), divisors.next()) else {
            return None;
        };
        let mut terms = BTreeMap::new();
        for (monomial, &coefficient) in &self.terms {
            if coefficient.checked_rem(by)? != 0 {
                return None;
            }
            let mut quotient = monomial.clone();
            for (symbol, power) in divisor {
                let entry = quotient.entry(symbol.clone()).or_insert(0);
                *entry = entry.checked_sub(*power)?;
            }
            quotient.retain(|_, power| *power != 0);
            terms.insert(quotient, coefficient.checked_div(by)?);
        }
        Some(Dim { terms })
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return formatter.write_str("0");
        }
        for (index, (monomial, &coefficient)) in self.terms.iter().rev().enumerate() {
            match (index, coefficient < 0) {
                (0, true) => formatter.write_str("-")?,
                (0, false) => {}
                (_, true) => formatter.write_str(" - ")?,
                (_, false) => formatter.write_str(" + ")?,
            }
            let mut above = Vec::new();
            if coefficient.unsigned_abs() != 1 || !monomial.values().any(|&power| power > 0) {
                above.push(coefficient.unsigned_abs().to_string());
            }
            let mut below = Vec::new();
            for (symbol, &power) in monomial {
                let text = match power.unsigned_abs() {
                    1 => symbol.clone(),
                    n => format!("{symbol}^{n}"),
                };
                if power > 0 { above.push(text) } else { below.push(text) }
            }
            formatter.write_str(&above.join(" * "))?;
            for divisor in below {
                write!(formatter, " / {divisor}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Dim {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_constant() {
            Some(value) => serializer.serialize_u64(value),
            None => serializer.serialize_str(&self.to_string()),
        }
    }
}
