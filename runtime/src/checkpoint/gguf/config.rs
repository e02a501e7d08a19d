//! A GGUF file's metadata as the `config.json` of the same model, and back.

use llmc_compiler::plan::{Rotary, RotaryScaling};
use serde_json::{Map, Value as Json, json};

use super::header::{Header, Value, decimal};
use super::names::{Family, Heads};

/// Frequencies of Llama 3's rule stand as a tensor of divisors, from which its bounds are found again.
pub const DIVISORS: &str = "rope_freqs.weight";
/// How far a divisor may lie from its rule: they are kept as float32.
const DIVISOR_TOLERANCE: f64 = 1e-4;

/// The config that the metadata stands for. `divisors` are the values of [`DIVISORS`], if the file has them.
///
/// # Errors
/// A sentence, if the architecture is not known, a key is missing, or the model needs what the library cannot compute.
pub fn config(header: &Header, divisors: Option<&[f32]>) -> Result<Json, String> {
    let architecture = header.text("general.architecture").ok_or("it does not say `general.architecture`")?;
    let family = Family::find(architecture).ok_or_else(|| {
        let known: Vec<&str> = super::names::FAMILIES.iter().map(|family| family.architecture).collect();
        format!("its architecture is `{architecture}`; known are {}", known.join(" and "))
    })?;
    let keys = Keys { header, architecture };
    let mut config = match family.architecture {
        "llama" => llama(&keys, divisors)?,
        _ => gpt2(&keys)?,
    };
    for (key, ours) in [("bos", "bos_token_id"), ("eos", "eos_token_id")] {
        if let Some(id) = header.whole(&format!("tokenizer.ggml.{key}_token_id")) {
            config.insert(ours.to_owned(), json!(id));
        }
    }
    Ok(Json::Object(config))
}

/// Heads of queries and of keys.
///
/// # Errors
/// A sentence about the key that is missing.
pub fn heads(header: &Header) -> Result<Heads, String> {
    let architecture = header.text("general.architecture").unwrap_or_default();
    let keys = Keys { header, architecture };
    let queries = keys.whole("attention.head_count")?;
    Ok(Heads { queries, keys: keys.optional("attention.head_count_kv").unwrap_or(queries) })
}

/// The keys of one architecture.
struct Keys<'a> {
    header: &'a Header,
    architecture: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn optional(&self, name: &str) -> Option<u64> {
        self.header.whole(&self.key(name))
    }

    fn whole(&self, name: &str) -> Result<u64, String> {
        self.optional(name).ok_or_else(|| self.lacks(name))
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.header.number(&self.key(name))
    }

    fn lacks(&self, name: &str) -> String {
        format!("it does not give `{}` as a number", self.key(name))
    }

    /// Rows of the table of tokens.
    fn vocab(&self) -> Result<u64, String> {
        let table = self.header.tensors.iter().find(|tensor| tensor.name == "token_embd.weight");
        table.and_then(|table| table.shape.first().copied()).ok_or_else(|| "it has no `token_embd.weight`".to_owned())
    }

    fn has(&self, tensor: &str) -> bool {
        self.header.tensors.iter().any(|listed| listed.name == tensor)
    }
}

fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(object) => object,
        _ => Map::new(),
    }
}

fn gpt2(keys: &Keys<'_>) -> Result<Map<String, Json>, String> {
    Ok(object(json!({
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": keys.vocab()?,
        "n_positions": keys.whole("context_length")?,
        "n_embd": keys.whole("embedding_length")?,
        "n_layer": keys.whole("block_count")?,
        "n_head": keys.whole("attention.head_count")?,
        "n_inner": keys.whole("feed_forward_length")?,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": keys
            .number("attention.layer_norm_epsilon")
            .ok_or_else(|| keys.lacks("attention.layer_norm_epsilon"))?,
        "tie_word_embeddings": true,
    })))
}

