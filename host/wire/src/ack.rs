//! Acks as a host writes them, without an allocation for any single one.

use crate::{MIN_ACK, result};

/// How much room acks get to begin with.
const FIRST_ROOM: usize = 4 * 1024;

/// How the command of an ack follows from that of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AckNumbering {
    /// Request + 0x7F: what the original programs put on the wire.
    #[default]
    Go,
    /// Request + 0x80: what their comments say.
    Documented,
}

/// Writes acks, one after another, into a buffer that grows as they need it.
pub struct AckWriter<'a> {
    /// All that is there is initialised, so that writing is no more than a copy. What was written is its beginning.
    room: &'a mut Vec<u8>,
    written: usize,
    max_body: usize,
    /// An ack may begin before this many bytes.
    max_output: usize,
    /// What is added to the command of a request.
    offset: u8,
}

impl<'a> AckWriter<'a> {
    /// `room` is written over from its start. `max_frame` is the most that an ack may have in bytes, its length included;
    /// when `max_output` bytes were written, [`AckWriter::room`] is gone.
    #[inline]
    pub fn new(room: &'a mut Vec<u8>, numbering: AckNumbering, max_frame: usize, max_output: usize) -> AckWriter<'a> {
        let offset = match numbering {
            AckNumbering::Go => 0x7F,
            AckNumbering::Documented => 0x80,
        };
        AckWriter {
            room,
            written: 0,
            max_body: max_frame.saturating_sub(MIN_ACK),
            max_output,
            offset,
        }
    }

    /// The longest body that an ack may have, in bytes.
    #[inline]
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// Acks the request with this command and ID. A body over [`AckWriter::max_body`] can't be sent: the ack becomes
    /// [`result::HANDLER_FAILED`] without a body. Whoever wants to log that looks at the length first.
    #[inline]
    pub fn ack(&mut self, command: u8, id: &[u8; 8], result: u8, body: &[u8]) {
        if !self.try_ack(command, id, result, body) {
            self.try_ack(command, id, result::HANDLER_FAILED, &[]);
        }
    }

    /// The same, unless the body is over [`AckWriter::max_body`]; whether it is not.
    #[inline]
    pub fn try_ack(&mut self, command: u8, id: &[u8; 8], result: u8, body: &[u8]) -> bool {
        if body.len() > self.max_body {
            return false;
        }
        let end = self.written + MIN_ACK + body.len();
        if end > self.room.len() {
            self.grow(end);
        }
        let (_, place) = self.room.split_at_mut(self.written);
        if let Some((head, rest)) = place.split_first_chunk_mut() {
            write_head(head, command.wrapping_add(self.offset), *id, result, body.len());
            if !body.is_empty() {
                rest[..body.len()].copy_from_slice(body);
            }
            self.written = end;
        }
        true
    }

    /// Acks requests without bodies: command, ID and result of each.
    #[inline]
    pub fn acks<'r>(&mut self, acks: impl ExactSizeIterator<Item = (u8, &'r [u8; 8], u8)>) {
        let end = self.written + acks.len() * MIN_ACK;
        if end > self.room.len() {
            self.grow(end);
        }
        let offset = self.offset;
        let (heads, _) = self.room[self.written..end].as_chunks_mut();
        for (head, (command, id, result)) in heads.iter_mut().zip(acks) {
            write_head(head, command.wrapping_add(offset), *id, result, 0);
        }
        self.written = end;
    }

    /// To twice the size, as long as that can ever be needed. Fresh memory that the system gives is zero by itself, which
    /// spares large room the filling.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, needed: usize) {
        let most = self.max_output + MIN_ACK + self.max_body;
        let mut room = vec![0; (2 * self.room.len()).max(FIRST_ROOM).min(most).max(needed)];
        room[..self.written].copy_from_slice(&self.room[..self.written]);
        *self.room = room;
    }

    /// How many bytes of acks were written.
    #[inline]
    pub fn written(&self) -> usize {
        self.written
    }

    /// How many bytes are left before `max_output`. The last ack that begins there may be longer.
    #[inline]
    pub fn left(&self) -> usize {
        self.max_output.saturating_sub(self.written)
    }

    /// How many acks without a body there certainly is room for; one, as long as any bytes are left.
    #[inline]
    pub fn room(&self) -> usize {
        // Asked for each ack with a body, so a power of two; and there is no object that a sum could be too large for.
        const ACK: usize = MIN_ACK.next_power_of_two();
        (self.left() + (ACK - 1)) >> ACK.ilog2()
    }

    /// The acks that were written.
    #[inline]
    pub fn finish(self) -> &'a [u8] {
        &self.room[..self.written]
    }
}

