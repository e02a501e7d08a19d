//! "Did you mean": the known name that is nearest to a misspelt one.

/// The candidate nearest to `name` by edit distance, if it is near enough to be meant: at most a third of the
/// longer name may differ. Upper and lower case count as equal. The first of several equally near ones wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let letters: Vec<char> = candidate.to_lowercase().chars().collect();
        let allowed = (wanted.len().max(letters.len()) / 3).max(1);
        if candidate == name || wanted.len().abs_diff(letters.len()) > allowed {
            continue;
        }
        let distance = edit_distance(&wanted, &letters);
        // One letter for another in a one-letter name is no resemblance.
        if distance <= allowed && distance < letters.len() && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `did you mean NAME?`, or the known names where none is near.
pub fn suggestion(name: &str, candidates: &[&str]) -> Option<String> {
    if let Some(found) = nearest(name, candidates.iter().copied()) {
        return Some(format!("did you mean `{found}`?"));
    }
    let listed: Vec<String> = candidates.iter().take(12).map(|candidate| format!("`{candidate}`")).collect();
    match candidates.len() {
        0 => None,
        1..=12 => Some(format!("known here: {}", listed.join(", "))),
        _ => Some(format!("known here: {}, ...", listed.join(", "))),
    }
}

/// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours each cost 1.
fn edit_distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::{nearest, suggestion};

    #[test]
    fn misspelt_names_find_their_neighbour() {
        let known = ["learning_rate", "weight_decay", "heads", "hidden"];
        assert_eq!(nearest("learnig_rate", known), Some("learning_rate"));
        assert_eq!(nearest("haeds", known), Some("heads"));
        assert_eq!(nearest("Heads", known), Some("heads"));
        assert_eq!(nearest("banana", known), None);
        assert_eq!(nearest("x", ["y"]), None);
    }

    #[test]
    fn without_a_neighbour_the_known_names_are_listed() {
        assert_eq!(suggestion("banana", &["heads", "hidden"]).as_deref(), Some("known here: `heads`, `hidden`"));
        assert_eq!(suggestion("banana", &[]), None);
    }
}