fn llama(keys: &Keys<'_>, divisors: Option<&[f32]>) -> Result<Map<String, Json>, String> {
    if let Some(experts) = keys.optional("expert_count").filter(|&experts| experts > 0) {
        return Err(format!("it has {experts} experts a layer, which the model `llama` does not"));
    }
    let (width, heads) = (keys.whole("embedding_length")?, keys.whole("attention.head_count")?);
    let head = match keys.optional("attention.key_length") {
        Some(head) => head,
        None => width.checked_div(heads).ok_or("it has no heads")?,
    };
    if let Some(turned) = keys.optional("rope.dimension_count").filter(|&turned| turned != head) {
        return Err(format!("it turns {turned} of {head} elements of a head, the model `llama` turns all"));
    }
    let theta = keys.number("rope.freq_base").unwrap_or(10_000.0);
    let mut rope = object(rule(keys, divisors, theta, head)?);
    rope.insert("rope_theta".to_owned(), json!(theta));
    Ok(object(json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": keys.vocab()?,
        "hidden_size": width,
        "intermediate_size": keys.whole("feed_forward_length")?,
        "num_hidden_layers": keys.whole("block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": keys.optional("attention.head_count_kv").unwrap_or(heads),
        "head_dim": head,
        "hidden_act": "silu",
        "max_position_embeddings": keys.whole("context_length")?,
        "rms_norm_eps": keys
            .number("attention.layer_norm_rms_epsilon")
            .ok_or_else(|| keys.lacks("attention.layer_norm_rms_epsilon"))?,
        "rope_parameters": rope,
        "tie_word_embeddings": !keys.has("output.weight"),
    })))
}

/// The rule of rotary scaling, in the keys of a config.
fn rule(keys: &Keys<'_>, divisors: Option<&[f32]>, theta: f64, head: u64) -> Result<Json, String> {
    if let Some(divisors) = divisors {
        return llama3(divisors, theta, head)
            .ok_or_else(|| format!("its `{DIVISORS}` are not those of Llama 3's rule"));
    }
    let scaling = |name: &str| format!("rope.scaling.{name}");
    let factor = || keys.number(&scaling("factor")).ok_or_else(|| keys.lacks(&scaling("factor")));
    match keys.header.text(&keys.key(&scaling("type"))) {
        None | Some("none") => Ok(json!({ "rope_type": "default" })),
        Some("linear") => Ok(json!({ "rope_type": "linear", "factor": factor()? })),
        Some("yarn") => {
            let factor = factor()?;
            let mut rule = json!({
                "rope_type": "yarn", "factor": factor,
                "original_max_position_embeddings": keys.whole(&scaling("original_context_length"))?,
            });
            for (name, ours) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
                if let Some(turns) = keys.number(&scaling(name)) {
                    rule[ours] = json!(turns);
                }
            }
            // It multiplies the factor of the paper.
            let extra = ["yarn_attn_factor", "attn_factor"].iter().find_map(|name| keys.number(&scaling(name)));
            if let Some(extra) = extra.filter(|&extra| extra != 1.0) {
                rule["attention_factor"] = json!(extra * (0.1 * factor.ln() + 1.0));
            }
            Ok(rule)
        }
        Some(other) => Err(format!("its rule of rotary scaling is `{other}`; known are linear and yarn")),
    }
}

/// Llama 3's rule, whose divisors these are.
fn llama3(divisors: &[f32], theta: f64, head: u64) -> Option<Json> {
    // Before anything is computed for a head whose size may be damaged.
    if divisors.len() as u64 != head / 2 {
        return None;
    }
    let factor = decimal(divisors.iter().fold(1.0f32, |most, divisor| most.max(*divisor)));
    let (low, high) = (1.0, 4.0);
    let fits = |original: u64| {
        let expected = llama3_divisors(theta, head, RotaryScaling::Llama3 { factor, low, high, original });
        let mut distances =
            expected.iter().zip(divisors).map(|(expected, &divisor)| f64::from(divisor) / expected - 1.0);
        distances.all(|distance| distance.abs() < DIVISOR_TOLERANCE)
    };
    let original = (4..=24).map(|power| 1 << power).find(|&original| fits(original))?;
    Some(json!({
        "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
        "original_max_position_embeddings": original,
    }))
}

/// By what Llama 3's rule divides the frequencies of a head.
fn llama3_divisors(theta: f64, head: u64, scaling: RotaryScaling) -> Vec<f64> {
    let plain = Rotary::plain(theta);
    let scaled = Rotary { scaling, ..plain };
    plain.frequencies(head).into_iter().zip(scaled.frequencies(head)).map(|(plain, scaled)| plain / scaled).collect()
}

