//! The host's sources keep to the order of layers that `host/src/lib.rs` states, without circles; and no file or function grows
//! beyond what can be read at once; and what sleeps is listed. Read from the sources themselves: a `use` that points upwards fails here, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use tests::cargo::root;

const MAX_LINES: usize = 400;
const MAX_FUNCTION: usize = 60;
/// What stands in a comment above a function that is longer all the same, before the reason.
const REASON: &str = "// Long: ";

/// A module's path below the crate, such as `net::connection`; empty for lib.rs.
type Module = Vec<String>;

#[test]
fn modules_use_only_those_below_them_and_never_each_other() {
    let sources = root().join("host/src");
    let order = layers(&sources);
    let modules = modules(&sources);
    let mut uses: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    let mut upwards = Vec::new();
    for (module, path) in &modules {
        for used in used_by(module, path) {
            let Some((used, _)) = (0..=used.len()).rev().find_map(|n| modules.get_key_value(&used[..n])) else {
                continue;
            };
            if used.is_empty() || module.is_empty() || used == module {
                continue;
            }
            let place = |module: &Module| order.iter().position(|layer| *layer == module[0]);
            if place(used) > place(module) {
                upwards.push(format!("{} uses {}", module.join("::"), used.join("::")));
            }
            // A folder's mod.rs and its files belong together.
            if !used.starts_with(module) && !module.starts_with(used) {
                uses.entry(module).or_default().insert(used);
            }
        }
    }
    assert!(
        uses.values().map(BTreeSet::len).sum::<usize>() > 300,
        "the sources are not read any more"
    );
    assert!(upwards.is_empty(), "against the order in host/src/lib.rs: {upwards:#?}");
    let circles: Vec<String> = modules
        .keys()
        .filter_map(|module| circle(module, &uses))
        .map(|circle| {
            circle
                .iter()
                .map(|module| module.join("::"))
                .collect::<Vec<_>>()
                .join(" -> ")
        })
        .collect();
    assert!(circles.is_empty(), "modules that use each other: {circles:#?}");
}

