//! Whether a checkpoint belongs to the run that wants to continue it.

use serde_json::Value;

/// How many differences a message lists.
const SHOWN: usize = 8;

/// Fields of a stage that say how long it runs and how often it reports, and what follows from its length.
const FREE_FIELDS: [&str; 7] =
    ["steps", "schedule", "evaluate_every", "evaluate_rows", "checkpoint_every", "keep", "sample"];

/// What two resolved stages differ in, beyond what may change on resume: lines such as
/// `optimizer.adamw.learning_rate: 0.001 in the checkpoint, 0.002 in the recipe`. Places in the recipe's text are no difference.
pub fn differences(checkpoint: &Value, recipe: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    collect("", checkpoint, recipe, &mut lines);
    if schedule_kind(checkpoint) != schedule_kind(recipe) {
        lines.push(line("schedule.kind", &schedule_kind(checkpoint), &schedule_kind(recipe)));
    }
    let surplus = lines.len().saturating_sub(SHOWN);
    if surplus > 0 {
        lines.truncate(SHOWN);
        lines.push(format!("... and {surplus} more"));
    }
    lines
}

fn schedule_kind(stage: &Value) -> Value {
    stage["stage"]["schedule"]["kind"].clone()
}

fn collect(path: &str, left: &Value, right: &Value, lines: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                if !is_free(path, key) {
                    collect(&join(path, key), value, b.get(key).unwrap_or(&Value::Null), lines);
                }
            }
            for (key, value) in b {
                if !a.contains_key(key) && !is_free(path, key) {
                    collect(&join(path, key), &Value::Null, value, lines);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (x, y)) in a.iter().zip(b).enumerate() {
                collect(&join(path, &index.to_string()), x, y, lines);
            }
        }
        (a, b) if a == b => {}
        (a, b) => lines.push(line(path, a, b)),
    }
}

fn is_free(path: &str, key: &str) -> bool {
    key == "origin" || (path == "stage" && FREE_FIELDS.contains(&key))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn line(path: &str, checkpoint: &Value, recipe: &Value) -> String {
    format!("{path}: {} in the checkpoint, {} in the recipe", brief(checkpoint), brief(recipe))
}

fn brief(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(list) => format!("{} entries", list.len()),
        Value::Object(_) => "a group".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stage(learning_rate: f64, steps: u64, place: &str) -> Value {
        json!({ "stage": {
            "optimizer": { "learning_rate": learning_rate },
            "schedule": { "kind": "cosine", "steps": steps },
            "steps": steps,
            "model": { "nodes": [{ "op": "softmax", "origin": { "place": place } }] },
        }})
    }

    #[test]
    fn length_and_places_are_no_difference() {
        assert_eq!(differences(&stage(0.1, 10, "a:1"), &stage(0.1, 20, "a:2")), Vec::<String>::new());
    }

    #[test]
    fn settings_are_named_with_both_values() {
        assert_eq!(
            differences(&stage(0.1, 10, "a:1"), &stage(0.2, 10, "a:1")),
            ["stage.optimizer.learning_rate: 0.1 in the checkpoint, 0.2 in the recipe"]
        );
    }

    #[test]
    fn long_lists_end_in_a_count() {
        let numbers = |from: u64| json!((from..from + 20).collect::<Vec<_>>());
        let lines = differences(&json!({ "x": numbers(0) }), &json!({ "x": numbers(1) }));
        assert_eq!(lines.len(), SHOWN + 1);
        assert_eq!(lines[SHOWN], "... and 12 more");
    }
}
