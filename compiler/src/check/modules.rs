//! A recipe with everything it imports, parsed.

use llmc_grammar::codes::{IMPORT_CYCLE, IMPORT_NOT_FOUND};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Source;
use llmc_grammar::tree::{Import, Item, Tree};

use super::nearest::suggestion;
use crate::library;
use crate::world::World;

/// Deepest chain of imports that is followed.
const DEEPEST: usize = 64;

/// Parses `source` and its imports. The recipe itself comes first, then each import once, in the order of reading.
///
/// # Errors
/// Every syntax mistake of every file, and every import that is missing or leads back to its importer.
pub fn load(source: &Source, world: &dyn World) -> Result<Vec<Tree>, Diagnostics> {
    let mut loading = Loading {
        world,
        trees: Vec::new(),
        known: vec![source.name().to_owned()],
        open: vec![source.name().to_owned()],
        diagnostics: Vec::new(),
    };
    loading.read(source);
    match loading.diagnostics.is_empty() {
        true => Ok(loading.trees),
        false => Err(loading.diagnostics),
    }
}

struct Loading<'w> {
    world: &'w dyn World,
    trees: Vec<Tree>,
    /// Names of all sources read so far.
    known: Vec<String>,
    /// Names of the sources between the recipe and the one being read.
    open: Vec<String>,
    diagnostics: Diagnostics,
}

impl Loading<'_> {
    fn read(&mut self, source: &Source) {
        let tree = match llmc_grammar::parse(source) {
            Ok(tree) => tree,
            Err(mistakes) => return self.diagnostics.extend(mistakes),
        };
        let imports: Vec<Import> = tree
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Import(import) => Some(import.clone()),
                _ => None,
            })
            .collect();
        self.trees.push(tree);
        for import in imports {
            match self.find(&import, source) {
                Ok(imported) => self.follow(&import, &imported),
                Err(mistake) => self.diagnostics.push(*mistake),
            }
        }
    }

    fn find(&self, import: &Import, from: &Source) -> Result<Source, Box<Diagnostic>> {
        let missing = |reason: String| {
            Diagnostic::error(IMPORT_NOT_FOUND, format!("cannot import `{}`", import.path))
                .label(&import.path_span, reason)
        };
        if import.path == "std" || import.path.starts_with("std/") {
            return library::find(&import.path).ok_or_else(|| {
                let mistake = missing("not in the standard library".to_owned());
                Box::new(match suggestion(&import.path, &library::paths()) {
                    Some(help) => mistake.help(help),
                    None => mistake,
                })
            });
        }
        self.world.import(&import.path, from).map_err(|reason| {
            let library = format!("std/{}", import.path.trim_end_matches(".recipe"));
            Box::new(match library::find(&library) {
                Some(_) => missing(reason).help(format!("did you mean `import \"{library}\"`?")),
                None => missing(reason).help("paths are relative to the recipe that imports"),
            })
        })
    }

    fn follow(&mut self, import: &Import, imported: &Source) {
        let name = imported.name();
        if let Some(from) = self.open.iter().position(|open| open == name) {
            let mut circle: Vec<&str> = self.open[from..].iter().map(String::as_str).collect();
            circle.push(name);
            self.diagnostics.push(
                Diagnostic::error(IMPORT_CYCLE, format!("`{name}` imports itself"))
                    .label(&import.path_span, format!("in a circle: {}", circle.join(" -> ")))
                    .help("move what both need into a third recipe that both import"),
            );
        } else if self.open.len() >= DEEPEST {
            self.diagnostics.push(
                Diagnostic::error(IMPORT_CYCLE, "imports are nested too deeply")
                    .label(&import.path_span, format!("{DEEPEST} recipes import one another")),
            );
        } else if !self.known.iter().any(|known| known == name) {
            self.known.push(name.to_owned());
            self.open.push(name.to_owned());
            self.read(imported);
            self.open.pop();
        }
    }
}
