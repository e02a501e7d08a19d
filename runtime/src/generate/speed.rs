//! How fast texts were read and continued.

use std::time::Duration;

use serde::Serialize;

/// Sums over all batches. Reading a prompt ends with the first token drawn after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Speed {
    batch: u64,
    prompt_tokens: u64,
    prefill: Duration,
    decode_tokens: u64,
    decode_steps: u64,
    decode: Duration,
}

/// As it is reported.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// Texts side by side.
    pub batch: u64,
    /// Tokens of the prompts.
    pub prompt_tokens: u64,
    /// Seconds until the first token of each batch was drawn.
    pub prefill_s: f64,
    /// Tokens of the prompts over that time.
    pub prefill_tokens_per_s: f64,
    /// Tokens drawn after the first of each text.
    pub decode_tokens: u64,
    /// Seconds of drawing them.
    pub decode_s: f64,
    /// The same as a rate, all texts together.
    pub decode_tokens_per_s: f64,
    /// Milliseconds of a step, in which every text gets a token.
    pub ms_per_token: f64,
}

impl Speed {
    /// Of no text yet.
    pub fn new(batch: u64) -> Speed {
        let none = Duration::ZERO;
        Speed { batch, prompt_tokens: 0, prefill: none, decode_tokens: 0, decode_steps: 0, decode: none }
    }

    /// Prompts that were read.
    pub fn add_prefill(&mut self, tokens: usize, time: Duration) {
        self.prompt_tokens += tokens as u64;
        self.prefill += time;
    }

    /// Tokens that were drawn in so many steps.
    pub fn add_decode(&mut self, tokens: u64, steps: u64, time: Duration) {
        self.decode_tokens += tokens;
        self.decode_steps += steps;
        self.decode += time;
    }

    /// The figures.
    pub fn stats(&self) -> Stats {
        let (prefill_s, decode_s) = (self.prefill.as_secs_f64(), self.decode.as_secs_f64());
        Stats {
            batch: self.batch,
            prompt_tokens: self.prompt_tokens,
            prefill_s,
            prefill_tokens_per_s: over(self.prompt_tokens as f64, prefill_s),
            decode_tokens: self.decode_tokens,
            decode_s,
            decode_tokens_per_s: over(self.decode_tokens as f64, decode_s),
            ms_per_token: over(decode_s * 1e3, self.decode_steps as f64),
        }
    }

    /// The figures in a line.
    pub fn line(&self) -> String {
        let Stats { prompt_tokens, prefill_s, prefill_tokens_per_s, decode_tokens, decode_tokens_per_s, .. } =
            self.stats();
        let read = format!("read {prompt_tokens} tokens in {prefill_s:.3} s ({prefill_tokens_per_s:.1} tokens/s)");
        if decode_tokens == 0 {
            return read;
        }
        let latency = self.stats().ms_per_token;
        format!("{read}, drew {decode_tokens} more at {decode_tokens_per_s:.1} tokens/s ({latency:.2} ms a token)")
    }
}

/// A quotient, 0 where there is nothing to divide by.
fn over(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_time_they_took() {
        let mut speed = Speed::new(2);
        assert_eq!(speed.stats().decode_tokens_per_s, 0.0);
        speed.add_prefill(100, Duration::from_millis(500));
        assert_eq!(speed.line(), "read 100 tokens in 0.500 s (200.0 tokens/s)");
        speed.add_decode(30, 20, Duration::from_secs(1));
        let stats = speed.stats();
        assert_eq!((stats.prefill_tokens_per_s, stats.decode_tokens_per_s, stats.ms_per_token), (200.0, 30.0, 50.0));
        assert!(speed.line().ends_with("drew 30 more at 30.0 tokens/s (50.00 ms a token)"));
    }
}
