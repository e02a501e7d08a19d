//! How fast near-duplicates are found: `near_duplicates FILE.jsonl [THRESHOLD]` reads the field `text` of every line
//! and times the step `dedup_near` over all of them on all cores (`RAYON_NUM_THREADS` limits them), from texts in
//! memory to the survivors in a file. Prints one line of JSON. `benches/near_duplicates.py` runs it beside others.

use std::error::Error;
use std::time::Instant;

use llmc_compiler::plan::ProcessPlan;
use llmc_data::Cache;
use llmc_data::process::models::Resources;
use llmc_data::process::{Document, Origin, PART_BYTES, Place, Reading, run};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("say which file")?;
    let threshold = arguments.next().map_or(Ok(0.7), |text| text.parse())?;
    let mut documents = Vec::new();
    for (line, position) in std::fs::read_to_string(&path)?.lines().zip(1..) {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let text = row["text"].as_str().ok_or("a line without `text`")?.to_owned();
        documents.push(Document { text, origin: Origin::new(path.clone(), position), done: Vec::new(), record: None });
    }
    let (count, bytes) = (documents.len(), documents.iter().map(|document| document.text.len()).sum::<usize>());
    let near = ProcessPlan::DedupNear { threshold, shingle: 5, hashes: 128 };
    let directory = std::env::temp_dir().join(format!("near_duplicates.{}", std::process::id()));
    let cache = Cache::new(&directory);
    let place = Place { cache: &cache, entry: "documents", part_bytes: PART_BYTES };
    let began = Instant::now();
    let mut input = Reading::new(documents.into_iter().map(Ok), |_| (Vec::new(), false), &|_| {});
    let finished = run(place, (&[near], &Resources::default()), &mut input).map_err(|error| format!("{error:?}"))?;
    let seconds = began.elapsed().as_secs_f64();
    let mut kept = vec![false; count];
    for document in finished.documents() {
        kept[document?.origin.position as usize - 1] = true;
    }
    std::fs::remove_dir_all(&directory)?;
    let report = finished.report;
    let dropped: Vec<usize> = (0..count).filter(|&number| !kept[number]).collect();
    println!(
        "{}",
        serde_json::json!({
            "documents": count, "bytes": bytes, "seconds": seconds, "documents_per_second": count as f64 / seconds,
            "dropped": dropped, "notes": report.steps[0].notes,
        })
    );
    Ok(())
}
