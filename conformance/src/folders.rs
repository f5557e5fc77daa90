//! Checks that the folders of a crate have no circular dependencies. A folder may use its
//! neighbours, but none of them may use it in turn, directly or through others. So a folder can be
//! read after those that it uses.
//!
//! The check reads the paths that start with `crate`, `super` or `self`, in `use` declarations and
//! elsewhere, and follows re-exports to the module that defines the item. The neighbours of a
//! folder are the folders and files beside it, so `block/` and `options.rs` must not use each other
//! either. A file with parts (`commit.rs` beside `commit/`) is a folder too. Two other files of one
//! folder may use each other. Tests are ignored: they may use everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::{CheckError, Row, fail};

/// Highest length of a chain of re-exports that is followed.
const MAX_REEXPORTS: usize = 8;

/// The path of a module or an item from the root of the crate: `["block", "codec"]`.
type Names = Vec<String>;

/// Checks every crate in the folder `crates` of the workspace at `root`.
#[must_use]
pub fn check(root: &Path) -> Row {
    let mut row = Row::new("folders without circles");
    match folders_of(&root.join("crates")) {
        Ok(crates) => {
            for (name, folder) in crates {
                let modules = read(&folder.join("src"));
                row.count(&name, modules.and_then(|modules| Modules::new(modules).check()));
            }
        }
        Err(error) => row.count("crates", Err(error)),
    }
    row
}

fn folders_of(dir: &Path) -> Result<Vec<(String, PathBuf)>, CheckError> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| unreadable(dir, &error))? {
        let path = entry.map_err(|error| unreadable(dir, &error))?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            folders.push((name.to_owned(), path.clone()));
        }
    }
    folders.sort();
    if folders.is_empty() { fail("there are none") } else { Ok(folders) }
}

fn unreadable(path: &Path, error: &std::io::Error) -> CheckError {
    CheckError::new(format!("cannot read {}: {error}", path.display()))
}

/// The source of a module.
#[derive(Default)]
struct Source {
    text: String,
    /// Whether it is a `mod.rs`.
    is_folder: bool,
}

/// The modules under `src`.
fn read(src: &Path) -> Result<BTreeMap<Names, Source>, CheckError> {
    let mut modules: BTreeMap<Names, Source> = BTreeMap::new();
    let mut pending: Vec<(Names, PathBuf)> = vec![(Names::new(), src.to_owned())];
    while let Some((names, dir)) = pending.pop() {
        for (name, path) in folders_of(&dir)? {
            let stem = name.strip_suffix(".rs");
            if matches!(stem.unwrap_or(&name), "tests" | "bin") {
                continue;
            }
            let mut module = names.clone();
            match stem {
                Some("lib" | "main" | "mod") => {}
                Some(stem) => module.push(stem.to_owned()),
                None => module.push(name.clone()),
            }
            if path.is_dir() {
                pending.push((module, path));
            } else if stem.is_some() {
                let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
                // `lib.rs` and `main.rs` of one crate count as one module.
                let source = modules.entry(module).or_default();
                source.text.push_str(&text);
                source.is_folder = stem == Some("mod");
            }
        }
    }
    Ok(modules)
}

/// A path in the text of a module, resolved from the root of the crate.
struct Reference {
    path: Names,
    /// The name that a `use` declaration gives to the path.
    name: Option<String>,
}

/// The modules of a crate and the paths that they contain.
struct Modules {
    references: BTreeMap<Names, Vec<Reference>>,
    folders: BTreeSet<Names>,
}

impl Modules {
    fn new(sources: BTreeMap<Names, Source>) -> Self {
        let modules: BTreeSet<Names> = sources.keys().cloned().collect();
        let has_parts = |module: &Names| {
            let is_part = |other: &Names| other.len() > module.len() && other.starts_with(module);
            modules.iter().any(is_part)
        };
        let folders = sources
            .iter()
            .filter(|(module, source)| source.is_folder || has_parts(module))
            .map(|(module, _)| module.clone())
            .collect();
        let references = sources
            .into_iter()
            .map(|(module, source)| {
                let found = References { module: &module, modules: &modules }.of(&source.text);
                (module, found)
            })
            .collect();
        Self { references, folders }
    }

