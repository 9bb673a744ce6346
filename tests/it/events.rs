//! The page on the log lists what the host can say, with its level: nothing is missing there, and nothing is made up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use tests::cargo::root;

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

#[test]
fn the_page_on_the_log_lists_each_message_with_its_level() {
    let mut sources = Vec::new();
    read(&root().join("host/src"), &mut sources);
    let constants: BTreeMap<String, String> = sources.iter().flat_map(self::constants).collect();
    let mut said = BTreeSet::new();
    for tokens in &sources {
        let mut messages = Messages {
            own: own_macros(tokens),
            constants: self::constants(tokens).into_iter().collect(),
            everywhere: &constants,
            found: &mut said,
        };
        messages.find(tokens.clone());
    }

    let page = fs::read_to_string(root().join("host/docs/logs.md")).unwrap();
    let mut listed = BTreeMap::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (message, rest) = row.split_once("` |").unwrap();
        let level = rest.split('|').next().unwrap().trim().to_lowercase();
        let known = listed.insert(beginning(message.replace("...", "{")), level);
        assert_eq!(known, None, "twice: {message}");
    }
    assert!(said.len() > 60, "{said:#?}");
    for (message, level) in &said {
        let listed = listed
            .get(message)
            .unwrap_or_else(|| panic!("not in host/docs/logs.md: {message:?}"));
        // A message of a macro of the file's own has the level of that macro, and what is left out that of its kind.
        if let (Some(level), false) = (level, listed.is_empty()) {
            assert_eq!(level, listed, "{message}");
        }
    }
    for message in listed.keys() {
        assert!(
            said.iter().any(|(said, _)| said == message),
            "in host/docs/logs.md, and nowhere in host/src: {message:?}"
        );
    }
}

/// The sources of a folder, as tokens: comments are none.
fn read(folder: &Path, sources: &mut Vec<TokenStream>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            sources.push(
                text.parse()
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            );
        }
    }
}

/// What is looked for in one source.
struct Messages<'a> {
    /// Macros of its own, which may hand their text on to one that logs.
    own: BTreeSet<String>,
    constants: BTreeMap<String, String>,
    everywhere: &'a BTreeMap<String, String>,
    /// Messages, with their level where that is known.
    found: &'a mut BTreeSet<(String, Option<String>)>,
}

impl Messages<'_> {
    fn find(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            let TokenTree::Group(group) = token else { continue };
            self.find(group.stream());
            let [.., TokenTree::Ident(name), TokenTree::Punct(bang)] = &tokens[..at] else {
                continue;
            };
            let name = name.to_string();
            let level = LEVELS.contains(&&*name).then_some(name.clone());
            if bang.as_char() == '!' && (level.is_some() || self.own.contains(&name)) {
                let message = message(group.stream()).map(|message| self.resolved(message));
                self.found.extend(message.map(|message| (message, level)));
            }
        }
    }

    /// A message that is `{NAME}` is that constant.
    fn resolved(&self, message: String) -> String {
        let name = message.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let constant = name.and_then(|name| self.constants.get(name).or_else(|| self.everywhere.get(name)));
        beginning(constant.cloned().unwrap_or(message))
    }
}

/// What does not differ from one event to the next.
fn beginning(message: String) -> String {
    message.split(['{', '\n']).next().unwrap().trim_end().to_owned()
}

/// The text at the end of a macro's arguments: not the value of a field, and not what a macro was given.
fn message(arguments: TokenStream) -> Option<String> {
    let mut tokens: Vec<TokenTree> = arguments.into_iter().collect();
    tokens.pop_if(|last| matches!(last, TokenTree::Punct(comma) if comma.as_char() == ','));
    let text = text(tokens.last()?)?;
    match tokens.len().checked_sub(2).map(|before| &tokens[before]) {
        Some(TokenTree::Punct(comma)) if comma.as_char() == ',' => Some(text),
        None => Some(text),
        Some(_) => None,
    }
}

/// The macros that a source defines.
fn own_macros(tokens: &TokenStream) -> BTreeSet<String> {
    let mut own = BTreeSet::new();
    walk(tokens.clone(), &mut |three| {
        if let [TokenTree::Ident(word), TokenTree::Punct(_), TokenTree::Ident(name)] = three
            && word == "macro_rules"
        {
            own.insert(name.to_string());
        }
    });
    own
}

/// `const NAME: &str = "..."`, which are `NAME`, `:`, `&`, `str`, `=` and the text: taken by what stands around the `=`.
fn constants(tokens: &TokenStream) -> Vec<(String, String)> {
    let mut constants = Vec::new();
    let mut name = None;
    walk(tokens.clone(), &mut |three| match three {
        [TokenTree::Ident(word), TokenTree::Ident(of), _] if word == "const" => name = Some(of.to_string()),
        [TokenTree::Ident(kind), TokenTree::Punct(equals), value] if kind == "str" && equals.as_char() == '=' => {
            constants.extend(name.take().zip(text(value)));
        }
        _ => {}
    });
    constants
}

/// Shows each three tokens that stand beside each other, in groups as well.
fn walk(tokens: TokenStream, show: &mut impl FnMut(&[TokenTree])) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        if let Some(three) = tokens.get(at..at + 3) {
            show(three);
        }
        if let TokenTree::Group(group) = token {
            walk(group.stream(), show);
        }
    }
}

/// What a literal says, if it is a plain text.
fn text(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else {
        return None;
    };
    let quoted = literal.to_string();
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut rest = inner.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, (c == '\\').then(|| rest.next()).flatten()) {
            (_, Some('\n')) => while rest.next_if(|c| c.is_whitespace()).is_some() {},
            (_, Some('n')) => text.push('\n'),
            (_, Some(escaped)) => text.push(escaped),
            (c, None) => text.push(c),
        }
    }
    Some(text)
}
