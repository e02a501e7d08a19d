//! Rotary position embedding (Su et al. 2021).

use llmc_compiler::plan::{Rotary, RotaryLayout};

use super::operand::Operands;
use super::pool::Pool;
use super::simd::vectorised;

/// Elements of a task.
const PER_TASK: usize = 1 << 15;

/// `(x [B, T, H, K], positions [B, T]) -> [B, T, H, K]`: each pair turned by `position * frequency`, times the amplitude.
pub fn rotate(operands: &mut Operands<'_>, pool: &Pool, rotary: &Rotary, inverse: bool) {
    let &[batch, tokens, heads, width] = operands.written(0).shape.as_slice() else {
        unreachable!("checked when the step was compiled")
    };
    // Rows by token, then row of the batch, then head: equal positions follow each other and share their angles.
    let order = [1, 0, 2];
    let source = (!operands.in_place(0)).then(|| operands.rows_in_order(0, &order));
    let positions = operands.integers(1);
    let tokens_per_task = (PER_TASK / (batch * heads * width)).max(1);
    let out = operands.rows_mut_in_order(0, &order).per_task(tokens_per_task * batch * heads);
    let (frequencies, amplitude) = (rotary.frequencies(width as u64), rotary.amplitude());
    pool.run(tokens.div_ceil(tokens_per_task), out, |_, mut piece, scratch| {
        let (cosines, sines) = scratch.floats(width).split_at_mut(width / 2);
        let mut present = None;
        for row in 0..piece.count() {
            let token = (piece.first() + row) / heads;
            let position = positions.get(token % batch * tokens + token / batch);
            if present != Some(position) {
                present = Some(position);
                for ((cosine, sine), frequency) in cosines.iter_mut().zip(sines.iter_mut()).zip(&frequencies) {
                    let angle = f64::from(position) * frequency;
                    let (s, c) = if inverse { -angle } else { angle }.sin_cos();
                    (*sine, *cosine) = ((amplitude * s) as f32, (amplitude * c) as f32);
                }
            }
            let head = piece.row_from(row, &source);
            match rotary.layout {
                RotaryLayout::Halves => {
                    let (low, high) = head.split_at_mut(width / 2);
                    turn(low, high, cosines, sines);
                }
                RotaryLayout::Interleaved => turn_neighbours(head.as_chunks_mut().0, cosines, sines),
            }
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

vectorised! {
    /// Turns points whose coordinates stand side by side.
    fn turn_neighbours(points: &mut [[f32; 2]], cosines: &[f32], sines: &[f32]) {
        for ((point, &cosine), &sine) in points.iter_mut().zip(cosines).zip(sines) {
            let [x, y] = *point;
            *point = [x * cosine - y * sine, y * cosine + x * sine];
        }
    }
}
