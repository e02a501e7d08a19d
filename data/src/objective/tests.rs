use llmc_compiler::plan::{Corruption, Masking, Objective, Permutation, PrefixLengths, Sentinels, SpecialToken};

use super::*;

const ROW: usize = 64;
const VOCAB: u64 = 1000;

/// Two rows of ids 100, 101, .. in two documents each; the second ends with padding.
fn batch() -> Batch {
    let mut batch = Batch::with_capacity(2, ROW);
    for filled in [ROW, ROW - 10] {
        for place in 0..filled {
            batch.tokens.push(100 + place as i32);
            batch.targets.push(101 + place as i32);
            batch.positions.push(place as i32);
            batch.documents.push(i32::from(place >= 40));
        }
        batch.pad_row();
    }
    batch
}

fn shaper(objective: Objective, lengths: Option<(usize, usize)>) -> Shaper {
    let special = Special {
        mask: 7,
        sentinels: (0..50).map(|number| 999 - number).collect(),
        end: Some(1),
        ..Special::default()
    };
    Shaper { objective, special, seed: 3, vocab: VOCAB, lengths }
}

fn masking(rate: f64, random: f64, keep: f64) -> Objective {
    Objective::MaskedLm(Masking { rate, random, keep, whole_words: false, mask: SpecialToken::Id(7) })
}

#[test]
fn masks_follow_the_published_shares() {
    let shaper = shaper(masking(0.15, 0.1, 0.1), None);
    let (mut masked, mut random, mut kept, mut chosen) = (0, 0, 0, 0);
    for step in 0..2000 {
        let batch = shaper.training(batch(), 2 * step);
        let row = &batch.targets[..ROW];
        // Exactly the share of each row, to the nearest token.
        assert_eq!(row.iter().filter(|&&target| target != IGNORED).count(), 10);
        let padding = &batch.targets[2 * ROW - 10..];
        assert!(padding.iter().all(|&target| target == IGNORED));
        for (place, &target) in row.iter().enumerate() {
            let (token, original) = (batch.tokens[place], 100 + place as i32);
            if target == IGNORED {
                assert_eq!(token, original);
                continue;
            }
            assert_eq!(target, original);
            chosen += 1;
            match token {
                7 => masked += 1,
                token if token == original => kept += 1,
                _ => random += 1,
            }
        }
        assert!(batch.order.iter().all(|&order| order == 0));
    }
    let share = |count: i32| f64::from(count) / f64::from(chosen);
    assert!(
        (share(masked) - 0.8).abs() < 0.01 && (share(random) - 0.1).abs() < 0.01 && (share(kept) - 0.1).abs() < 0.01
    );
}

#[test]
fn whole_words_are_hidden_together() {
    let mut shaper = shaper(
        Objective::MaskedLm(Masking {
            rate: 0.3,
            random: 0.0,
            keep: 0.0,
            whole_words: true,
            mask: SpecialToken::Id(7),
        }),
        None,
    );
    // Words of three tokens.
    shaper.special.begins_word = (0..VOCAB).map(|id| id < 100 || (id - 100) % 3 == 0).collect();
    for step in 0..50 {
        let batch = shaper.training(batch(), 2 * step);
        let hidden = |place: usize| batch.targets[place] != IGNORED;
        for word in (0..39).step_by(3) {
            assert!(hidden(word) == hidden(word + 1) && hidden(word) == hidden(word + 2), "{word}");
        }
    }
}

#[test]
fn prefixes_see_themselves_and_are_not_predicted() {
    let shaper = shaper(Objective::PrefixLm(PrefixLengths { shortest: 0.0, longest: 1.0 }), None);
    let mut lengths = std::collections::BTreeMap::new();
    for step in 0..3000 {
        let batch = shaper.training(batch(), 2 * step);
        for document in [0..40, 40..64] {
            // The last token that is not predicted ends the prefix.
            let predicted = |place: usize| batch.targets[place] != IGNORED;
            let first = document.clone().find(|&place| predicted(place)).expect("something is predicted");
            assert!((first..document.end).all(predicted));
            let start = document.start;
            for place in document.clone() {
                let expected = place.max(first);
                assert_eq!(batch.order[place], expected as i32, "{start} {first} {place}");
            }
            if start == 0 {
                *lengths.entry(first).or_insert(0) += 1;
            }
        }
    }
    // Prefixes of 0 and of 1 token both predict from the first on; every longer one is as likely as any other.
    assert_eq!(lengths.len(), 40);
    let mean = 3000.0 / 41.0;
    assert!(
        lengths.iter().skip(1).all(|(_, &count)| (f64::from(count) - mean).abs() < 5.0 * mean.sqrt()),
        "{lengths:?}"
    );
}

