//! Places of the largest elements, elements by id, and products of rows with the matrices that their ids name.

use super::Argument;
use super::rows::rows;
use super::settings::Settings;
use super::writer::{At, Parameters, THREADS};
use crate::program::View;

/// Rows and columns of a block of a product.
const SIDE: u64 = 64;

/// Constants of kernels that take a thread for an element: how many rows there are, and what a row has.
fn shape(rows: u64, width: u64, count: u64) -> Settings {
    let mut settings = Settings::default();
    settings.small("threads", THREADS).whole("rows", rows).whole("width", width).whole("count", count);
    settings
}

/// `(x [.., N]) -> [.., count]`
pub(super) fn top_k(at: &mut At<'_>, count: u64) -> Result<(), String> {
    let (x, out) = (at.read(0)?, at.write(0)?);
    let (width, rows) = rows(&x);
    let mut settings = shape(rows, width, count);
    settings.rows("x", &x);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.result(&mut parameters, "out", &out);
    at.template("top_k", "top_k", &settings, THREADS, [rows.div_ceil(THREADS), 1], parameters)
}

/// `(x [.., N], ids [.., K]) -> [.., K]`
pub(super) fn pick(at: &mut At<'_>) -> Result<(), String> {
    let (x, ids, out) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let ((width, _), (count, rows)) = (rows(&x), rows(&ids));
    let mut settings = shape(rows, width, count);
    settings.rows("x", &x);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.operand(&mut parameters, "ids", &ids);
    at.result(&mut parameters, "out", &out);
    at.fault(&mut parameters);
    at.template("pick", "pick", &settings, THREADS, [ids.elements().div_ceil(THREADS), 1], parameters)
}

/// `(ids [.., K], updates [.., K]) -> [.., N]`
pub(super) fn place(at: &mut At<'_>) -> Result<(), String> {
    let (ids, updates, out) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let ((width, rows), (count, _)) = (rows(&out), rows(&ids));
    let mut settings = shape(rows, width, count);
    settings.rows("updates", &updates).rows("out", &out);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "ids", &ids);
    at.operand(&mut parameters, "updates", &updates);
    at.result(&mut parameters, "out", &out);
    at.fault(&mut parameters);
    at.template("place", "place", &settings, THREADS, [out.elements().div_ceil(THREADS), 1], parameters)
}

/// Addresses in the workspace: the numbers of all rows grouped by id, and where each group starts.
struct Groups {
    rows: u64,
    starts: u64,
}

impl Groups {
    /// Launches the grouping of rows by ids below `groups`.
    fn print(at: &mut At<'_>, ids: &View, groups: u64) -> Result<Groups, String> {
        let count = ids.elements();
        let found = Groups { rows: at.workspace(4 * count), starts: at.workspace(4 * (groups + 1)) };
        let mut settings = Settings::default();
        settings.small("threads", THREADS).whole("groups", groups).whole("count", count);
        settings.whole("rows_a_thread", count.div_ceil(THREADS));
        let mut parameters = Parameters::default();
        at.operand(&mut parameters, "ids", ids);
        found.pass(&mut parameters, "u32 *");
        at.fault(&mut parameters);
        at.template("group_rows", "group_rows", &settings, THREADS, [groups, 1], parameters)?;
        Ok(found)
    }

    /// Parameters of what writes or reads them.
    fn pass(&self, parameters: &mut Parameters, kind: &str) {
        parameters.push(kind, "rows", Argument::Workspace(self.rows));
        parameters.push(kind, "starts", Argument::Workspace(self.starts));
    }
}

/// How many ids belong to one row of an operand.
fn ids_a_row(ids: &View, operand: &View) -> u64 {
    ids.elements() / rows(operand).1.max(1)
}

/// Sizes of matrices `[E, D, N]` and their strides.
fn matrices(view: &View) -> Result<([u64; 3], [u64; 3]), String> {
    match (&view.shape[..], &view.strides[..]) {
        (&[groups, depth, columns], &[matrix, row, column]) => Ok(([groups, depth, columns], [matrix, row, column])),
        _ => Err("matrices by id of other than three axes".to_owned()),
    }
}

/// `(x [R, D], ids [M], matrices [E, D, N]) -> [M, N]`
pub(super) fn matmul(at: &mut At<'_>) -> Result<(), String> {
    let (x, ids, weights, out) = (at.read(0)?, at.read(1)?, at.read(2)?, at.write(0)?);
    let ([groups, depth, columns], [matrix, row, column]) = matrices(&weights)?;
    let grouped = Groups::print(at, &ids, groups)?;
    let mut settings = Settings::default();
    settings.whole("groups", groups).whole("depth", depth).whole("columns", columns);
    settings.whole("matrix", matrix).whole("matrix_row", row).whole("matrix_column", column);
    settings.flag("along_depth", row == 1 && column != 1).whole("ids_a_row", ids_a_row(&ids, &x));
    settings.rows("x", &x).rows("out", &out);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.operand(&mut parameters, "matrices", &weights);
    grouped.pass(&mut parameters, "const u32 *");
    at.result(&mut parameters, "out", &out);
    // Every group may end with a tile that is not full.
    let count = ids.elements();
    let tiles = (count + (SIDE - 1) * groups.min(count)) / SIDE * columns.div_ceil(SIDE);
    at.template("routed_matmul", "routed_matmul", &settings, THREADS, [tiles, 1], parameters)
}

/// `(a [R, D], ids [M], b [S, N]) (+)-> [E, D, N]`
pub(super) fn outer(at: &mut At<'_>, accumulate: bool) -> Result<(), String> {
    let (a, ids, b, out) = (at.read(0)?, at.read(1)?, at.read(2)?, at.write(0)?);
    let ([groups, height, columns], [matrix, row, column]) = matrices(&out)?;
    let grouped = Groups::print(at, &ids, groups)?;
    let mut settings = Settings::default();
    settings.flag("accumulate", accumulate).whole("rows", height).whole("columns", columns);
    settings.whole("matrix", matrix).whole("matrix_row", row).whole("matrix_column", column);
    settings.whole("ids_a_row", ids_a_row(&ids, &a)).whole("ids_b_row", ids_a_row(&ids, &b));
    settings.rows("a", &a).rows("b", &b);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "a", &a);
    at.operand(&mut parameters, "b", &b);
    grouped.pass(&mut parameters, "const u32 *");
    at.result(&mut parameters, "out", &out);
    let tiles = height.div_ceil(SIDE) * columns.div_ceil(SIDE);
    at.template("routed_outer", "routed_outer", &settings, THREADS, [tiles, groups], parameters)
}
