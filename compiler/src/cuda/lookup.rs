//! Rows of tables by id, caches, rotations, and tensors that are known before anything runs.

use super::Argument;
use super::rows::rows;
use super::settings::Settings;
use super::writer::{At, Parameters, THREADS};
use crate::plan::{Pattern, Rotary, RotaryLayout};

/// Columns of a sum over ids that a thread keeps.
const COLUMNS: u64 = 4;

/// Threads that copy a row of so many elements.
fn threads(width: u64) -> u64 {
    match width {
        0..=128 => 32,
        129..=512 => 128,
        513..=8192 => 256,
        _ => 1024,
    }
}

fn shape(width: u64) -> Settings {
    let mut settings = Settings::default();
    settings.small("threads", threads(width)).whole("width", width);
    settings
}

/// `(table [V, D], ids [..]) -> [.., D]`
pub(super) fn gather(at: &mut At<'_>) -> Result<(), String> {
    let (table, ids, out) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let (width, vocab) = rows(&table);
    let mut settings = shape(width);
    settings.whole("rows", vocab).whole("table_row", table.strides[0]).elements("ids", &ids).rows("out", &out);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "table", &table);
    at.operand(&mut parameters, "ids", &ids);
    at.result(&mut parameters, "out", &out);
    at.fault(&mut parameters);
    at.template("gather", "gather", &settings, threads(width), [ids.elements(), 1], parameters)
}

/// `(ids [..], updates [.., D]) -> [V, D]`: a block a token, so that the cost does not grow with the table.
pub(super) fn scatter_add(at: &mut At<'_>, accumulate: bool) -> Result<(), String> {
    let (ids, updates, out) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let (width, vocab) = rows(&out);
    let mut settings = Settings::default();
    settings.small("threads", THREADS).whole("width", width).whole("rows", vocab).whole("count", ids.elements());
    settings
        .small("columns", COLUMNS)
        .whole("out_row", out.strides[0])
        .elements("ids", &ids)
        .rows("updates", &updates)
        .rows("out", &out);
    if !accumulate {
        let mut parameters = Parameters::default();
        at.result(&mut parameters, "out", &out);
        at.template("clear_rows", "clear_rows", &settings, THREADS, [vocab, 1], parameters)?;
    }
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "ids", &ids);
    at.operand(&mut parameters, "updates", &updates);
    at.result(&mut parameters, "out", &out);
    at.fault(&mut parameters);
    let ranges = width.div_ceil(THREADS * COLUMNS);
    at.template("scatter_add", "scatter_add", &settings, THREADS, [ids.elements(), ranges], parameters)
}

/// `(new [B, T, G, K], length [B]) -> cache [B, C, G, K]`
pub(super) fn cache_write(at: &mut At<'_>) -> Result<(), String> {
    let (fresh, length, cache) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let (width, blocks) = rows(&fresh);
    let mut settings = shape(width);
    settings.whole("added", fresh.shape[1]).whole("groups", fresh.shape[2]).whole("capacity", cache.shape[1]);
    settings.whole("length_step", length.strides[0]).places("fresh", &fresh).places("cache", &cache);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "fresh", &fresh);
    at.operand(&mut parameters, "length", &length);
    at.result(&mut parameters, "cache", &cache);
    at.fault(&mut parameters);
    at.template("cache_write", "cache_write", &settings, threads(width), [blocks, 1], parameters)
}

/// `(x [B, T, H, K], positions [B, T]) -> [B, T, H, K]`
pub(super) fn rotate(at: &mut At<'_>, rotary: &Rotary, inverse: bool) -> Result<(), String> {
    let (x, positions, out) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let [batch, tokens, heads, width] = x.shape[..] else {
        return Err("a rotation of other than four axes".to_owned());
    };
    let frequencies = rotary.frequencies(width);
    let words =
        frequencies.iter().flat_map(|frequency| [frequency.to_bits() as u32, (frequency.to_bits() >> 32) as u32]);
    let frequencies = at.data(words.collect());
    let mut settings = Settings::default();
    settings.small("threads", THREADS).whole("batch", batch).whole("tokens", tokens).whole("heads", heads);
    settings.whole("pairs", width / 2).flag("halves", rotary.layout == RotaryLayout::Halves).flag("inverse", inverse);
    settings.double("amplitude", rotary.amplitude());
    settings.elements("positions", &positions).places("x", &x).places("out", &out);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.operand(&mut parameters, "positions", &positions);
    parameters.push("const double *", "frequencies", Argument::Data(frequencies));
    at.result(&mut parameters, "out", &out);
    let pairs = batch * tokens * (width / 2);
    at.template("rotate", "rotate", &settings, THREADS, [pairs.div_ceil(THREADS), 1], parameters)
}

/// `() -> x`: the values are made now and copied then.
pub(super) fn pattern(at: &mut At<'_>, pattern: &Pattern) -> Result<(), String> {
    let out = at.write(0)?;
    let keys = out.shape.get(1).copied().unwrap_or(1) as usize;
    let word = |index: usize| match pattern.is_float() {
        true => pattern.float(index).to_bits(),
        false => pattern.whole(index / keys, index % keys) as u32,
    };
    let count = out.elements();
    let data = at.data((0..count as usize).map(word).collect());
    let mut parameters = Parameters::default();
    let kind = if pattern.is_float() { "const float *" } else { "const int *" };
    parameters.push(kind, "from", Argument::Data(data));
    at.result(&mut parameters, "to", &out);
    parameters.push("u64 ", "count", Argument::Word(count));
    let body = "{\n    copy_known(from, to, count);\n}\n";
    at.launch("copy_known", "", body, THREADS, [count.div_ceil(THREADS), 1], parameters)
}
