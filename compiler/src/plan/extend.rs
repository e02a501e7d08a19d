//! A trained model's way to a longer context.

use serde::Serialize;

/// Learned positions of a longer context, made of those of a shorter one. Rotary positions need nothing of the kind: their rule
/// stands in the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExtendPlan {
    /// Paths of the weights whose rows are positions.
    pub tables: Vec<String>,
    /// Where the new rows lie among the old ones.
    pub align: Align,
}

/// Where the rows of a table of more rows lie among those of a table of fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// The first and the last row stay the first and the last: row `i` of `new` lies at `i (old - 1) / (new - 1)`.
    Corners,
    /// Each row is a stretch of equal length, whose centres are compared: row `i` of `new` lies at `(i + 1/2) old / new - 1/2`,
    /// not before the first row and not behind the last (PyTorch's `interpolate` with `align_corners=False`).
    Centres,
}

impl Align {
    /// The place of row `row` of `new` rows among `old` rows.
    fn place(self, row: usize, old: usize, new: usize) -> f64 {
        let (row, old, new) = (row as f64, old as f64, new as f64);
        let place = match self {
            Align::Corners if new > 1.0 => row * (old - 1.0) / (new - 1.0),
            Align::Corners => 0.0,
            Align::Centres => (row + 0.5) * old / new - 0.5,
        };
        place.clamp(0.0, old - 1.0)
    }

    /// The `rows` rows of a table made of the rows of `table`, each of `width` values, by linear interpolation. A table of no
    /// rows gives none.
    pub fn interpolate(self, table: &[f32], width: usize, rows: usize) -> Vec<f32> {
        let old = table.len() / width.max(1);
        let mut values = Vec::with_capacity(rows * width);
        for row in 0..rows {
            if old == 0 {
                break;
            }
            let place = self.place(row, old, rows);
            let (below, share) = (place.floor() as usize, place.fract());
            let above = (below + 1).min(old - 1);
            let pairs = table[below * width..][..width].iter().zip(&table[above * width..][..width]);
            values.extend(pairs.map(|(&a, &b)| (f64::from(a) * (1.0 - share) + f64::from(b) * share) as f32));
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PyTorch 2.15 gives for the rows 0, 10, 20 with `interpolate(mode="linear")`, `align_corners` false and true.
    #[test]
    fn three_rows_become_seven() {
        let table = [0.0, 10.0, 20.0];
        let close = |align: Align, expected: [f32; 7]| {
            let found = align.interpolate(&table, 1, 7);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{align:?}: {found:?}");
        };
        close(Align::Centres, [0.0, 1.428_571_5, 5.714_286, 10.0, 14.285_714, 18.571_429, 20.0]);
        close(Align::Corners, [0.0, 3.333_333_3, 6.666_667, 10.0, 13.333_333, 16.666_666, 20.0]);
    }

    #[test]
    fn as_many_rows_are_the_same_rows() {
        let table: Vec<f32> = (0..15).map(|value| value as f32 * 0.37).collect();
        for align in [Align::Corners, Align::Centres] {
            assert_eq!(align.interpolate(&table, 3, 5), table);
            assert_eq!(align.interpolate(&table[..3], 3, 2), [&table[..3], &table[..3]].concat());
            assert!(align.interpolate(&[], 3, 2).is_empty());
        }
    }
}
