//! Rotary position embedding, half-split layout (Su et al. 2021).

use super::operand::Operands;
use super::pool::Pool;
use super::simd::vectorised;

/// Elements of a task.
const PER_TASK: usize = 1 << 15;

/// `(x [B, T, H, K], positions [B, T]) -> [B, T, H, K]`: pairs `(i, i + K/2)` turned by `position * theta^(-2i/K)`.
pub fn rotate(operands: &mut Operands<'_>, pool: &Pool, theta: f64, inverse: bool) {
    let &[batch, tokens, heads, width] = operands.written(0).shape.as_slice() else {
        unreachable!("checked when the step was compiled")
    };
    // Rows by token, then row of the batch, then head: equal positions follow each other and share their angles.
    let order = [1, 0, 2];
    let source = (!operands.in_place(0)).then(|| operands.rows_in_order(0, &order));
    let positions = operands.integers(1);
    let tokens_per_task = (PER_TASK / (batch * heads * width)).max(1);
    let out = operands.rows_mut_in_order(0, &order).per_task(tokens_per_task * batch * heads);
    let half = width / 2;
    pool.run(tokens.div_ceil(tokens_per_task), out, |_, mut piece, scratch| {
        let (table, frequencies) = scratch.both(width, half);
        for (index, frequency) in frequencies.iter_mut().enumerate() {
            *frequency = theta.powf(-2.0 * index as f64 / width as f64);
        }
        let (cosines, sines) = table.split_at_mut(half);
        let mut present = None;
        for row in 0..piece.count() {
            let token = (piece.first() + row) / heads;
            let position = positions.get(token % batch * tokens + token / batch);
            if present != Some(position) {
                present = Some(position);
                for ((cosine, sine), frequency) in cosines.iter_mut().zip(sines.iter_mut()).zip(&*frequencies) {
                    let angle = f64::from(position) * frequency;
                    let (s, c) = if inverse { -angle } else { angle }.sin_cos();
                    (*sine, *cosine) = (s as f32, c as f32);
                }
            }
            let (low, high) = piece.row_from(row, &source).split_at_mut(half);
            turn(low, high, cosines, sines);
        }
    });
}

vectorised! {
    /// Turns the points `(low[i], high[i])`.
    fn turn(low: &mut [f32], high: &mut [f32], cosines: &[f32], sines: &[f32]) {
        for (((low, high), &cosine), &sine) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
            let (x, y) = (*low, *high);
            *low = x * cosine - y * sine;
            *high = y * cosine + x * sine;
        }
    }
}
