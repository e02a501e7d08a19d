//! Attention forward, from a cache, and its gradients.

use super::Argument;
use super::attention_mma::{self, Pass};
use super::settings::Settings;
use super::writer::{At, Parameters, type_name};
use crate::op::AttentionInput;
use crate::plan::{AttentionSettings, DType, OrderRule, alibi_slope};

/// Floats of shared memory that a block has without asking, less those in which it agrees on its documents.
const SHARED: u64 = 12 * 1024 - 16;
/// Threads of the blocks that sum `dout . out`.
const DELTA_THREADS: u64 = 256;
const WARP: u64 = 32;

/// Threads of a row, rows of a block, and rows of the other side in a tile.
struct Tiling {
    lanes: u64,
    rows: u64,
    tile: u64,
}

impl Tiling {
    /// The largest tiles whose `floats(rows, tile)` fit shared memory.
    fn of(depth: u64, width: u64, floats: impl Fn(u64, u64) -> u64) -> Result<Tiling, String> {
        // A thread holds a share of a row in registers: 32 elements of it.
        let lanes = depth.max(width).div_ceil(WARP).next_power_of_two().max(4);
        let candidates = [32, 16, 8, 4, 2].into_iter().flat_map(|rows| [32, 16, 8, 4].map(|tile| (rows, tile)));
        let mut fitting = candidates.filter(|&(rows, tile)| {
            let threads = rows * lanes;
            lanes <= WARP && (WARP..=256).contains(&threads) && floats(rows, tile) <= SHARED
        });
        let (rows, tile) = fitting.next().ok_or_else(|| format!("attention with heads of {}", depth.max(width)))?;
        Ok(Tiling { lanes, rows, tile })
    }

    fn threads(&self) -> u64 {
        self.rows * self.lanes
    }

    fn print(&self, settings: &mut Settings) {
        settings.small("lanes", self.lanes).small("rows", self.rows).small("tile", self.tile);
        settings.small("threads", self.threads());
    }
}

/// The blocks of a kernel: tiles of 32-bit products, or of tensor cores.
enum Blocks {
    Lanes(Tiling),
    Tensor(attention_mma::Tiling),
}

impl Blocks {
    fn print(&self, settings: &mut Settings) {
        match self {
            Blocks::Lanes(tiling) => tiling.print(settings),
            Blocks::Tensor(tiling) => tiling.print(settings),
        }
    }

    /// Rows and threads of a block, and bytes that it shares beyond what it declares.
    fn sizes(&self, pass: Pass, sizes: &Sizes) -> [u64; 3] {
        match self {
            Blocks::Lanes(tiling) => [tiling.rows, tiling.threads(), 0],
            Blocks::Tensor(tiling) => [tiling.rows(), attention_mma::THREADS, tiling.shared_bytes(pass, sizes)],
        }
    }
}

/// Sizes that all kernels of one attention share.
pub(super) struct Sizes {
    batch: u64,
    pub queries: u64,
    pub keys: u64,
    heads: u64,
    groups: u64,
    pub depth: u64,
    pub width: u64,
}

impl Sizes {
    fn of(at: &At<'_>) -> Result<Sizes, String> {
        let (q, k, v) = (at.read(0)?, at.read(1)?, at.read(2)?);
        let ([batch, queries, heads, depth], [_, keys, groups, _], [.., width]) =
            (&q.shape[..], &k.shape[..], &v.shape[..])
        else {
            return Err("attention of other than four axes".to_owned());
        };
        let [batch, queries, keys, heads, groups, depth, width] =
            [*batch, *queries, *keys, *heads, *groups, *depth, *width];
        Ok(Sizes { batch, queries, keys, heads, groups, depth, width })
    }

    fn print(&self, settings: &mut Settings) {
        let Sizes { batch, queries, keys, heads, groups, depth, width } = *self;
        settings.small("batch", batch).whole("queries", queries).whole("keys", keys);
        settings.small("heads", heads).small("groups", groups).small("depth", depth).small("width", width);
    }
}