#[test]
fn every_file_says_what_it_decides_and_is_no_longer_than_can_be_read() {
    let mut wrong = Vec::new();
    for path in tracked() {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let shown = path.display();
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > MAX_LINES {
            wrong.push(format!("{shown} has {} lines", lines.len()));
        }
        if !text.starts_with("//!") && !text.starts_with("#!") {
            wrong.push(format!("{shown} does not say what it is for"));
        }
        let mut functions = Functions::default();
        functions.visit_file(&syn::parse_file(&text).unwrap());
        for (name, first, last) in functions.0 {
            let above = lines[..first - 1].iter().rev();
            let mut above = above.take_while(|line| line.trim_start().starts_with(['/', '#']));
            if last - first >= MAX_FUNCTION && !above.any(|line| line.trim_start().starts_with(REASON)) {
                wrong.push(format!(
                    "{shown}: {name} has {} lines and no {REASON:?}",
                    last - first + 1
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_sleeps_is_listed_with_its_reason() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text.split("## What sleeps, and why").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or(section);
    let items = section
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once("`: "));
    let stated: BTreeSet<String> = items.map(|(file, _)| file.to_owned()).collect();
    let ours = |path: &PathBuf| path.starts_with("host") || path.starts_with("plugin-api");
    let sleeping = tracked().into_iter().filter(ours).filter(|path| {
        let mut sleeps = Sleeps::default();
        sleeps.visit_file(&syn::parse_file(&fs::read_to_string(root().join(path)).unwrap()).unwrap());
        sleeps.0
    });
    let found: BTreeSet<String> = sleeping.map(|path| path.display().to_string()).collect();
    assert_eq!(found, stated, "left: the sources, right: ARCHITECTURE.md");
}

/// Whether there is a `thread::sleep` outside tests, or another wait of a thread that nothing ends.
#[derive(Default)]
struct Sleeps(bool);

impl Sleeps {
    fn note(&mut self, path: &[String]) {
        let is_it =
            |pair: &[String]| pair[0] == "thread" && ["sleep", "sleep_until", "park_timeout"].contains(&&*pair[1]);
        self.0 |= path.windows(2).any(is_it);
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.note(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.note(&with(&rename.ident)),
            syn::UseTree::Glob(_) => {}
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Sleeps {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&parts);
        visit::visit_path(self, path);
    }
}

/// The layers that lib.rs lists at its head, the lowest first; all of its modules are there.
fn layers(sources: &Path) -> Vec<String> {
    let text = fs::read_to_string(sources.join("lib.rs")).unwrap();
    let list = text
        .split("in this list")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next());
    let list = list
        .and_then(|list| list.split("holds that:").nth(1))
        .expect("a list of layers");
    let layers: Vec<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let modules = text
        .lines()
        .filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
    for module in modules {
        assert!(layers.iter().any(|layer| layer == module), "{module} is in no layer");
    }
    layers
}

fn modules(sources: &Path) -> BTreeMap<Module, PathBuf> {
    let files = files(sources).into_iter().filter(|file| !file.ends_with("main.rs"));
    let modules = files.map(|file| {
        let relative = file.strip_prefix(sources).unwrap().with_extension("");
        let mut module: Module = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        module.pop_if(|last| last == "mod" || last == "lib");
        (module, file)
    });
    modules.collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    });
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The Rust sources of the repository.
fn tracked() -> Vec<PathBuf> {
    let folders = ["host", "plugin-api", "plugins", "tests"];
    let all = folders.iter().flat_map(|folder| files(&root().join(folder)));
    all.filter_map(|path| {
        let path = path.strip_prefix(root()).unwrap().to_owned();
        (!path.iter().any(|part| part == "target")).then_some(path)
    })
    .collect()
}

/// The paths that a module names, made absolute; tests aside, which may reach anywhere.
fn used_by(module: &Module, path: &Path) -> Vec<Module> {
    let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
    let children = file.items.iter().filter_map(|item| match item {
        syn::Item::Mod(child) if child.content.is_none() => Some(child.ident.to_string()),
        _ => None,
    });
    let mut paths = Paths {
        module,
        children: children.collect(),
        found: Vec::new(),
    };
    paths.visit_file(&file);
    paths.found
}

struct Paths<'a> {
    module: &'a Module,
    children: BTreeSet<String>,
    found: Vec<Module>,
}

impl Paths<'_> {
    fn note(&mut self, path: &[String]) {
        let Some(first) = path.first() else { return };
        let supers = path.iter().take_while(|part| *part == "super").count();
        let (base, rest) = match first.as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (&self.module[..], &path[1..]),
            "super" if supers <= self.module.len() => (&self.module[..self.module.len() - supers], &path[supers..]),
            child if self.children.contains(child) => (&self.module[..], path),
            _ => return, // another crate's, or brought by a `use`, which is noted by itself
        };
        self.found.push([base, rest].concat());
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => self.tree(&[before, &[path.ident.to_string()]].concat(), &path.tree),
            syn::UseTree::Name(name) => self.note(&[before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Rename(rename) => self.note(&[before, &[rename.ident.to_string()]].concat()),
            syn::UseTree::Glob(_) => self.note(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if let syn::Item::Mod(module) = item
            && module.content.is_some()
        {
            assert_eq!(
                module.ident, "tests",
                "an inline module, which this test does not follow"
            );
            return;
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 {
            self.note(&parts);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, of: &'ast syn::Macro) {
        // Their arguments are tokens: whatever looks like a path is one.
        let text = of.tokens.to_string().replace(" :: ", "::");
        for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
            let parts: Vec<String> = word.split("::").map(str::to_owned).collect();
            if parts.len() > 1 {
                self.note(&parts);
            }
        }
        visit::visit_macro(self, of);
    }
}

/// A way from a module back to itself.
fn circle<'a>(from: &'a Module, uses: &BTreeMap<&'a Module, BTreeSet<&'a Module>>) -> Option<Vec<&'a Module>> {
    let mut before: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for used in uses.get(module).into_iter().flatten() {
            if *used == from {
                let mut way = vec![from, module];
                while let Some(step) = before.get(way[way.len() - 1]).filter(|_| way[way.len() - 1] != from) {
                    way.push(step);
                }
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(used) {
                before.insert(used, module);
                open.push(used);
            }
        }
    }
    None
}

/// Name, first and last line of each function.
#[derive(Default)]
struct Functions(Vec<(String, usize, usize)>);

impl Functions {
    fn note(&mut self, name: &syn::Ident, body: &syn::Block) {
        let (first, last) = (name.span().start().line, body.brace_token.span.close().end().line);
        self.0.push((name.to_string(), first, last));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}