    /// Fails if a folder is part of a circle.
    fn check(&self) -> Result<(), CheckError> {
        for (parent, edges) in self.edges() {
            let uses = |from: &str, to: &str| edges.contains_key(&(from.into(), to.into()));
            let names: BTreeSet<&str> =
                edges.keys().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
            for &name in names.iter().filter(|name| self.is_folder(&parent, name)) {
                // Collect every neighbour that the folder uses, directly or indirectly.
                let (mut reached, mut pending) = (BTreeSet::new(), vec![name]);
                while let Some(at) = pending.pop() {
                    pending.extend(names.iter().filter(|to| uses(at, to) && reached.insert(**to)));
                }
                if reached.contains(name) {
                    let circle: Vec<String> = edges
                        .iter()
                        .filter(|((from, to), _)| {
                            (from == name || reached.contains(from.as_str()))
                                && (to == name || reached.contains(to.as_str()))
                        })
                        .map(|((from, to), file)| format!("{from} → {to} ({})", file.join("/")))
                        .collect();
                    return fail(format!("{name} is in a circle: {}", circle.join(", ")));
                }
            }
        }
        Ok(())
    }

    fn is_folder(&self, parent: &[String], name: &str) -> bool {
        let mut module = parent.to_vec();
        module.push(name.to_owned());
        self.folders.contains(&module)
    }

    /// For each parent folder, the pairs of neighbours of which the first uses the second, each
    /// with a module that does so.
    fn edges(&self) -> BTreeMap<Names, BTreeMap<(String, String), Names>> {
        let mut edges: BTreeMap<Names, BTreeMap<_, _>> = BTreeMap::new();
        for (module, references) in &self.references {
            for reference in references {
                let target = self.module_of(&reference.path, 0);
                let common = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
                if let (Some(from), Some(to)) = (module.get(common), target.get(common)) {
                    edges
                        .entry(module.iter().take(common).cloned().collect())
                        .or_default()
                        .entry((from.clone(), to.clone()))
                        .or_insert_with(|| module.clone());
                }
            }
        }
        edges
    }

    /// The module that defines the item at a path.
    fn module_of(&self, path: &[String], reexports: usize) -> Names {
        let mut module = Names::new();
        for (i, name) in path.iter().enumerate() {
            let mut child = module.clone();
            child.push(name.clone());
            if self.references.contains_key(&child) {
                module = child;
                continue;
            }
            let of_module = self.references.get(&module);
            let reexport = of_module
                .into_iter()
                .flatten()
                .find(|reference| reference.name.as_ref() == Some(name) && reference.path != path);
            if let Some(reexport) = reexport.filter(|_| reexports < MAX_REEXPORTS) {
                let rest = path.iter().skip(i + 1);
                let path: Names = reexport.path.iter().chain(rest).cloned().collect();
                return self.module_of(&path, reexports + 1);
            }
            break;
        }
        module
    }
}

/// Finds the paths in the text of a module.
struct References<'a> {
    module: &'a Names,
    modules: &'a BTreeSet<Names>,
}

