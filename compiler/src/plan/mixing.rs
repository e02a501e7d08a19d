//! Rows of several sources side by side: who stands where is a pure function of the shares and the row's number.

use super::Plan;

/// Epochs up to which repeated data is worth nearly as much as new data (Muennighoff et al. 2023, arXiv:2305.16264).
pub const REPEATS_WORTH_IT: f64 = 4.0;

/// Rows after which the order of the sources repeats itself.
const PERIOD: u64 = 1 << 16;

/// One stream of rows that a stage reads.
#[derive(Debug, Clone, PartialEq)]
pub struct PartPlan {
    /// For people: the data set's name, and the source's number where it is one of several.
    pub name: String,
    /// The data set.
    pub dataset: String,
    /// The source in it; none for all of them, one after another.
    pub source: Option<usize>,
    /// Parts of one data set have the same number.
    pub group: usize,
    /// The data set's weight; none: its rows.
    pub weight: Option<f64>,
    /// The part's share of its data set.
    pub within: f64,
    /// How often its rows are read at most.
    pub epochs: Option<f64>,
}

/// What a stage's `data` stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// The streams, in order. Never empty for the name of a data set or mixture.
    pub parts: Vec<PartPlan>,
    /// A data set's share is proportional to its weight to the power of `1 / temperature`.
    pub temperature: f64,
}

impl Plan {
    /// The streams behind the name of a data set or mixture.
    pub fn shares(&self, data: &str) -> Shares {
        let Some(mixture) = self.mixtures.get(data) else {
            return Shares { parts: self.sources(data, 0, None, None), temperature: 1.0 };
        };
        let parts = mixture.parts.iter().enumerate();
        let parts = parts.flat_map(|(group, part)| self.sources(&part.dataset, group, part.weight, part.epochs));
        Shares { parts: parts.collect(), temperature: mixture.temperature }
    }

    /// A data set as one stream, or, where its sources have weights, each source as one.
    fn sources(&self, name: &str, group: usize, weight: Option<f64>, epochs: Option<f64>) -> Vec<PartPlan> {
        let Some(dataset) = self.datasets.get(name) else {
            return Vec::new();
        };
        let part = |source: Option<usize>, within| PartPlan {
            name: match source {
                Some(index) => format!("{name}[{index}] {}", dataset.sources[index].place.describe()),
                None => name.to_owned(),
            },
            dataset: name.to_owned(),
            source,
            group,
            weight,
            within,
            epochs,
        };
        if !dataset.is_weighted() {
            return vec![part(None, 1.0)];
        }
        let weights: Vec<f64> = dataset.sources.iter().map(|source| source.about.weight.unwrap_or(1.0)).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().enumerate().map(|(index, weight)| part(Some(index), weight / sum)).collect()
    }
}

impl Shares {
    /// The share of each part, where they have so many rows. They sum to 1; a part without rows has none.
    pub fn of(&self, rows: &[u64]) -> Vec<f64> {
        let of_group = |group: usize| -> f64 {
            let members = self.parts.iter().zip(rows).filter(|(part, _)| part.group == group);
            members.map(|(_, rows)| *rows as f64).sum()
        };
        let part = |(part, rows): (&PartPlan, &u64)| match rows {
            0 => 0.0,
            _ => part.weight.unwrap_or_else(|| of_group(part.group)).powf(1.0 / self.temperature) * part.within,
        };
        let shares: Vec<f64> = self.parts.iter().zip(rows).map(part).collect();
        let sum: f64 = shares.iter().sum();
        shares.iter().map(|share| if sum > 0.0 { share / sum } else { 0.0 }).collect()
    }

    /// The order of the parts' rows, where they have so many.
    pub fn blend(&self, rows: &[u64]) -> Blend {
        let limit = |(part, rows): (&PartPlan, &u64)| {
            let limit = part.epochs? * *rows as f64;
            // More rows than that are never read.
            (limit < 9e15).then_some(limit as u64)
        };
        let limits: Vec<Option<u64>> = self.parts.iter().zip(rows).map(limit).collect();
        Blend::new(&self.of(rows), &limits)
    }
}

/// How often each part is read in `total` rows of a blend.
pub fn repeats(blend: &Blend, rows: &[u64], total: u64) -> Vec<f64> {
    let total = blend.end().map_or(total, |end| end.min(total));
    rows.iter().zip(blend.counts(total)).map(|(rows, read)| read as f64 / (*rows).max(1) as f64).collect()
}

