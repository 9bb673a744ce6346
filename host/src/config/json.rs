//! Converts a plugin's own configuration to JSON, the form in which the plugin gets it. Dates become text. Numbers that JSON
//! does not have are errors that name their key; a plugin that got `null` in their place would report the wrong error, or
//! none.
//!
//! A value here may be secret, so no error shows one.

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::error::{Fault, clipped, dotted};
use super::nesting::{DEEPEST, too_deep};
use super::value;

/// A key or a place of an array, under others: written only where something is wrong with what stands there.
struct Path<'p> {
    above: Option<&'p Path<'p>>,
    part: Part<'p>,
    /// How many tables and arrays it stands in, from the root of the file.
    level: usize,
}

enum Part<'p> {
    Key(&'p str),
    Place(usize),
}

impl Path<'_> {
    fn written(&self) -> String {
        let above = self.above.map(Path::written).unwrap_or_default();
        match self.part {
            Part::Key(key) => dotted(&above, key),
            Part::Place(at) => format!("{above}[{at}]"),
        }
    }
}

/// Where `config` itself stands: under `plugin` and the plugin's name.
const LEVEL: usize = 3;

/// The value of `config`, which is a table.
pub(super) fn object(config: &Spanned<DeValue<'_>>) -> Result<Map<String, Value>, Vec<Fault>> {
    let DeValue::Table(table) = config.get_ref() else {
        return Err(value::expected("a table", config));
    };
    let mut faults = Vec::new();
    let object = members(table, None, &mut faults);
    match faults.is_empty() {
        true => Ok(object),
        false => Err(faults),
    }
}

fn members(table: &DeTable<'_>, above: Option<&Path<'_>>, faults: &mut Vec<Fault>) -> Map<String, Value> {
    let level = above.map_or(LEVEL, |above| above.level + 1);
    let members = table.iter().map(|(key, value)| {
        let key = key.get_ref();
        let part = Part::Key(key);
        (key.to_string(), json(value, &Path { above, part, level }, faults))
    });
    members.collect()
}

fn elements(values: &DeArray<'_>, above: &Path<'_>, faults: &mut Vec<Fault>) -> Value {
    let level = above.level + 1;
    let values = values.iter().enumerate().map(|(at, value)| {
        let (above, part) = (Some(above), Part::Place(at));
        json(value, &Path { above, part, level }, faults)
    });
    values.collect()
}

/// Goes no deeper than `DEEPEST`: beyond that, a plugin can't read it.
fn json(value: &Spanned<DeValue<'_>>, path: &Path<'_>, faults: &mut Vec<Fault>) -> Value {
    let number = match value.get_ref() {
        DeValue::String(text) => return text.as_ref().into(),
        DeValue::Boolean(truth) => return (*truth).into(),
        DeValue::Datetime(date) => return date.to_string().into(),
        DeValue::Array(_) | DeValue::Table(_) if path.level >= DEEPEST => Err(vec![too_deep(value.span().start)]),
        DeValue::Array(values) => return elements(values, path, faults),
        DeValue::Table(table) => return Value::Object(members(table, Some(path), faults)),
        DeValue::Integer(_) => value::integer(value, "an integer").map(Value::from),
        DeValue::Float(float) => float
            .as_str()
            .parse()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Value::from)
            .ok_or_else(|| vec![not_finite(value.span().start, float.as_str())]),
    };
    number.unwrap_or_else(|found| {
        let path = clipped(&path.written());
        faults.extend(found.into_iter().map(|fault| fault.under(&path)));
        Value::Null
    })
}

fn not_finite(at: usize, written: &str) -> Fault {
    let what = match written.trim_start_matches(['+', '-']) {
        name @ ("inf" | "nan") => format!("is {name}"),
        _ => "is beyond what a float can be".to_owned(),
    };
    Fault::new(
        at,
        format!(
            "{what}: a plugin gets its configuration as JSON, which has finite numbers alone; leave it out, or write what the \
             plugin knows in its place"
        ),
    )
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn values_are_handed_over_as_they_are() {
        let text = "[plugin.x.config]\na = [1, 0xff, 1_0.5, \"inf\", { b = 1979-05-27 }]\nd.e = true\nf = 1e300\n";
        let config = Config::from_text(text).expect("a configuration");
        assert_eq!(
            config.plugin["x"].config_json(),
            r#"{"a":[1,255,10.5,"inf",{"b":"1979-05-27"}],"d":{"e":true},"f":1e+300}"#
        );
    }

    #[test]
    fn numbers_that_json_has_not_are_found_wherever_they_stand() {
        for (text, at, key, says) in [
            ("[plugin.x.config]\na = 1\nratio = inf", 32, "ratio", "is inf"),
            ("[plugin.x]\nconfig.a.b = -nan", 24, "a.b", "is nan"),
            ("plugin.x.config = { a = [1.5, [+inf]] }", 31, "a[1][0]", "is inf"),
            ("[[plugin.x.config.a]]\nb = nan", 26, "a[0].b", "is nan"),
            ("[plugin.x.config]\na = 1e999", 22, "a", "is beyond what a float can be"),
            ("[plugin.x.config]\na = 9223372036854775808", 22, "a", "is out of range"),
        ] {
            let faults = Config::from_text(text).expect_err("no number of JSON's");
            let [fault] = faults.as_slice() else {
                panic!("{text}: {faults:?}")
            };
            assert_eq!(
                (fault.at, fault.key.as_str()),
                (at, format!("plugin.x.config.{key}").as_str()),
                "{text}"
            );
            assert!(fault.to_string().contains(says), "{text}: {fault}");
        }
    }
}
