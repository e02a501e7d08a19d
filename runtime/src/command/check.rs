//! `llmc check`

use clap::Args;

use super::options::RecipeOptions;
use crate::failure::Failure;
use crate::report::terminal::Terminal;

/// Checks a recipe and says every mistake in it
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    recipe: RecipeOptions,
}

impl Check {
    /// Runs the command.
    ///
    /// # Errors
    /// Every mistake in the recipe.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let loaded = self.recipe.load(terminal)?;
        let stages: Vec<&str> = loaded.plan.stages.iter().map(|stage| stage.name.as_str()).collect();
        let what = match stages.as_slice() {
            [] => "no stage".to_owned(),
            [one] => format!("stage {one}"),
            many => format!("stages {}", many.join(", ")),
        };
        terminal.print(&format!("{} is sound: {what}\n", self.recipe.recipe.display()))
    }
}