/// What is written beside the weights.
pub struct Written {
    /// Metadata.
    pub rows: Vec<(String, Value)>,
    /// The values of [`DIVISORS`].
    pub divisors: Option<Vec<f32>>,
}

/// The metadata of a model with this config (complete, as the library writes it).
///
/// # Errors
/// A sentence, if the architecture is not known or needs what a GGUF file cannot say.
pub fn metadata(config: &Json) -> Result<Written, String> {
    let architecture = config["model_type"].as_str().unwrap_or_default();
    let family = Family::find(architecture).ok_or_else(|| {
        let known: Vec<&str> = super::names::FAMILIES.iter().map(|family| family.architecture).collect();
        format!("GGUF is written for {}, not for `{architecture}`", known.join(" and "))
    })?;
    let whole = |key: &str| Value::Integer(config[key].as_u64().unwrap_or_default().into());
    let number = |key: &str| Value::Float(config[key].as_f64().unwrap_or_default());
    let named = |rows: &[(&str, Value)]| -> Vec<(String, Value)> {
        rows.iter().map(|(name, value)| (format!("{architecture}.{name}"), value.clone())).collect()
    };
    if family.architecture == "gpt2" {
        let rows = named(&[
            ("context_length", whole("n_positions")),
            ("embedding_length", whole("n_embd")),
            ("block_count", whole("n_layer")),
            ("feed_forward_length", whole("n_inner")),
            ("attention.head_count", whole("n_head")),
            ("attention.layer_norm_epsilon", number("layer_norm_epsilon")),
        ]);
        return Ok(Written { rows, divisors: None });
    }
    let mut rows = named(&[
        ("context_length", whole("max_position_embeddings")),
        ("embedding_length", whole("hidden_size")),
        ("block_count", whole("num_hidden_layers")),
        ("feed_forward_length", whole("intermediate_size")),
        ("attention.head_count", whole("num_attention_heads")),
        ("attention.head_count_kv", whole("num_key_value_heads")),
        ("attention.key_length", whole("head_dim")),
        ("attention.value_length", whole("head_dim")),
        ("attention.layer_norm_rms_epsilon", number("rms_norm_eps")),
        ("rope.dimension_count", whole("head_dim")),
        ("rope.freq_base", number("rope_theta")),
        ("vocab_size", whole("vocab_size")),
    ]);
    let rope = &config["rope_parameters"];
    let of_rule = |key: &str| rope[key].as_f64().unwrap_or_default();
    match rope["rope_type"].as_str().unwrap_or("default") {
        // The dynamic rule acts only beyond the context.
        "default" | "dynamic" => {}
        "linear" => rows.extend(named(&[
            ("rope.scaling.type", Value::Text("linear".to_owned())),
            ("rope.scaling.factor", Value::Float(of_rule("factor"))),
        ])),
        "yarn" => {
            if rope["truncate"] == false {
                return Err("GGUF has no YaRN with `truncate: false`".to_owned());
            }
            let original = rope["original_max_position_embeddings"].as_u64().unwrap_or_default();
            rows.extend(named(&[
                ("rope.scaling.type", Value::Text("yarn".to_owned())),
                ("rope.scaling.factor", Value::Float(of_rule("factor"))),
                ("rope.scaling.original_context_length", Value::Integer(original.into())),
                ("rope.scaling.yarn_beta_fast", Value::Float(of_rule("beta_fast"))),
                ("rope.scaling.yarn_beta_slow", Value::Float(of_rule("beta_slow"))),
            ]));
            if let Some(amplitude) = rope["attention_factor"].as_f64() {
                let extra = Value::Float(amplitude / (0.1 * of_rule("factor").ln() + 1.0));
                rows.extend(named(&[("rope.scaling.yarn_attn_factor", extra)]));
            }
        }
        _ => {
            let scaling = RotaryScaling::Llama3 {
                factor: of_rule("factor"),
                low: of_rule("low_freq_factor"),
                high: of_rule("high_freq_factor"),
                original: rope["original_max_position_embeddings"].as_u64().unwrap_or_default(),
            };
            let head = config["head_dim"].as_u64().unwrap_or_default();
            let divisors = llama3_divisors(of_rule("rope_theta"), head, scaling);
            let divisors = Some(divisors.into_iter().map(|divisor| divisor as f32).collect());
            return Ok(Written { rows, divisors });
        }
    }
    Ok(Written { rows, divisors: None })
}