#[test]
fn spans_come_back_together() {
    let corruption = Corruption { density: 0.15, mean_span: 3.0, sentinels: Sentinels::From(999) };
    let (source, target) = (58, corruption.lengths(ROW as u64).1 as usize);
    assert_eq!(corruption.lengths(ROW as u64), (58, 14));
    let shaper = shaper(Objective::SpanCorruption(corruption), Some((source, target)));
    let mut noise_at = [0u32; ROW];
    for step in 0..3000 {
        let batch = shaper.training(batch(), 2 * step);
        assert_eq!((batch.row_length, batch.source_length), (target, source));
        let (kept, removed) = (&batch.source[..source], &batch.targets[..target]);
        assert_eq!((kept[source - 1], removed[target - 1]), (1, 1), "an end of text behind both");
        // The decoder reads what it predicts, one later.
        assert_eq!(batch.tokens[0], 0);
        assert_eq!(batch.tokens[1..target], removed[..target - 1]);
        // Sentinels in order, and each span put back in its place gives the row.
        let mut spans = removed[..target - 1].split(|&id| id >= 990).skip(1);
        let mut whole = Vec::new();
        for &id in &kept[..source - 1] {
            match id {
                990.. => {
                    let span = spans.next().expect("a span for each sentinel");
                    span.iter().for_each(|&id| noise_at[id as usize - 100] += 1);
                    whole.extend_from_slice(span);
                }
                id => whole.push(id),
            }
        }
        assert_eq!(whole, (100..164).collect::<Vec<i32>>());
        // The second row is shorter: the rest is padding.
        assert!(batch.source_documents[source..].contains(&-1) && batch.targets[target..].contains(&IGNORED));
    }
    // 10 of 64 tokens; none at the very start, for a row begins with what stays.
    assert_eq!(noise_at[0], 0);
    assert_eq!(noise_at.iter().sum::<u32>(), 30_000);
}

#[test]
fn the_last_of_a_random_order_are_predicted() {
    let shaper = shaper(Objective::PermutationLm(Permutation { predict: 0.25 }), None);
    let mut predicted_at = [0u32; ROW];
    for step in 0..2000 {
        let batch = shaper.training(batch(), 2 * step);
        let (order, targets) = (&batch.order[..ROW], &batch.targets[..ROW]);
        let mut places: Vec<i32> = order.iter().copied().filter(|&place| place > 0).collect();
        places.sort_unstable();
        assert_eq!(places, (1..=16).collect::<Vec<i32>>());
        for place in 0..ROW {
            let expected = if order[place] > 0 { 100 + place as i32 } else { IGNORED };
            assert_eq!(targets[place], expected);
            predicted_at[place] += u32::from(order[place] > 0);
        }
        // Nothing sees padding before all else.
        assert!(batch.order[2 * ROW - 10..].iter().all(|&order| order > 54));
    }
    assert!(predicted_at.iter().all(|&count| (f64::from(count) - 500.0).abs() < 100.0), "{predicted_at:?}");
}

#[test]
fn mixtures_draw_with_their_weights_and_rows_with_their_number() {
    let prefix = Objective::PrefixLm(PrefixLengths { shortest: 0.5, longest: 0.5 });
    let shaper = shaper(Objective::Mixture(vec![(0.75, masking(0.15, 0.0, 0.0)), (0.25, prefix)]), None);
    let is_masked = |batch: &Batch| batch.order[0] == 0 && batch.order[ROW - 1] == 0;
    let masked = (0..2000).filter(|&row| is_masked(&shaper.training(batch(), row))).count();
    assert!((masked as f64 / 2000.0 - 0.75).abs() < 0.04, "{masked}");
    assert_eq!(shaper.training(batch(), 8), shaper.training(batch(), 8));
    assert_ne!(shaper.training(batch(), 8), shaper.training(batch(), 10));
    // A row draws the same whichever batch it stands in.
    let (one, other) = (shaper.training(batch(), 8), shaper.training(batch(), 9));
    assert_eq!(one.tokens.len(), other.tokens.len());
    assert_ne!(shaper.evaluation(batch(), 8), shaper.training(batch(), 8));
}
