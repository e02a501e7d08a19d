//! `E08xx`: checkpoints, runs and models in directories.

use super::Code;

codes! {
    NOT_A_CHECKPOINT = "E0801", "no model in this directory", "\
`generate` and `score` take a checkpoint of llmc (`runs/RECIPE/STAGE/checkpoints/step-...`, or the run's own directory, \
which stands for its newest checkpoint) or a Hugging Face directory with `config.json` and `model.safetensors`.";
    DAMAGED_FILE = "E0802", "damaged file", "\
The file does not hold what its header promises: it was cut off, or it is not of this format. llmc writes checkpoints \
under a temporary name and renames them when they are complete, so a kill cannot cause this; an interrupted copy or a \
full disk can. An older checkpoint in the same directory is likely whole.";
    WEIGHTS_DO_NOT_FIT = "E0803", "weights do not fit the model", "\
Every weight of the model must be in the file under its path and with its shape, and the file may hold nothing that \
the model does not know. Three kinds of surplus are left out knowingly: the output projection of a model that ties it \
to the embedding, attention masks, and rotary frequencies, all of which old checkpoints carry. Usually the recipe's \
model has another width, depth or vocabulary than the one in the directory.";
    OTHER_RECIPE = "E0804", "checkpoint of another run", "\
A resumed run must be the run that was interrupted: the same model, data, tokenizer, objective, optimizer, batch and \
seed. Only how long it lasts and how often it reports may change (steps and what follows from them in the schedule, \
evaluation and checkpoint intervals, the sample). To go on from the weights with other settings, start a new stage: \
`init = hf(\"runs/.../checkpoints/step-...\")`.";
    RUN_EXISTS = "E0805", "the directory already holds a run", "\
A run never overwrites another. `--resume` continues the one that is there, `--out DIR` writes elsewhere, and `--fresh` \
removes what is there and starts anew.";
    NO_SPACE = "E0806", "not enough disk space", "\
The checkpoints that the run will hold at the same time do not fit into the free space of the disk. `llmc compile` \
prints the bytes of one. Keep fewer (`keep`), free some space, or write elsewhere with `--out`.";
    LOSS_NOT_FINITE = "E0807", "the loss is not a number", "\
The loss or the gradient norm became infinite or not-a-number. Training stops at once, so that the last checkpoint holds \
good weights. The usual reason is a learning rate that is too high for the model or a warm-up that is too short; \
gradient clipping (`clip_norm: 1.0`) helps.";
    RUN_FILE = "E0808", "a file of the run cannot be read or written", "\
The operating system refused. The message names the file and the reason.";
    UNKNOWN_FAMILY = "E0809", "model of an unknown family", "\
`config.json` names a `model_type` for which the standard library has no `huggingface` declaration, or the settings do \
not fit the model that it names. The message lists the known ones.";
    TOO_LONG = "E0810", "more tokens than the model's context", "\
The model has positions for a limited number of tokens, and prompt and continuation together need more. Shorten the \
prompt or ask for fewer tokens.";
    SCORE_INPUT = "E0811", "a line that cannot be scored", "\
Each line of the input is an object with either `text` (a string) or `tokens` (a list of token ids), of at most as many \
tokens as the model's context. `text` needs a tokenizer in the model's directory.";
    GENERATE_INPUT = "E0812", "a line that cannot be continued", "\
Each line of the input of `llmc generate` is an object with `prompt` (a string), and `seed` (a whole number) where it has \
one of its own. Other fields are carried through to the output of `--json`.";
}
