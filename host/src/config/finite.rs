//! Numbers of a plugin's own configuration that can't be handed over: TOML has `inf` and `nan`, JSON has not. They are an
//! error that names key and line; a plugin that is given `null` in their place would complain of the wrong thing, or not at
//! all.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A number that is none, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotFinite {
    /// Its place in the text, in bytes.
    pub(super) span: Range<usize>,
    /// Its key from the root, `plugin.x.config.ratio`.
    pub(super) key: String,
    /// As it is written.
    pub(super) written: String,
}

/// The first number in a plugin's `config` that JSON has not. Nothing of a text that is no TOML: its reader says why.
pub(super) fn first_not_finite(text: &str) -> Option<NotFinite> {
    let root = DeTable::parse(text).ok()?;
    let plugins = root.get_ref().get("plugin")?.get_ref().as_table()?;
    plugins.iter().find_map(|(name, table)| {
        let config = table.get_ref().as_table()?.get("config")?;
        search(config, &format!("plugin.{}.config", name.get_ref()))
    })
}

fn search(value: &Spanned<DeValue<'_>>, key: &str) -> Option<NotFinite> {
    match value.get_ref() {
        DeValue::Float(float) => {
            let number: f64 = float.as_str().parse().ok()?;
            (!number.is_finite()).then(|| NotFinite {
                span: value.span(),
                key: key.to_owned(),
                written: float.as_str().to_owned(),
            })
        }
        DeValue::Array(values) => values
            .iter()
            .enumerate()
            .find_map(|(at, value)| search(value, &format!("{key}[{at}]"))),
        DeValue::Table(table) => table
            .iter()
            .find_map(|(name, value)| search(value, &format!("{key}.{}", name.get_ref()))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::first_not_finite;

    fn found(text: &str) -> Option<(String, String)> {
        let found = first_not_finite(text)?;
        assert!(text[found.span.clone()].contains(&found.written), "{text}: {found:?}");
        Some((found.key, found.written))
    }

    #[test]
    fn numbers_that_json_has_not_are_found_wherever_they_stand() {
        for (text, key, written) in [
            ("[plugin.x.config]\na = 1\nratio = inf", "plugin.x.config.ratio", "inf"),
            ("[plugin.x]\nconfig.a.b = -nan", "plugin.x.config.a.b", "-nan"),
            (
                "plugin.x.config = { a = [1.5, [+inf]] }",
                "plugin.x.config.a[1][0]",
                "+inf",
            ),
            ("[[plugin.x.config.a]]\nb = nan", "plugin.x.config.a[0].b", "nan"),
        ] {
            assert_eq!(found(text), Some((key.to_owned(), written.to_owned())), "{text}");
        }
        for text in [
            "",
            "[plugin",
            "[plugin.x.config]\na = 1_0.5\nb = \"inf\"\nc = 1e300\nd = 2020-01-01",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
