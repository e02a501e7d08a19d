//! A struct of compile-time constants: what a template of the library is told of its operands.

use std::fmt::Display;

use crate::program::View;

/// Constants and offset functions, printed in the order given.
#[derive(Debug, Default)]
pub(super) struct Settings {
    lines: Vec<String>,
}

impl Settings {
    /// A 64-bit whole number.
    pub fn whole(&mut self, name: &str, value: u64) -> &mut Self {
        self.constant("i64", name, value)
    }

    /// A small whole number: threads, rows of a tile.
    pub fn small(&mut self, name: &str, value: u64) -> &mut Self {
        self.constant("int", name, value)
    }

    /// A 64-bit number without sign.
    pub fn word(&mut self, name: &str, value: u64) -> &mut Self {
        self.constant("u64", name, format!("{value:#x}ull"))
    }

    /// Yes or no.
    pub fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.constant("bool", name, value)
    }

    /// A 64-bit float.
    pub fn double(&mut self, name: &str, value: f64) -> &mut Self {
        self.constant("double", name, double(value))
    }

    /// A 32-bit float.
    pub fn float(&mut self, name: &str, value: f64) -> &mut Self {
        self.constant("float", name, float(value as f32))
    }

    /// A type.
    pub fn kind(&mut self, name: &str, value: &str) -> &mut Self {
        self.lines.push(format!("    typedef {value} {name};"));
        self
    }

    /// The offset of element `i` in row-major order.
    pub fn elements(&mut self, name: &str, view: &View) -> &mut Self {
        let axes: Vec<(u64, u64)> = view.shape.iter().copied().zip(view.strides.iter().copied()).collect();
        self.offsets(name, &axes)
    }

    /// The offset of the first element of row `i`: the last axis is left out.
    pub fn rows(&mut self, name: &str, view: &View) -> &mut Self {
        let axes = view.shape.iter().copied().zip(view.strides.iter().copied());
        let axes: Vec<(u64, u64)> = axes.take(view.shape.len().saturating_sub(1)).collect();
        self.offsets(name, &axes)
    }

    /// The offset of place `i` in the row-major order of some axes.
    pub fn offsets(&mut self, name: &str, axes: &[(u64, u64)]) -> &mut Self {
        let body = offset("i", axes);
        self.function(name, "i", &body)
    }

    /// The offset of a place along the first three axes; single axes repeat.
    pub fn places(&mut self, name: &str, view: &View) -> &mut Self {
        let terms = ["x", "y", "z"].into_iter().zip(view.shape.iter().zip(&view.strides));
        let terms = terms.filter(|(_, (size, _))| **size != 1).map(|(index, (_, stride))| times(index, *stride));
        let body = sum(terms.collect());
        self.lines.push(format!(
            "    static __device__ __forceinline__ u64 {name}(u64 x, u64 y, u64 z) {{ return {body}; }}"
        ));
        self
    }

    fn function(&mut self, name: &str, parameter: &str, body: &str) -> &mut Self {
        self.lines
            .push(format!("    static __device__ __forceinline__ u64 {name}(u64 {parameter}) {{ return {body}; }}"));
        self
    }

    fn constant(&mut self, kind: &str, name: &str, value: impl Display) -> &mut Self {
        self.lines.push(format!("    static constexpr {kind} {name} = {value};"));
        self
    }

    /// The struct `@_settings`.
    pub fn text(&self) -> String {
        format!("struct @_settings {{\n{}\n}};\n", self.lines.join("\n"))
    }
}

/// Axes of more than one element, neighbours that are one axis in memory joined.
pub(super) fn joined(axes: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for &(size, stride) in axes.iter().filter(|(size, _)| *size != 1) {
        match found.last_mut() {
            Some(last) if last.1 == size * stride => *last = (last.0 * size, stride),
            _ => found.push((size, stride)),
        }
    }
    found
}

/// The offset of place `index` in the row-major order of some axes, as C. Below 2^32 elements the divisions are of 32 bits.
pub(super) fn offset(index: &str, axes: &[(u64, u64)]) -> String {
    let axes = joined(axes);
    let elements: u64 = axes.iter().map(|(size, _)| size).product();
    let is_small = elements <= u64::from(u32::MAX);
    let (index, suffix) =
        if is_small && axes.len() > 1 { (format!("u32({index})"), "u") } else { (index.to_owned(), "ull") };
    let mut after: u64 = elements;
    let mut terms = Vec::new();
    for (number, (size, stride)) in axes.iter().enumerate() {
        after /= size;
        let mut place = index.clone();
        if after > 1 {
            place = format!("{place} / {after}{suffix}");
        }
        if number > 0 {
            place = format!("{place} % {size}{suffix}");
        }
        if *stride > 0 {
            terms.push(match (place == index, is_small && axes.len() > 1) {
                (true, _) => times(&index, *stride),
                (false, true) => times(&format!("u64({place})"), *stride),
                (false, false) => times(&format!("({place})"), *stride),
            });
        }
    }
    sum(terms)
}

fn times(place: &str, stride: u64) -> String {
    match stride {
        0 => "0".to_owned(),
        1 => place.to_owned(),
        stride => format!("{place} * {stride}ull"),
    }
}

fn sum(terms: Vec<String>) -> String {
    let terms: Vec<String> = terms.into_iter().filter(|term| term != "0").collect();
    if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") }
}

/// A 32-bit float as C.
pub(super) fn float(value: f32) -> String {
    if value.is_finite() { format!("{value:?}f") } else { format!("__int_as_float({:#x})", value.to_bits()) }
}

/// A 64-bit float as C.
pub(super) fn double(value: f64) -> String {
    format!("{value:?}")
}