/// The part that each row of a run is taken from.
///
/// Shares are whole numbers out of 65,536 rows, in which every part comes up as evenly as possible: each row goes to
/// the part that lies furthest behind its share. After any number of rows a part is less than one row per part away
/// from its share. A part that was read as often as it may be leaves its place to the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Blend {
    segments: Vec<Segment>,
    end: Option<u64>,
}

/// The rows from `start` on, until a part has run out.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    start: u64,
    /// Rows of each part before.
    before: Vec<u64>,
    /// Rows of each part in a period.
    quotas: Vec<u64>,
    /// Part, and its row's number within the period.
    slots: Vec<(u32, u32)>,
}

impl Blend {
    /// Parts with these shares; each has at most so many rows, where there is a limit.
    pub fn new(shares: &[f64], limits: &[Option<u64>]) -> Blend {
        let mut segments: Vec<Segment> = Vec::new();
        let (mut start, mut before) = (0, vec![0; shares.len()]);
        loop {
            let left = |part: usize| limits[part].is_none_or(|limit| before[part] < limit);
            let active: Vec<f64> =
                (0..shares.len()).map(|part| if left(part) { shares[part].max(0.0) } else { 0.0 }).collect();
            if active.iter().all(|share| *share == 0.0) {
                return Blend { segments, end: Some(start) };
            }
            let quotas = quotas(&active);
            let segment = Segment { start, before: before.clone(), slots: slots(&quotas), quotas };
            let end = limits.iter().enumerate().filter_map(|(part, limit)| segment.runs_out(part, (*limit)?)).min();
            if let Some(end) = end {
                before = segment.counts(end);
                start = end;
            }
            segments.push(segment);
            if end.is_none() {
                return Blend { segments, end: None };
            }
        }
    }

    /// The number of rows after which every part has run out; none where one never does.
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// Part and number within the part of row `number`. After the [end](Blend::end), the order goes on as if the
    /// last parts had no limit. A blend without parts has no rows.
    pub fn row(&self, number: u64) -> (usize, u64) {
        self.segment(number).row(number)
    }

    /// Rows of each part before row `number`.
    pub fn counts(&self, number: u64) -> Vec<u64> {
        if self.segments.is_empty() { Vec::new() } else { self.segment(number).counts(number) }
    }

    fn segment(&self, number: u64) -> &Segment {
        let later = self.segments.partition_point(|segment| segment.start <= number);
        &self.segments[later.max(1) - 1]
    }
}

impl Segment {
    fn row(&self, number: u64) -> (usize, u64) {
        let offset = number - self.start;
        let (part, index) = self.slots[(offset % PERIOD) as usize];
        let part = part as usize;
        (part, self.before[part] + offset / PERIOD * self.quotas[part] + u64::from(index))
    }

    fn counts(&self, number: u64) -> Vec<u64> {
        let (periods, rest) = ((number - self.start) / PERIOD, (number - self.start) % PERIOD);
        let whole = self.before.iter().zip(&self.quotas).map(|(before, quota)| before + periods * quota);
        let mut counts: Vec<u64> = whole.collect();
        self.slots[..rest as usize].iter().for_each(|(part, _)| counts[*part as usize] += 1);
        counts
    }

    /// The row before which the part has had `limit` rows.
    fn runs_out(&self, part: usize, limit: u64) -> Option<u64> {
        let quota = self.quotas[part];
        if quota == 0 {
            return None;
        }
        // The last row that it may have, from this segment's first on.
        let last = limit.checked_sub(self.before[part] + 1)?;
        let slot = self.slots.iter().position(|slot| *slot == (part as u32, (last % quota) as u32))?;
        Some(self.start + last / quota * PERIOD + slot as u64 + 1)
    }
}

/// Whole numbers that sum to [`PERIOD`], by largest remainder; at least 1 for every share above zero.
fn quotas(shares: &[f64]) -> Vec<u64> {
    let sum: f64 = shares.iter().sum();
    let wanted: Vec<f64> = shares.iter().map(|share| share / sum * PERIOD as f64).collect();
    let mut quotas: Vec<u64> =
        wanted.iter().map(|wanted| if *wanted > 0.0 { (wanted.floor() as u64).max(1) } else { 0 }).collect();
    let mut by_remainder: Vec<usize> = (0..shares.len()).filter(|part| quotas[*part] > 0).collect();
    by_remainder.sort_by(|one, other| {
        let remainder = |part: usize| wanted[part] - quotas[part] as f64;
        remainder(*other).total_cmp(&remainder(*one)).then(one.cmp(other))
    });
    let mut sum: u64 = quotas.iter().sum();
    for part in by_remainder.iter().cycle().take(2 * shares.len()) {
        if sum < PERIOD {
            quotas[*part] += 1;
            sum += 1;
        }
    }
    // Shares that were too small to have a row of their own took it from the largest.
    while sum > PERIOD {
        let largest = (0..quotas.len()).max_by_key(|part| (quotas[*part], usize::MAX - part)).unwrap_or(0);
        quotas[largest] -= 1;
        sum -= 1;
    }
    quotas
}

