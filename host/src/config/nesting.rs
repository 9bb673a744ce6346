//! Decides how deep a configuration may nest, before any of it is built. The TOML parser builds and drops tables by
//! recursion. It bounds the parts of a key and the values within values, but not the product of the two: 3 KB make thousands
//! of tables, and a thread's stack ends before them.

use toml_parser::decoder::Encoding;
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, Source, Span};

use super::error::Fault;

/// How many tables and arrays may stand within each other. serde_json, with which a plugin reads its own, takes 128.
pub(super) const DEEPEST: usize = 100;

/// How many parts a key may have: behind one with more of them the parser reads nothing.
const MOST_PARTS: usize = 80;

/// Why this text is not to be built.
pub(super) fn fault(text: &str) -> Option<Fault> {
    let tokens = Source::new(text).lex().into_vec();
    let mut depth = Depth::default();
    parse_document(&tokens, &mut depth, &mut ());
    depth.fault
}

pub(super) fn too_deep(at: usize) -> Fault {
    Fault::new(at, format!("nested deeper than {DEEPEST} tables or arrays"))
}

/// Where the parser is. Of a header `[[a.b]]` only the last part is counted as an array, as nothing here knows what the others
/// are: what is built may be deeper by the parts of one key. `json.rs` counts those as well.
#[derive(Default)]
struct Depth {
    /// How many tables and arrays are open around the key.
    level: usize,
    /// How many parts the key has so far; none where there is no key.
    parts: usize,
    /// The same two outside of each value that is open.
    outside: Vec<(usize, usize)>,
    header: Option<Header>,
    is_behind_dot: bool,
    fault: Option<Fault>,
}

#[derive(Clone, Copy)]
enum Header {
    Table,
    Array,
}

impl Depth {
    fn begin(&mut self, header: Header) {
        *self = Depth {
            header: Some(header),
            fault: self.fault.take(),
            ..Depth::default()
        };
    }

    /// Whether the parser may go into it.
    fn open(&mut self, span: Span) -> bool {
        self.outside.push((self.level, self.parts));
        self.level += self.parts.max(1);
        self.parts = 0;
        let is_allowed = self.level <= DEEPEST;
        if !is_allowed {
            self.found(too_deep(span.start()));
        }
        is_allowed
    }

    fn close(&mut self) {
        if let Some((level, parts)) = self.outside.pop() {
            (self.level, self.parts) = (level, parts);
        }
    }

    /// The first counts.
    fn found(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

impl EventReceiver for Depth {
    fn std_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.begin(Header::Table);
    }

    fn array_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.begin(Header::Array);
    }

    fn std_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.header = None;
    }

    fn array_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.header = None;
    }

    /// The end of a header that is not closed.
    fn newline(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.header = None;
    }

    fn key_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.is_behind_dot = true;
    }

    fn simple_key(&mut self, span: Span, _: Option<Encoding>, _: &mut dyn ErrorSink) {
        self.parts = match std::mem::take(&mut self.is_behind_dot) {
            true => self.parts + 1,
            false => 1,
        };
        let level = match self.header {
            None => self.level + self.parts - 1,
            Some(header) => {
                self.level = self.parts + usize::from(matches!(header, Header::Array));
                self.level
            }
        };
        if self.parts > MOST_PARTS {
            let reason = format!("a key has more than {MOST_PARTS} parts; what stands behind it was not read");
            self.found(Fault::new(span.start(), reason));
        }
        if level > DEEPEST {
            self.found(too_deep(span.start()));
        }
    }

    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open(span)
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open(span)
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close();
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// A key of so many parts.
    fn key(parts: usize) -> String {
        vec!["a"; parts].join(".")
    }

    /// Inline tables within each other, each under such a key.
    fn tables(parts: usize, count: usize) -> String {
        let open = format!("{}={{", key(parts));
        format!("{}{}", open.repeat(count), "}".repeat(count))
    }

    fn said(text: &str) -> Vec<String> {
        match Config::from_text(text) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(|fault| format!("{}: {fault}", fault.at)).collect(),
        }
    }

    #[test]
    fn a_file_nests_no_deeper_than_100_tables_and_arrays() {
        let under = "[plugin.x.config]\n";
        let brackets = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
        for good in [
            format!("{under}{}", tables(48, 2)),
            format!("{under}a.b = {}", brackets(79)),
            format!("[plugin.x.config.{}]\n{} = 1", key(50), key(48)),
            format!("[[plugin.x.config.{}]]\n{} = 1", key(50), key(47)),
        ] {
            assert!(said(&good).is_empty(), "{good}: {:?}", said(&good));
        }
        let all_arrays: String = (4..=60)
            .map(|parts| format!("[[plugin.x.config.{}]]\n", key(parts - 3)))
            .collect();
        for bad in [
            format!("{under}{} = [{{{}}}]", key(2), tables(48, 2)),
            format!("{under}a = {}", brackets(98)),
            format!("[plugin.x.config.{}]\n{} = 1", key(50), key(49)),
            format!("[[plugin.x.config.{}]]\n{} = 1", key(50), key(48)),
            all_arrays,
        ] {
            let said = said(&bad);
            assert_eq!(said.len(), 1, "{bad}: {said:?}");
            assert!(
                said[0].ends_with("nested deeper than 100 tables or arrays"),
                "{bad}: {said:?}"
            );
        }
    }

    /// The thread that reads it has a stack of 2 MiB, as the thread of this test has.
    #[test]
    fn no_nesting_ends_the_host() {
        let unclosed = format!("{}={{", key(80)).repeat(1000);
        for bad in [
            tables(80, 79),
            tables(80, 1000),
            tables(1, 20_000),
            unclosed,
            "a=[".to_owned() + &"[".repeat(100_000),
            "a=".to_owned() + &"[{a=".repeat(20_000),
            // Values in the place of keys, whose ends must not count.
            format!("a = {{ {} {} }}", "{} ".repeat(10_000), "a={".repeat(20_000)),
            format!("a = {{ {} {} }}", "[] ".repeat(10_000), "a={".repeat(20_000)),
        ] {
            for text in [
                bad.clone(),
                format!("[plugin.x.config]\n{bad}"),
                format!("{bad}\n{bad}"),
            ] {
                let said = said(&text);
                assert_eq!(said.len(), 1, "{said:?}");
                assert!(said[0].ends_with("nested deeper than 100 tables or arrays"), "{said:?}");
            }
        }
    }

    #[test]
    fn a_key_of_too_many_parts_is_named_by_its_place() {
        for (text, at) in [
            (format!("\n{} = 1", key(81)), 161),
            (format!("[{}]", key(81)), 161),
            (format!("a = {{ {} = 1 }}", key(81)), 166),
        ] {
            let expected = format!("{at}: a key has more than 80 parts; what stands behind it was not read");
            assert_eq!(said(&text), [expected], "{text}");
        }
        let known = said(&format!("{} = 1", key(80)));
        assert!(known[0].starts_with("0: `a`: unknown key"), "{known:?}");
    }
}
