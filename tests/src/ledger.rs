//! What somebody knows of a plugin directory who has made every change in it but those of the host: which files are good,
//! and which links must be where he has left them.

use std::collections::{BTreeMap, BTreeSet};

use crate::contents::{parts, soname_of};
use crate::swaps::real_name;

/// What lies in the directory, and what was done to its links.
#[derive(Debug, Default)]
pub struct Ledger {
    files: BTreeMap<String, Content>,
    /// Links that were taken away while a host was running.
    taken: BTreeSet<String>,
    /// Sonames with a file that has come since the host has looked.
    news: BTreeSet<String>,
    /// Where links were pointed by hand, with nothing new at that time or since.
    pointed: BTreeMap<String, String>,
    /// Sonames whose link was ever pointed by hand.
    by_hand: BTreeSet<String>,
}

/// A file.
#[derive(Clone, Debug)]
pub struct Content {
    /// What the library in it acks; `None` for what is no library.
    pub body: Option<String>,
    /// Anybody may write it: it is refused.
    pub is_open_to_all: bool,
}

impl Ledger {
    /// A host starts: a link that is gone is gone to nobody.
    pub fn host_starts(&mut self) {
        self.taken.clear();
        self.host_has_looked();
    }

    /// The host has seen all that is there.
    pub fn host_has_looked(&mut self) {
        self.news.clear();
    }

    /// A file that the host may not have seen.
    pub fn comes(&mut self, file: &str, content: Content) {
        self.is_news(file);
        self.files.insert(file.to_owned(), content);
    }

    /// Somebody begins to write it: what was there is no more.
    pub fn is_begun(&mut self, file: &str) {
        self.is_news(file);
        self.files.remove(file);
    }

    /// A file is gone.
    pub fn goes(&mut self, file: &str) -> Option<Content> {
        self.files.remove(file)
    }

    /// The file as it is known, to be changed.
    pub fn file(&mut self, file: &str) -> Option<&mut Content> {
        self.files.get_mut(file)
    }

    /// A link was pointed to a file.
    pub fn is_pointed(&mut self, target: String) {
        let soname = soname_of(&target);
        self.by_hand.insert(soname.clone());
        if self.news.contains(&soname) {
            // Which of the two the host sees first is open.
            self.pointed.remove(&soname);
        } else {
            self.pointed.insert(soname, target);
        }
    }

    /// A link was taken away.
    pub fn is_taken(&mut self, soname: &str) {
        self.pointed.remove(soname);
        self.is_away(soname);
    }

    /// A link was away for a moment, or for good.
    pub fn is_away(&mut self, soname: &str) {
        self.taken.insert(soname.to_owned());
    }

    /// Whether a link was ever taken away under a running host.
    pub fn was_taken(&self, soname: &str) -> bool {
        self.taken.contains(soname)
    }

    /// Links that must be as somebody has pointed them, since nothing has come that could have moved them.
    pub fn pointed(&self) -> &BTreeMap<String, String> {
        &self.pointed
    }

    /// Whether a link was ever pointed by hand.
    pub fn was_pointed(&self, soname: &str) -> bool {
        self.by_hand.contains(soname)
    }

    /// Whether a file is a library under its right name that a host may load; and which.
    pub fn good(&self, file: &str) -> Option<&str> {
        let content = self.files.get(file).filter(|content| !content.is_open_to_all)?;
        let body = content.body.as_deref()?;
        let (name, version, _) = parts(body);
        (real_name(name, version) == file).then_some(body)
    }

    fn is_news(&mut self, file: &str) {
        let soname = soname_of(file);
        self.pointed.remove(&soname);
        self.news.insert(soname);
    }
}
