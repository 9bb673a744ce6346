//! A plugin among the dependencies: a crate that is a plugin, and a library that other plugins use. One library can hold
//! one plugin, so what the crate does as a plugin must not reach the library that uses it.
//!
//! - Its `export_plugin!` would be a second record and a second entry: the linker refuses that with `duplicate symbol:
//!   HOST_PLUGIN_ENTRY`, which says nothing to an author. Here it is an error where the source leaves no doubt: a call in
//!   the crate's root, unconditional or under `#[cfg(feature = "..")]` with a feature that is on. Other conditions are the
//!   linker's to find.
//! - Its build.rs names its library, and where cargo passes that on (`soname.rs`), the name reaches the other library. That
//!   is so on macOS, and with a plugin-build that is older than this one. Whether the dependency's build.rs is called with
//!   the feature that it is behind is not known here, so it is a warning; the host's verdict names the cause.

use std::path::PathBuf;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::{Error, lock::Lock, manifest::Manifest, soname::Target, text, tree::Node};

/// A dependency that is a plugin.
struct Plugin<'a> {
    node: &'a Node,
    manifest: &'a Manifest,
}

/// Looks at all dependencies; `tree` begins with the package itself, and `manifests` has one for each of it, where it is
/// known. Gives what to warn of.
///
/// # Errors
/// When one of them exports a second plugin.
pub(crate) fn check(
    tree: &[Node],
    manifests: &[Option<Manifest>],
    lock: &Lock,
    target: Target,
) -> Result<Vec<String>, Error> {
    let Some((package, dependencies)) = tree.split_first() else {
        return Ok(Vec::new());
    };
    let manifests = manifests.iter().skip(1).map(Option::as_ref);
    let plugins = dependencies.iter().zip(manifests).filter_map(|(node, manifest)| {
        let manifest = manifest.filter(|manifest| manifest.is_plugin())?;
        Some(Plugin { node, manifest })
    });
    let mut warnings = Vec::new();
    for plugin in plugins {
        if let Some(path) = plugin.exports() {
            return Err(Error::SecondPlugin {
                path,
                package: package.name.clone(),
                dependency: plugin.node.name.clone(),
            });
        }
        warnings.extend(plugin.names_other_libraries(package, lock, target));
    }
    Ok(warnings)
}

impl Plugin<'_> {
    /// The source file that surely exports a plugin in this build, if it does.
    fn exports(&self) -> Option<PathBuf> {
        let path = self.manifest.linkable_root()?;
        let source = text::read(&path).ok()?.parse().ok()?;
        calls_export(source, &self.node.features).then_some(path)
    }

    fn names_other_libraries(&self, package: &Node, lock: &Lock, target: Target) -> Option<String> {
        let theirs = lock.plugin_build(self.node)?;
        let why = match lock.plugin_build(package) {
            _ if target == Target::MachO => {
                "cargo passes the install name that its build.rs asks for on to this library".to_owned()
            }
            ours if ours == Some(theirs) => return None,
            ours => format!(
                "its build.rs uses another plugin-build ({theirs}) than this one's ({}), and an older one has cargo pass its \
                 soname on to this library; take both from one place",
                ours.unwrap_or("none")
            ),
        };
        let dependency = &self.node.name;
        Some(format!(
            "{dependency}, which {package} depends on, is a plugin itself: {why}. If the host refuses the library with \
             soname-record: move the code that both need into a crate of its own, or have the build.rs of {dependency} call \
             plugin_build::emit() only with a feature that {package} does not turn on",
            package = package.name
        ))
    }
}

/// Whether a crate's root calls `export_plugin!` for certain, with these features on.
fn calls_export(source: TokenStream, features: &[String]) -> bool {
    let mut tokens = source.into_iter().peekable();
    // Whether what stands before the item at hand leaves it in.
    let mut included = true;
    while let Some(token) = tokens.next() {
        match (&token, tokens.peek()) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(attribute))) if hash.as_char() == '#' => {
                included &= leaves_in(attribute, features);
                tokens.next();
            }
            (TokenTree::Ident(name), Some(TokenTree::Punct(mark)))
                if included && name == "export_plugin" && mark.as_char() == '!' =>
            {
                return true;
            }
            // The end of an item.
            (TokenTree::Punct(end), _) if end.as_char() == ';' => included = true,
            (TokenTree::Group(body), _) if body.delimiter() == Delimiter::Brace => included = true,
            _ => {}
        }
    }
    false
}

