//! llama.cpp's names of weights, and how it turns them round when it converts a Hugging Face directory
//! (`convert_hf_to_gguf.py` and `gguf-py` of <https://github.com/ggml-org/llama.cpp>).

use super::super::arrangement::Arrangement;

/// What the conversion does to a weight.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Turn {
    /// Nothing.
    Nothing,
    /// Rows of each query head go from half-split to interleaved pairs.
    Queries,
    /// Rows of each key head likewise.
    Keys,
    /// `[in, out]` becomes `[out, in]`.
    Transpose,
}

/// Names of one architecture: ours (those of Hugging Face), llama.cpp's, what is done. Without `.weight` and `.bias`.
#[derive(Debug)]
pub struct Family {
    /// `general.architecture`, which is also the `model_type` of a config.
    pub architecture: &'static str,
    outside: &'static [(&'static str, &'static str)],
    /// What stands before the number of a layer; in GGUF that is `blk.`
    layer: &'static str,
    inside: &'static [(&'static str, &'static str, Turn)],
}

/// Every architecture that can be read and written.
pub static FAMILIES: [Family; 2] = [
    Family {
        architecture: "llama",
        outside: &[("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")],
        layer: "model.layers.",
        inside: &[
            ("input_layernorm", "attn_norm", Turn::Nothing),
            ("self_attn.q_proj", "attn_q", Turn::Queries),
            ("self_attn.k_proj", "attn_k", Turn::Keys),
            ("self_attn.v_proj", "attn_v", Turn::Nothing),
            ("self_attn.o_proj", "attn_output", Turn::Nothing),
            ("post_attention_layernorm", "ffn_norm", Turn::Nothing),
            ("mlp.gate_proj", "ffn_gate", Turn::Nothing),
            ("mlp.up_proj", "ffn_up", Turn::Nothing),
            ("mlp.down_proj", "ffn_down", Turn::Nothing),
        ],
    },
    Family {
        architecture: "gpt2",
        outside: &[
            ("transformer.wte", "token_embd"),
            ("transformer.wpe", "position_embd"),
            ("transformer.ln_f", "output_norm"),
            ("lm_head", "output"),
        ],
        layer: "transformer.h.",
        inside: &[
            ("ln_1", "attn_norm", Turn::Nothing),
            ("attn.c_attn", "attn_qkv", Turn::Transpose),
            ("attn.c_proj", "attn_output", Turn::Transpose),
            ("ln_2", "ffn_norm", Turn::Nothing),
            ("mlp.c_fc", "ffn_up", Turn::Transpose),
            ("mlp.c_proj", "ffn_down", Turn::Transpose),
        ],
    },
];

/// Heads of a model's queries, and of its keys and values.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Of the queries.
    pub queries: u64,
    /// Of keys and values.
    pub keys: u64,
}

impl Family {
    /// The family called so.
    pub fn find(architecture: &str) -> Option<&'static Family> {
        FAMILIES.iter().find(|family| family.architecture == architecture)
    }

    /// llama.cpp's name for a weight of ours; none if it has none.
    pub fn theirs(&self, ours: &str, heads: Heads) -> Option<(String, Arrangement)> {
        self.renamed(ours, heads, (self.layer, "blk."), |(ours, theirs)| (ours, theirs))
    }

    /// Our name for a weight of llama.cpp's; none if it has none.
    pub fn ours(&self, theirs: &str, heads: Heads) -> Option<(String, Arrangement)> {
        self.renamed(theirs, heads, ("blk.", self.layer), |(ours, theirs)| (theirs, ours))
    }

    fn renamed(
        &self,
        name: &str,
        heads: Heads,
        (from_layer, to_layer): (&str, &str),
        direction: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
    ) -> Option<(String, Arrangement)> {
        let (stem, kind) = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
        if let Some((_, to)) = self.outside.iter().map(|&row| direction(row)).find(|(from, _)| *from == stem) {
            return Some((format!("{to}.{kind}"), Arrangement::AsStored));
        }
        let (number, rest) = stem.strip_prefix(from_layer)?.split_once('.')?;
        let rows = self.inside.iter().map(|&(ours, theirs, turn)| (direction((ours, theirs)), turn));
        let ((_, to), turn) = rows.into_iter().find(|((from, _), _)| *from == rest)?;
        let arrangement = match turn {
            Turn::Queries => Arrangement::PairedRows { heads: heads.queries },
            Turn::Keys => Arrangement::PairedRows { heads: heads.keys },
            Turn::Transpose if kind == "weight" => Arrangement::Transposed,
            Turn::Nothing | Turn::Transpose => Arrangement::AsStored,
        };
        Some((format!("{to_layer}{number}.{to}.{kind}"), arrangement))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        let heads = Heads { queries: 8, keys: 2 };
        for (architecture, ours, theirs, arrangement) in [
            ("llama", "lm_head.weight", "output.weight", Arrangement::AsStored),
            (
                "llama",
                "model.layers.11.self_attn.q_proj.weight",
                "blk.11.attn_q.weight",
                Arrangement::PairedRows { heads: 8 },
            ),
            (
                "llama",
                "model.layers.0.self_attn.k_proj.weight",
                "blk.0.attn_k.weight",
                Arrangement::PairedRows { heads: 2 },
            ),
            ("gpt2", "transformer.h.3.mlp.c_fc.weight", "blk.3.ffn_up.weight", Arrangement::Transposed),
            ("gpt2", "transformer.h.3.mlp.c_fc.bias", "blk.3.ffn_up.bias", Arrangement::AsStored),
            ("gpt2", "transformer.wpe.weight", "position_embd.weight", Arrangement::AsStored),
        ] {
            let family = Family::find(architecture).unwrap();
            assert_eq!(family.theirs(ours, heads), Some((theirs.to_owned(), arrangement)));
            assert_eq!(family.ours(theirs, heads), Some((ours.to_owned(), arrangement)));
        }
        let llama = Family::find("llama").unwrap();
        assert_eq!(llama.ours("rope_freqs.weight", heads), None);
        assert_eq!(llama.ours("blk.0.ffn_gate_exps.weight", heads), None);
        assert!(Family::find("bloom").is_none());
    }
}
