//! Lines that wait to be written: how many there is room for. A line that has none is dropped and counted. Plugins' lines may
//! take half of the room, so that no plugin can crowd out what the host has to say.

/// The most bytes that wait, or are being written.
const ROOM: usize = 4 << 20;
/// The most of them that are plugins' lines.
const ROOM_OF_PLUGINS: usize = ROOM / 2;

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Host,
    Plugin,
    /// The thread that writes; its few lines always have room.
    Writer,
}

/// Lines that won't be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// All of them.
    pub(super) lines: u64,
    /// Those of them that were plugins'.
    pub(super) of_plugins: u64,
}

#[derive(Debug)]
pub(super) struct Store {
    lines: Vec<u8>,
    waiting: Amount,
    /// Taken, and not written yet.
    in_hand: Amount,
    lost: Lost,
}

#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    bytes: usize,
    of_plugins: usize,
}

impl Store {
    pub(super) const fn new() -> Store {
        let nothing = Amount {
            bytes: 0,
            of_plugins: 0,
        };
        Store {
            lines: Vec::new(),
            waiting: nothing,
            in_hand: nothing,
            lost: Lost {
                lines: 0,
                of_plugins: 0,
            },
        }
    }

    /// Whether no line waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes a line, or counts it as lost.
    pub(super) fn push(&mut self, origin: Origin, line: &[u8]) {
        if !self.has_room(origin, line.len()) {
            self.lose(origin);
            return;
        }
        self.lines.extend_from_slice(line);
        self.waiting.bytes += line.len();
        if origin == Origin::Plugin {
            self.waiting.of_plugins += line.len();
        }
    }

    fn has_room(&self, origin: Origin, length: usize) -> bool {
        let bytes = self.waiting.bytes + self.in_hand.bytes + length;
        let of_plugins = self.waiting.of_plugins + self.in_hand.of_plugins + length;
        match origin {
            Origin::Writer => true,
            Origin::Host => bytes <= ROOM,
            Origin::Plugin => bytes <= ROOM && of_plugins <= ROOM_OF_PLUGINS,
        }
    }

    /// Counts a line that there is none of.
    pub(super) fn lose(&mut self, origin: Origin) {
        self.lost.lines += 1;
        self.lost.of_plugins += u64::from(origin == Origin::Plugin);
    }

    /// What was lost since this was asked last.
    pub(super) fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    /// Gives all lines, for an empty `buffer`. Their room is taken until they are [written](Store::wrote).
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>) {
        std::mem::swap(&mut self.lines, buffer);
        self.in_hand = std::mem::take(&mut self.waiting);
    }

    /// So many bytes of what was taken are done with.
    pub(super) fn wrote(&mut self, bytes: usize) {
        let left = self.in_hand.bytes.saturating_sub(bytes);
        self.in_hand.bytes = left;
        // Whose bytes they were is not known, only that the rest can't be more than is left.
        self.in_hand.of_plugins = self.in_hand.of_plugins.min(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(length: usize) -> Vec<u8> {
        vec![b'x'; length]
    }

    fn lost(lines: u64, of_plugins: u64) -> Lost {
        Lost { lines, of_plugins }
    }

    #[test]
    fn plugins_leave_half_of_the_room_and_what_has_none_is_counted() {
        let mut store = Store::new();
        for _ in 0..3 {
            store.push(Origin::Plugin, &line(ROOM_OF_PLUGINS / 2));
        }
        for _ in 0..3 {
            store.push(Origin::Host, &line(ROOM / 4));
        }
        assert_eq!(store.take_lost(), lost(2, 1));
        let mut taken = Vec::new();
        store.take(&mut taken);
        assert_eq!(taken.len(), ROOM);
        // What is being written still counts, as far as it is not yet written.
        store.push(Origin::Host, b"1");
        store.wrote(ROOM / 2);
        store.push(Origin::Plugin, b"2");
        store.push(Origin::Host, b"3");
        store.wrote(ROOM / 2);
        store.push(Origin::Plugin, b"4");
        assert_eq!(store.take_lost(), lost(2, 1));
        taken.clear();
        store.take(&mut taken);
        assert_eq!(taken, b"34");
    }

    #[test]
    fn the_writers_own_lines_always_have_room() {
        let mut store = Store::new();
        store.push(Origin::Host, &line(ROOM));
        store.push(Origin::Writer, b"lost");
        assert_eq!(store.take_lost(), lost(0, 0));
        let mut taken = Vec::new();
        store.take(&mut taken);
        assert!(taken.ends_with(b"lost"));
    }
}
