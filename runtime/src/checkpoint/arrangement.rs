//! Weights whose elements stand in another order in a file than in the model.

/// How a file's order differs from the model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// It does not.
    AsStored,
    /// Rows of each head: the file has the two of a rotated pair side by side, the model the first of all pairs, then the
    /// second ones.
    PairedRows {
        /// How many heads.
        heads: u64,
    },
    /// The file has `[out, in]`, the model `[in, out]`.
    Transposed,
}

impl Arrangement {
    /// The model's shape of a tensor that has `shape` in the file, and the other way round; none if it cannot be arranged so.
    pub fn shape(self, shape: &[u64]) -> Option<Vec<u64>> {
        match (self, shape) {
            (Arrangement::AsStored, _) => Some(shape.to_vec()),
            (Arrangement::Transposed, &[rows, columns]) => Some(vec![columns, rows]),
            (Arrangement::PairedRows { heads }, &[rows, _]) if heads > 0 && rows.is_multiple_of(2 * heads) => {
                Some(shape.to_vec())
            }
            _ => None,
        }
    }

    /// The file's values of `[rows, columns]` in the model's order.
    pub fn to_model(self, values: Vec<f32>, shape: &[u64]) -> Vec<f32> {
        match (self, shape) {
            (Arrangement::Transposed, &[rows, columns]) => transposed(&values, rows as usize, columns as usize),
            (Arrangement::PairedRows { heads }, &[rows, columns]) => {
                let half = (rows / heads / 2) as usize;
                // Row `s * half + j` of a head is row `2 j + s` of the file's.
                rows_from(&values, columns as usize, 2 * half, |row| 2 * (row % half) + row / half)
            }
            _ => values,
        }
    }

    /// The model's values of `[rows, columns]` in the file's order.
    pub fn to_file(self, values: Vec<f32>, shape: &[u64]) -> Vec<f32> {
        match (self, shape) {
            (Arrangement::Transposed, &[rows, columns]) => transposed(&values, rows as usize, columns as usize),
            (Arrangement::PairedRows { heads }, &[rows, columns]) => {
                let half = (rows / heads / 2) as usize;
                rows_from(&values, columns as usize, 2 * half, |row| row % 2 * half + row / 2)
            }
            _ => values,
        }
    }
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..values.len()).map(|index| values[index % rows * columns + index / rows]).collect()
}

/// The rows of each group in another order: row `r` is row `from(r)` of the group.
fn rows_from(values: &[f32], columns: usize, group: usize, from: impl Fn(usize) -> usize) -> Vec<f32> {
    let mut arranged = Vec::with_capacity(values.len());
    for group in values.chunks_exact(group * columns) {
        for row in 0..group.len() / columns {
            arranged.extend_from_slice(&group[from(row) * columns..][..columns]);
        }
    }
    arranged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arranging_goes_both_ways() {
        let values: Vec<f32> = (0..24).map(|value| value as f32).collect();
        // Two heads of four rows of three.
        let pairs = Arrangement::PairedRows { heads: 2 };
        let rows: Vec<f32> = pairs.to_model(values.clone(), &[8, 3]).chunks(3).map(|row| row[0] / 3.0).collect();
        assert_eq!(rows, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        for arrangement in [pairs, Arrangement::Transposed, Arrangement::AsStored] {
            let there = arrangement.to_file(values.clone(), &[8, 3]);
            let shape = arrangement.shape(&[8, 3]).unwrap();
            assert_eq!(arrangement.to_model(there, &shape), values, "{arrangement:?}");
        }
        assert_eq!(Arrangement::Transposed.to_model(values.clone(), &[8, 3])[..3], [0.0, 3.0, 6.0]);
        assert_eq!(Arrangement::PairedRows { heads: 3 }.shape(&[8, 3]), None);
        assert_eq!(Arrangement::Transposed.shape(&[8]), None);
    }
}
