//! The Submits of one connection that are under way, found by the IDs of their acks. Acks may come in any order: those of
//! handlers that run elsewhere do.

use wire::client::Ack;

/// What an ack's body has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Whatever it is.
    #[default]
    Any,
    /// Nothing.
    Empty,
    /// The payload of its Submit.
    Echo,
}

/// What is wrong with an ack, or with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// No Submit with this ID is under way: it was acked already, or never sent.
    UnknownId,
    /// Not the command that belongs to its Submit's.
    WrongCommand,
    /// Not the body that was asked for.
    WrongBody,
    /// Nothing that could be an ack; the connection is given up.
    Malformed,
    /// The host ended the connection.
    Closed,
    /// A Submit whose ack never came.
    Lost,
}

impl Fault {
    /// Every fault, in the order of the enum.
    pub const ALL: [Fault; 6] = [
        Fault::UnknownId,
        Fault::WrongCommand,
        Fault::WrongBody,
        Fault::Malformed,
        Fault::Closed,
        Fault::Lost,
    ];

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Fault::UnknownId => "unknown_id",
            Fault::WrongCommand => "wrong_command",
            Fault::WrongBody => "wrong_body",
            Fault::Malformed => "malformed",
            Fault::Closed => "closed",
            Fault::Lost => "lost",
        }
    }
}

/// The places of a window. An ID names a place and how often that place was used before, so that an ack that comes twice
/// is known from the next one of its place.
pub(super) struct InFlight {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Slot {
    due: u64,
    use_number: u32,
    command: u8,
    is_taken: bool,
}

impl InFlight {
    /// Room for `window` Submits.
    pub(super) fn new(window: usize) -> InFlight {
        let free = Slot {
            due: 0,
            use_number: 0,
            command: 0,
            is_taken: false,
        };
        let window = u32::try_from(window).unwrap_or(u32::MAX);
        InFlight {
            slots: vec![free; window as usize],
            free: (0..window).rev().collect(),
        }
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Takes a place for a Submit; its ID, or none if there is no room.
    #[inline]
    pub(super) fn begin(&mut self, command: u8, due: u64) -> Option<[u8; 8]> {
        let place = self.free.pop()?;
        let slot = &mut self.slots[place as usize];
        slot.use_number = slot.use_number.wrapping_add(1);
        slot.due = due;
        slot.command = command;
        slot.is_taken = true;
        Some((u64::from(place) << 32 | u64::from(slot.use_number)).to_be_bytes())
    }

    /// When the Submit of this ack was due; its place is free again. `offset` is what acks add to commands.
    ///
    /// # Errors
    /// When there is no such Submit, or its ack has another command.
    #[inline]
    pub(super) fn end(&mut self, ack: &Ack<'_>, offset: u8) -> Result<u64, Fault> {
        let id = u64::from_be_bytes(ack.id);
        let (place, use_number) = ((id >> 32) as u32, id as u32);
        let slot = self.slots.get_mut(place as usize);
        let slot = slot.filter(|slot| slot.is_taken && slot.use_number == use_number);
        let slot = slot.ok_or(Fault::UnknownId)?;
        slot.is_taken = false;
        self.free.push(place);
        match ack.command == slot.command.wrapping_add(offset) {
            true => Ok(slot.due),
            false => Err(Fault::WrongCommand),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(id: [u8; 8], command: u8) -> Ack<'static> {
        Ack {
            command,
            id,
            result: 0,
            body: b"",
        }
    }

    fn begin(submits: &mut InFlight, command: u8, due: u64) -> [u8; 8] {
        submits.begin(command, due).expect("room for it")
    }

    #[test]
    fn acks_find_their_submits_in_any_order() {
        let mut submits = InFlight::new(2);
        let first = begin(&mut submits, 0x02, 10);
        let second = begin(&mut submits, 0x03, 20);
        assert_eq!((submits.begin(0x02, 30), submits.len()), (None, 2));
        assert_eq!(submits.end(&ack(second, 0x82), 0x7F), Ok(20));
        assert_eq!(submits.end(&ack(first, 0x81), 0x7F), Ok(10));
        assert_eq!(submits.len(), 0);
    }

    #[test]
    fn an_ack_that_comes_twice_is_found_out() {
        let mut submits = InFlight::new(1);
        let first = begin(&mut submits, 0x02, 10);
        assert_eq!(submits.end(&ack(first, 0x81), 0x7F), Ok(10));
        assert_eq!(submits.end(&ack(first, 0x81), 0x7F), Err(Fault::UnknownId));
        let second = begin(&mut submits, 0x02, 20);
        assert_eq!(submits.end(&ack(first, 0x81), 0x7F), Err(Fault::UnknownId));
        assert_eq!(submits.end(&ack(second, 0x81), 0x7F), Ok(20));
    }

    #[test]
    fn acks_of_nothing_and_with_other_commands_are_found_out() {
        let mut submits = InFlight::new(1);
        assert_eq!(submits.end(&ack(*b"00000001", 0x81), 0x7F), Err(Fault::UnknownId));
        let id = begin(&mut submits, 0x02, 10);
        assert_eq!(submits.end(&ack(id, 0x82), 0x7F), Err(Fault::WrongCommand));
    }
}