/// Whether an attribute is no condition, or one that is surely met.
fn leaves_in(attribute: &Group, features: &[String]) -> bool {
    let mut tokens = attribute.stream().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(condition))) if name == "cfg" => {
            let condition = condition.stream().to_string().replace(' ', "");
            features
                .iter()
                .any(|feature| condition == format!("feature={feature:?}"))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tree::Source;

    #[test]
    fn an_export_is_seen_where_it_is_certain() {
        for (source, expected) in [
            ("use plugin_api::export_plugin;\nexport_plugin!(P);", true),
            ("plugin_api::export_plugin! { P }", true),
            (
                "#[cfg(feature = \"on\")]\n/// Text.\nplugin_api::export_plugin!(P);",
                true,
            ),
            ("#[cfg(feature = \"off\")] struct Q; export_plugin!(P);", true),
            ("#[cfg(feature = \"off\")] mod m {} export_plugin!(P);", true),
            ("#[cfg(feature = \"off\")]\nexport_plugin!(P);", false),
            ("#[cfg(not(feature = \"on\"))]\nexport_plugin!(P);", false),
            ("#[cfg(feature = \"on\")] #[cfg(test)] export_plugin!(P);", false),
            ("#[cfg(test)]\nmod tests { export_plugin!(P); }", false),
            (
                "// export_plugin!(P);\nconst TEXT: &str = \"export_plugin!(P);\";",
                false,
            ),
            ("pub use plugin_api::export_plugin;", false),
            ("macro_rules! export_plugin { () => {} }", false),
        ] {
            let tokens = source.parse().expect(source);
            assert_eq!(calls_export(tokens, &["on".to_owned()]), expected, "{source}");
        }
    }

    #[test]
    fn a_name_that_may_be_passed_on_is_warned_of() {
        let node = |name: &str| Node {
            name: name.to_owned(),
            version: semver::Version::new(1, 0, 0),
            source: Source::Path(Path::new("/").join(name)),
            features: vec![],
            dependencies: vec![],
        };
        let manifest = |text: &str| {
            Some(Manifest {
                path: "/gone/Cargo.toml".into(),
                table: text.parse().expect("TOML"),
            })
        };
        let of = |theirs: &str, target| {
            let package = |name: &str, needs: &str| {
                format!("[[package]]\nname = {name:?}\nversion = \"1.0.0\"\ndependencies = [{needs}]\n")
            };
            let ours = "\"plugin-build 1.0.0\"";
            let text = package("top", ours) + &package("base", theirs) + &package("other", ours);
            let lock = Lock::parse(Path::new("Cargo.lock"), &text).expect("a lock");
            let tree = [node("top"), node("base"), node("other")];
            let manifests = [
                manifest("[package.metadata.plugin]"),
                manifest("[package.metadata.plugin]"),
                manifest(""),
            ];
            check(&tree, &manifests, &lock, target).expect("no second plugin")
        };
        let same = "\"plugin-api\", \"plugin-build 1.0.0\"";
        assert_eq!(of(same, Target::Elf), Vec::<String>::new());
        assert_eq!(of("\"plugin-builder\"", Target::MachO), Vec::<String>::new());
        for (theirs, target, says) in [
            (same, Target::MachO, "install name"),
            (
                "\"plugin-build 0.9.0 (git+https://h/x)\"",
                Target::Elf,
                "(0.9.0 (git+https://h/x)) than this one's (1.0.0)",
            ),
        ] {
            let warnings = of(theirs, target);
            assert!(
                matches!(&warnings[..], [warning] if warning.starts_with("base, which top ") && warning.contains(says)),
                "{warnings:?}"
            );
        }
    }
}