/// Every row of a period to the part that is furthest behind; of equals, to the first.
fn slots(quotas: &[u64]) -> Vec<(u32, u32)> {
    let mut taken = vec![0u64; quotas.len()];
    let behind = |part: usize, slot: u64, taken: &[u64]| {
        (quotas[part] * (slot + 1)) as i128 - i128::from(taken[part]) * i128::from(PERIOD)
    };
    (0..PERIOD)
        .map(|slot| {
            let furthest = (0..quotas.len()).rev().max_by_key(|part| behind(*part, slot, &taken)).unwrap_or(0);
            taken[furthest] += 1;
            (furthest as u32, taken[furthest] as u32 - 1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_proportion_after_any_number_of_them() {
        let shares = [0.5, 0.3, 0.2];
        let blend = Blend::new(&shares, &[None; 3]);
        let mut counts = [0u64; 3];
        for number in 0..200_000 {
            assert!(number % 1000 > 0 || blend.counts(number) == counts, "{number}");
            let (part, index) = blend.row(number);
            assert_eq!(index, counts[part], "row {number}");
            counts[part] += 1;
            for (count, share) in counts.iter().zip(shares) {
                let wanted = share * (number + 1) as f64;
                assert!((*count as f64 - wanted).abs() < 3.0, "{count} of {wanted}");
            }
        }
        assert_eq!(blend.end(), None);
    }

    #[test]
    fn a_part_that_runs_out_leaves_its_place() {
        let blend = Blend::new(&[0.5, 0.25, 0.25], &[Some(1000), None, Some(70_001)]);
        let mut counts = [0u64; 3];
        for number in 0..400_000 {
            let (part, index) = blend.row(number);
            assert_eq!(index, counts[part]);
            counts[part] += 1;
        }
        assert_eq!(counts, [1000, 400_000 - 71_001, 70_001]);
        assert_eq!(blend.counts(400_000), counts);
        assert_eq!(Blend::new(&[0.9, 0.1], &[Some(10), Some(20)]).end(), Some(30));
        assert_eq!(Blend::new(&[1.0], &[Some(7)]).end(), Some(7));
        assert_eq!(Blend::new(&[0.0, 0.0], &[None, None]).end(), Some(0));
    }

    #[test]
    fn tiny_shares_still_come_up() {
        let quotas = quotas(&[1e-9, 1.0, 1e-9, 0.0]);
        assert_eq!(quotas, [1, PERIOD - 2, 1, 0]);
        assert_eq!(super::quotas(&[1.0, 1.0, 1.0]).iter().sum::<u64>(), PERIOD);
    }

    #[test]
    fn weights_sizes_and_temperature_make_shares() {
        let part = |group, weight, within| PartPlan {
            name: String::new(),
            dataset: String::new(),
            source: None,
            group,
            weight,
            within,
            epochs: Some(2.0),
        };
        let by_size = |temperature| Shares { parts: vec![part(0, None, 1.0), part(1, None, 1.0)], temperature };
        assert_eq!(by_size(1.0).of(&[300, 100]), [0.75, 0.25]);
        assert_eq!(by_size(2.0).of(&[900, 100]), [0.75, 0.25]);
        assert_eq!(by_size(1.0).of(&[900, 0]), [1.0, 0.0]);
        let nested = Shares {
            parts: vec![part(0, Some(3.0), 0.5), part(0, Some(3.0), 0.5), part(1, Some(1.0), 1.0)],
            temperature: 1.0,
        };
        assert_eq!(nested.of(&[1, 5, 9]), [0.375, 0.375, 0.25]);
        let blend = by_size(1.0).blend(&[300, 100]);
        assert_eq!(blend.end(), Some(800));
        assert_eq!(repeats(&blend, &[300, 100], 400), [1.0, 1.0]);
        assert_eq!(repeats(&blend, &[300, 100], 100_000), [2.0, 2.0]);
    }
}