/// What scores are made of, and the views of queries, keys and values.
fn common(at: &At<'_>, sizes: &Sizes, attention: &AttentionSettings) -> Result<Settings, String> {
    let mut settings = Settings::default();
    sizes.print(&mut settings);
    settings.float("scale", attention.scale).flag("causal", attention.causal);
    // No row is longer than the largest window that is printed.
    settings.whole("window", attention.window.unwrap_or(0).min(1 << 40));
    settings.flag("capped", attention.soft_cap.is_some()).float("cap", attention.soft_cap.unwrap_or(1.0));
    settings.flag("alibi", attention.alibi).flag("documents", attention.documents).flag("biased", attention.bias);
    let order = match attention.order {
        None => 0,
        Some(OrderRule::NotLater) => 1,
        Some(OrderRule::Earlier) => 2,
    };
    settings.small("order", order);
    settings.places("q", &at.read(0)?).places("k", &at.read(1)?).places("v", &at.read(2)?);
    Ok(settings)
}

/// The operands of the struct `Further`, where further operands begin at `fixed`.
fn further(
    at: &mut At<'_>,
    parameters: &mut Parameters,
    settings: &mut Settings,
    attention: &AttentionSettings,
    (fixed, heads): (usize, u64),
    length: Option<usize>,
) -> Result<String, String> {
    let places = attention.operands(fixed);
    for (names, first) in
        [(["query_documents", "key_documents"], places.documents), (["query_order", "key_order"], places.order)]
    {
        for (step, name) in names.into_iter().enumerate() {
            match first {
                Some(first) => at.operand(parameters, name, &at.read(first + step)?),
                None => parameters.absent("const int *", name),
            }
        }
    }
    let bias = match places.bias {
        Some(bias) => {
            let view = at.read(bias)?;
            settings.places("bias", &view);
            at.operand(parameters, "bias", &view);
            type_name(at.dtype(&view))
        }
        None => {
            parameters.absent("const float *", "bias");
            type_name(DType::F32)
        }
    };
    if attention.alibi {
        let slope = |head: u64| (alibi_slope(head as usize, heads as usize) as f32).to_bits();
        let data = at.data((0..heads).map(slope).collect());
        parameters.push("const float *", "slopes", Argument::Data(data));
    } else {
        parameters.absent("const float *", "slopes");
    }
    settings.flag("cached", length.is_some());
    match length {
        Some(read) => {
            let view = at.read(read)?;
            settings.whole("length_step", view.strides[0]);
            at.operand(parameters, "length", &view);
        }
        None => parameters.absent("const float *", "length"),
    }
    let names = "query_documents, key_documents, query_order, key_order, bias, slopes, length";
    Ok(format!("    const Further<{bias}> further = {{{names}}};\n"))
}

/// `(q, k, v, ..) -> (out, stats?)`
pub(super) fn forward(at: &mut At<'_>, attention: &AttentionSettings, has_stats: bool) -> Result<(), String> {
    print_forward(at, attention, 3, None, has_stats)
}

/// `(q, key_cache, value_cache, length [B]) -> out`
pub(super) fn cached(at: &mut At<'_>, attention: &AttentionSettings) -> Result<(), String> {
    print_forward(at, attention, 4, Some(3), false)
}

fn print_forward(
    at: &mut At<'_>,
    attention: &AttentionSettings,
    fixed: usize,
    length: Option<usize>,
    has_stats: bool,
) -> Result<(), String> {
    let sizes = Sizes::of(at)?;
    let (depth, width) = (sizes.depth, sizes.width);
    let (q, k, v, out) = (at.read(0)?, at.read(1)?, at.read(2)?, at.write(0)?);
    let is_tensor = length.is_none() && attention_mma::applies(at, &sizes, &[&q, &k, &v, &out]);
    let blocks = match is_tensor {
        true => Blocks::Tensor(attention_mma::Tiling::of(Pass::Forward, &sizes, attention)),
        false => Blocks::Lanes(Tiling::of(depth, width, |rows, tile| {
            rows * (depth + 1) + tile * (depth.max(width) + 1) + rows * (tile + 1)
        })?),
    };
    let mut settings = common(at, &sizes, attention)?;
    blocks.print(&mut settings);
    settings.places("out", &out).flag("has_stats", has_stats);
    let mut parameters = Parameters::default();
    for (name, view) in [("q", &q), ("k", &k), ("v", &v)] {
        at.operand(&mut parameters, name, view);
    }
    at.result(&mut parameters, "out", &out);
    match has_stats {
        true => at.result(&mut parameters, "stats", &at.write(1)?),
        false => parameters.absent("float *", "stats"),
    }
    let built = further(at, &mut parameters, &mut settings, attention, (fixed, sizes.heads), length)?;
    let (kernel, more) = match is_tensor {
        true => ("attention_mma", ""),
        false => {
            at.fault(&mut parameters);
            ("attention", ", fault, step")
        }
    };
    let body = format!("{{\n{built}    {kernel}<@_settings>(q, k, v, out, stats, further{more});\n}}\n");
    let [rows, threads, shared] = blocks.sizes(Pass::Forward, &sizes);
    let grid = [sizes.batch * sizes.heads * sizes.queries.div_ceil(rows), 1];
    at.launch(kernel, &settings.text(), &body, threads, grid, parameters)?;
    at.shares(shared);
    Ok(())
}