impl References<'_> {
    fn of(&self, text: &str) -> Vec<Reference> {
        let tokens = tokens(text);
        let (mut found, mut at) = (Vec::new(), 0);
        while let Some(&token) = tokens.get(at) {
            let before = at.checked_sub(1).and_then(|before| tokens.get(before)).copied();
            let start = match token {
                "crate" => Some(Names::new()),
                "self" => Some(self.module.clone()),
                "super" => Some(self.parent()),
                _ => self.child(token).filter(|_| before == Some("use")),
            };
            let is_path = tokens.get(at + 1) == Some(&"::") && !matches!(before, Some("::" | "in"));
            match start.filter(|_| is_path) {
                Some(start) => {
                    at += 2;
                    self.tree(&tokens, &mut at, start, &mut found);
                }
                None => at += 1,
            }
        }
        found
    }

    fn parent(&self) -> Names {
        self.module.iter().take(self.module.len().saturating_sub(1)).cloned().collect()
    }

    fn child(&self, name: &str) -> Option<Names> {
        let mut child = self.module.clone();
        child.push(name.to_owned());
        self.modules.contains(&child).then_some(child)
    }

    /// Parses the text after `path::`: a name, or a list in braces.
    fn tree(&self, tokens: &[&str], at: &mut usize, mut path: Names, found: &mut Vec<Reference>) {
        loop {
            match tokens.get(*at).copied() {
                Some("{") => {
                    *at += 1;
                    while !matches!(tokens.get(*at), None | Some(&"}")) {
                        self.tree(tokens, at, path.clone(), found);
                        // Skip the comma, or a token that lists of paths do not contain.
                        if tokens.get(*at) != Some(&"}") {
                            *at += 1;
                        }
                    }
                    *at += 1;
                    return;
                }
                Some("super") => {
                    path.pop();
                }
                Some("self") => {}
                Some(name) if is_name(name) => path.push(name.to_owned()),
                _ => break,
            }
            *at += 1;
            if tokens.get(*at) != Some(&"::") {
                break;
            }
            *at += 1;
        }
        let mut name = path.last().cloned();
        if tokens.get(*at) == Some(&"as") {
            name = tokens.get(*at + 1).map(|&alias| alias.to_owned());
            *at += 2;
        }
        found.push(Reference { path, name });
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The tokens of a text: names, `::` and single characters, without comments and without the tests
/// at the end of the file.
fn tokens(text: &str) -> Vec<&str> {
    let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let mut tokens = Vec::new();
    for line in shipped.lines() {
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with("//") {
            let in_name = |c: char| c.is_alphanumeric() || c == '_';
            let len = match rest.find(|c| !in_name(c)) {
                None => rest.len(),
                Some(0) if rest.starts_with("::") => 2,
                Some(0) => rest.chars().next().map_or(1, char::len_utf8),
                Some(len) => len,
            };
            let (token, behind) = rest.split_at(len);
            tokens.push(token);
            rest = behind.trim_start();
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(files: &[(&[&str], &str)]) -> Result<(), CheckError> {
        let sources = files.iter().map(|(names, text)| {
            let names: Names = names.iter().map(|&name| name.to_owned()).collect();
            (names, Source { text: (*text).to_owned(), is_folder: false })
        });
        let mut sources: BTreeMap<_, _> = sources.collect();
        for folder in ["table", "block", "low", "high"] {
            sources.entry(vec![folder.to_owned()]).or_default().is_folder = true;
        }
        sources.entry(Names::new()).or_default();
        Modules::new(sources).check()
    }

    #[test]
    fn circles_are_found() {
        let table = (&["table", "cursor"][..], "use crate::block::{Blocks, codec::{self}};");
        let blocks = (&["block", "blocks"][..], "fn f() -> super::super::options::Options {}");
        let shared = (&["block"][..], "mod blocks;\npub use blocks::Blocks;");
        let options = (&["options"][..], "use super::table::cursor::Cursor as C;");
        assert!(checked(&[table, blocks, shared]).is_ok());
        assert!(checked(&[table, blocks, shared, options]).is_err());
        // The module that defines the item counts, not the one that re-exports it.
        let root = (&[][..], "pub use table::cursor::Cursor;\npub use block::Blocks;");
        let user = (&["block", "user"][..], "// crate::block\nuse crate::Blocks;");
        assert!(checked(&[table, blocks, shared, root, user]).is_ok());
        let user = (&["block", "user"][..], "use crate::Cursor;");
        assert!(checked(&[table, blocks, shared, root, user]).is_err());
    }

    #[test]
    fn files_tests_and_visibility_make_no_circle() {
        let one = (&["one"][..], "use crate::two::Two;");
        let two = (&["two"][..], "use crate::one::One;");
        assert!(checked(&[one, two]).is_ok());
        let low = (
            &["low", "x"][..],
            "pub(in crate::high) fn f();\n#[cfg(test)]\nmod tests {\nuse crate::high;",
        );
        let high = (&["high", "y"][..], "use crate::low::x;");
        assert!(checked(&[low, high]).is_ok());
    }
}
