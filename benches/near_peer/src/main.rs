//! The crate gaoya over the field `text` of every line of a file, on one thread: `near_peer FILE.jsonl [THRESHOLD]`.
//! Signatures of 128 values over word 5-grams, and an index that each document asks before it is added to it.
//! Prints documents per second.

use std::time::Instant;

use gaoya::minhash::{MinHashIndex, MinHasher, MinHasher32, calculate_minhash_params};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("a file");
    let threshold: f64 = arguments.next().map_or(0.7, |text| text.parse().expect("a number"));
    let lines = std::fs::read_to_string(path).expect("the file can be read");
    let row = |line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON record");
    let texts: Vec<String> = lines.lines().map(|line| row(line)["text"].as_str().expect("a text").to_owned()).collect();
    let began = Instant::now();
    let (bands, width) = calculate_minhash_params(threshold, 128);
    let hasher = MinHasher32::new(bands * width);
    let mut index: MinHashIndex<u32, u32> = MinHashIndex::new(bands, width, threshold);
    let mut found = 0;
    for (number, text) in texts.iter().enumerate() {
        let words: Vec<&str> = text.split_whitespace().collect();
        let signature = hasher.create_signature(words.windows(5));
        found += usize::from(index.query_one(&signature).is_some());
        index.insert(number as u32, signature);
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({ "documents_per_second": texts.len() as f64 / seconds, "found": found, "bands": bands, "rows": width })
    );
}