/// `(q, k, v, out, stats, dout, ..) -> (dq?, dk?, dv?, dbias?, scratch [B, H, T])`
pub(super) fn gradient(
    at: &mut At<'_>,
    attention: &AttentionSettings,
    writes: &[AttentionInput],
) -> Result<(), String> {
    let sizes = Sizes::of(at)?;
    let (depth, width) = (sizes.depth, sizes.width);
    let (out, dout, delta) = (at.read(3)?, at.read(5)?, at.write(writes.len())?);
    let asked = |input: AttentionInput| writes.iter().position(|write| *write == input);

    let mut first = Settings::default();
    sizes.print(&mut first);
    first.small("delta_threads", DELTA_THREADS).places("out", &out).places("dout", &dout);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "out", &out);
    at.operand(&mut parameters, "dout", &dout);
    at.result(&mut parameters, "delta", &delta);
    let warps = sizes.batch * sizes.heads * sizes.queries;
    let blocks = warps.div_ceil(DELTA_THREADS / WARP);
    at.template("attention_delta", "attention_delta", &first, DELTA_THREADS, [blocks, 1], parameters)?;

    let mut operands = vec![at.read(0)?, at.read(1)?, at.read(2)?, dout.clone()];
    for write in 0..writes.len() {
        operands.push(at.write(write)?);
    }
    let is_tensor = asked(AttentionInput::Bias).is_none()
        && attention_mma::applies(at, &sizes, &operands.iter().collect::<Vec<_>>());
    let kernels = [
        (Pass::Queries, [("dq", AttentionInput::Query), ("dbias", AttentionInput::Bias)]),
        (Pass::Keys, [("dk", AttentionInput::Key), ("dv", AttentionInput::Value)]),
    ];
    for (pass, results) in kernels {
        if results.iter().all(|(_, input)| asked(*input).is_none()) {
            continue;
        }
        let blocks = match is_tensor {
            true => Blocks::Tensor(attention_mma::Tiling::of(pass, &sizes, attention)),
            false => Blocks::Lanes(Tiling::of(depth, width, |rows, tile| {
                (rows + tile) * (depth + width + 2) + 2 * rows * (tile + 1)
            })?),
        };
        let mut settings = common(at, &sizes, attention)?;
        blocks.print(&mut settings);
        settings.places("dout", &dout);
        let mut parameters = Parameters::default();
        for (name, read) in [("q", 0), ("k", 1), ("v", 2), ("stats", 4), ("dout", 5)] {
            at.operand(&mut parameters, name, &at.read(read)?);
        }
        at.operand(&mut parameters, "delta", &delta);
        for (name, input) in results {
            settings.flag(&format!("has_{name}"), asked(input).is_some());
            match asked(input) {
                Some(write) => {
                    let view = at.write(write)?;
                    settings.places(name, &view);
                    at.result(&mut parameters, name, &view);
                }
                None => parameters.absent("float *", name),
            }
        }
        let built = further(at, &mut parameters, &mut settings, attention, (6, sizes.heads), None)?;
        let (kernel, gradients) = match (pass, is_tensor) {
            (Pass::Keys, true) => ("attention_mma_gradient_keys", "dk, dv"),
            (Pass::Keys, false) => ("attention_gradient_keys", "dk, dv"),
            (_, true) => ("attention_mma_gradient_queries", "dq"),
            (_, false) => ("attention_gradient_queries", "dq, dbias"),
        };
        let arguments = format!("q, k, v, stats, dout, delta, {gradients}, further");
        let body = format!("{{\n{built}    {kernel}<@_settings>({arguments});\n}}\n");
        let [rows, threads, shared] = blocks.sizes(pass, &sizes);
        let blocks = match pass {
            Pass::Keys => sizes.groups * sizes.keys.div_ceil(rows),
            _ => sizes.heads * sizes.queries.div_ceil(rows),
        };
        at.launch(kernel, &settings.text(), &body, threads, [sizes.batch * blocks, 1], parameters)?;
        at.shares(shared);
    }
    Ok(())
}