/// Writes the beginning of an ack: length, command, ID, result. It is put together in registers and goes out in two stores,
/// which overlap. Written field by field, and copied then, it would be read before it is readable as words: a stall that
/// costs more than all the rest.
#[inline]
fn write_head(head: &mut [u8; MIN_ACK], command: u8, id: [u8; 8], result: u8, body: usize) {
    // `max_frame` fits a signed length (see `server.max_frame`), and so does all that is no longer.
    let length = (MIN_ACK + body) as u32;
    let (length, id) = (u64::from(length.swap_bytes()), u64::from_le_bytes(id));
    let beginning = length | u64::from(command) << 32 | id << 40;
    let end = id >> 8 | u64::from(result) << 56;
    if let Some(place) = head.first_chunk_mut() {
        *place = beginning.to_le_bytes();
    }
    if let Some(place) = head.last_chunk_mut() {
        *place = end.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CONN, bytes};

    const MAX_FRAME: usize = 64 * 1024;

    #[track_caller]
    fn check_ack(numbering: AckNumbering, command: u8, result: u8, body: &[u8], expected: &str) {
        let mut room = Vec::new();
        let mut acks = AckWriter::new(&mut room, numbering, MAX_FRAME, usize::MAX / 2);
        acks.ack(command, b"00000001", result, body);
        assert_eq!(acks.finish(), bytes(expected));
    }

    #[test]
    fn acks_are_numbered_as_configured() {
        use AckNumbering::{Documented, Go};
        check_ack(Go, 0x02, 0, b"", "0000000e 81 3030303030303031 00");
        check_ack(Documented, 0x02, 0, b"", "0000000e 82 3030303030303031 00");
        check_ack(Go, CONN, 0, b"", "0000000e 80 3030303030303031 00");
        check_ack(Documented, CONN, 0, b"", "0000000e 81 3030303030303031 00");
        check_ack(Go, 0x7F, 0xF0, b"", "0000000e fe 3030303030303031 f0");
        check_ack(Documented, 0x7F, 0xF0, b"", "0000000e ff 3030303030303031 f0");
    }

    #[test]
    fn a_body_follows_the_result() {
        check_ack(
            AckNumbering::Go,
            0x02,
            7,
            b"hello",
            "00000013 81 3030303030303031 07 68656c6c6f",
        );
    }

    #[test]
    fn a_body_that_does_not_fit_fails_the_submit() {
        let mut room = Vec::new();
        let mut acks = AckWriter::new(&mut room, AckNumbering::Go, 16, 1024);
        assert_eq!((acks.max_body(), acks.room()), (2, 64));
        acks.ack(0x02, b"00000001", 0, b"ab");
        assert_eq!((acks.left(), acks.room()), (1008, 63));
        acks.ack(0x02, b"00000002", 0, b"abc");
        let expected = "00000010 81 3030303030303031 00 6162 0000000e 81 3030303030303032 f1";
        assert_eq!(acks.finish(), bytes(expected));
    }

    #[test]
    fn room_grows_and_is_written_over() {
        let mut room = vec![0xFF; 3];
        for _ in 0..2 {
            let mut acks = AckWriter::new(&mut room, AckNumbering::Go, MAX_FRAME, usize::MAX / 2);
            let body = vec![7; 5000];
            (0..10).for_each(|_| acks.ack(0x02, b"00000001", 0, &body));
            assert_eq!(acks.written(), 10 * 5014);
            let acks = acks.finish();
            let one = [&bytes("00001396 81 3030303030303031 00")[..], &body].concat();
            assert!(acks.chunks(5014).all(|ack| ack == one));
        }
    }
}
