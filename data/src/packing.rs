//! Documents packed into rows, so that no document is cut but those that are longer than a row.
//!
//! A document of `n` tokens is `n - 1` pairs of a token and the one that follows it. One of more pairs than a row has
//! positions is cut into rows and a rest; what is shorter than a row goes by best-fit decreasing, longest first, into
//! the row that it leaves least room in (Ding et al. 2024, arXiv:2404.10830). 16 bytes lie in memory for each piece.

use std::collections::BTreeMap;

use super::stream::TokenStream;

/// A part of one document in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its first input, counted in tokens of the stream.
    pub first: u64,
    /// Inputs; the last target is the token after the last input.
    pub pairs: u32,
}

/// Which pieces lie in which row.
#[derive(Debug, PartialEq, Eq)]
pub struct Packing {
    /// Row after row, in a row as in the stream.
    pieces: Vec<Piece>,
    /// One past the last piece of each row.
    ends: Vec<usize>,
    /// Documents in several pieces.
    cut: u64,
    /// Documents of one token: nothing follows that could be predicted.
    left_out: u64,
}

impl Packing {
    /// One row for each piece.
    pub fn padded(stream: &TokenStream, row_length: u64) -> Packing {
        Packing::new(stream, row_length, |pieces| (0..pieces.len()).collect())
    }

    /// Pieces together by best-fit decreasing.
    pub fn best_fit(stream: &TokenStream, row_length: u64) -> Packing {
        Packing::new(stream, row_length, |pieces| best_fit(pieces, row_length as u32))
    }

    /// `assign` gives the row of each piece.
    fn new(stream: &TokenStream, row_length: u64, assign: impl FnOnce(&[Piece]) -> Vec<usize>) -> Packing {
        let mut packing = Packing { pieces: Vec::new(), ends: Vec::new(), cut: 0, left_out: 0 };
        let mut begin = 0;
        for document in 0..stream.documents() {
            let end = stream.document_end(document);
            let pairs = (end - begin).saturating_sub(1);
            packing.left_out += u64::from(pairs == 0);
            packing.cut += u64::from(pairs > row_length);
            let starts = (begin..begin + pairs).step_by(row_length as usize);
            // No row is longer than the language allows, which is far less than 2^32.
            let piece = |first| Piece { first, pairs: row_length.min(begin + pairs - first) as u32 };
            packing.pieces.extend(starts.map(piece));
            begin = end;
        }
        packing.sort(assign(&packing.pieces));
        packing
    }

    /// Puts pieces in the order of their rows, and the rows in the order of their first pieces.
    fn sort(&mut self, row_of: Vec<usize>) {
        let unseen = usize::MAX;
        let mut number = vec![unseen; row_of.iter().max().map_or(0, |last| last + 1)];
        for &row in &row_of {
            if number[row] == unseen {
                number[row] = self.ends.len();
                self.ends.push(0);
            }
            self.ends[number[row]] += 1;
        }
        let mut next: Vec<usize> = Vec::with_capacity(self.ends.len());
        let mut sum = 0;
        for end in &mut self.ends {
            next.push(sum);
            sum += *end;
            *end = sum;
        }
        let mut sorted = self.pieces.clone();
        for (piece, row) in self.pieces.iter().zip(row_of) {
            let place = &mut next[number[row]];
            sorted[*place] = *piece;
            *place += 1;
        }
        self.pieces = sorted;
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.ends.len() as u64
    }

    /// The pieces of a row, which must be there.
    pub fn row(&self, row: u64) -> &[Piece] {
        let row = row as usize;
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.pieces[start..self.ends[row]]
    }

    /// Tokens that are predicted.
    pub fn pairs(&self) -> u64 {
        self.pieces.iter().map(|piece| u64::from(piece.pairs)).sum()
    }

    /// Documents longer than a row.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Documents too short to predict anything in.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

/// A row for each piece: for the longest first, then the first, the row with the least room that is enough.
fn best_fit(pieces: &[Piece], row_length: u32) -> Vec<usize> {
    let mut longest_first: Vec<usize> = (0..pieces.len()).collect();
    longest_first.sort_by_key(|&piece| std::cmp::Reverse(pieces[piece].pairs));
    let mut row_of = vec![0; pieces.len()];
    let mut rows = 0;
    // Rows that are not full, by the room that they have.
    let mut open: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for piece in longest_first {
        let pairs = pieces[piece].pairs;
        let fitting =
            open.range_mut(pairs..).next().and_then(|(&room, rows)| Some((room, rows.pop()?, rows.is_empty())));
        let (room, row) = match fitting {
            Some((room, row, last)) => {
                if last {
                    open.remove(&room);
                }
                (room, row)
            }
            None => {
                rows += 1;
                (row_length, rows - 1)
            }
        };
        row_of[piece] = row;
        if room > pairs {
            open.entry(room - pairs).or_default().push(row);
        }
    }
    row_of
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(pairs: &[u32]) -> Vec<Piece> {
        let begins = pairs.iter().scan(0, |sum, &pairs| {
            *sum += u64::from(pairs) + 1;
            Some(*sum - u64::from(pairs) - 1)
        });
        begins.zip(pairs).map(|(first, &pairs)| Piece { first, pairs }).collect()
    }

    fn packed(pairs: &[u32], row_length: u32) -> Packing {
        let pieces = pieces(pairs);
        let rows = best_fit(&pieces, row_length);
        let mut packing = Packing { pieces, ends: Vec::new(), cut: 0, left_out: 0 };
        packing.sort(rows);
        packing
    }

    #[test]
    fn the_longest_go_first_into_the_tightest_row() {
        let packing = packed(&[3, 6, 4, 8, 2, 5, 1], 8);
        let rows: Vec<Vec<u32>> =
            (0..packing.rows()).map(|row| packing.row(row).iter().map(|piece| piece.pairs).collect()).collect();
        assert_eq!(rows, [vec![3, 5], vec![6, 2], vec![4, 1], vec![8]]);
    }

    proptest! {
        #[test]
        fn every_piece_lies_in_one_row(pairs in prop::collection::vec(1..50u32, 0..300), longer in 0..20u32) {
            let row_length = 50 + longer;
            let packing = packed(&pairs, row_length);
            let mut found = Vec::new();
            for row in 0..packing.rows() {
                let row = packing.row(row);
                prop_assert!(row.iter().map(|piece| piece.pairs).sum::<u32>() <= row_length);
                prop_assert!(row.is_sorted_by_key(|piece| piece.first));
                found.extend_from_slice(row);
            }
            found.sort_by_key(|piece| piece.first);
            prop_assert_eq!(found, pieces(&pairs));
            // Best-fit decreasing needs at most 11/9 of the rows of the best packing, and one more (Johnson 1973).
            let least = pairs.iter().sum::<u32>().div_ceil(row_length);
            let most = pairs.iter().filter(|&&pairs| pairs > row_length / 2).count() as u64;
            prop_assert!(packing.rows() <= u64::from(2 * least).max(most + 1));
        }
    }
}
