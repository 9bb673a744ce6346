//! The wire from its other end, for the commands that are clients: requests are written, acks are read.

use super::{ID, LENGTH, MIN_ACK, MIN_FRAME};

/// An ack that is larger did not come from a host: no frame may be (see `server.max_frame`).
pub const MAX_ACK: usize = 64 << 20;

/// One ack, borrowed from the bytes it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// That of the request, and the offset of `protocol.ack`.
    pub command: u8,
    /// That of the request.
    pub id: [u8; 8],
    /// See [`crate::result`].
    pub result: u8,
    /// What the handler added; mostly nothing.
    pub body: &'a [u8],
}

/// What the bytes at hand begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole ack.
    Ack {
        /// What it says.
        ack: Ack<'a>,
        /// Its length in bytes: where the next one starts.
        length: usize,
    },
    /// The beginning of an ack, or nothing.
    Incomplete {
        /// How many bytes are missing: exact as soon as the ack's length is here, until then the least it can be. So says the
        /// peer: it is how much may be read, not how much to make room for.
        missing: usize,
    },
    /// No host sends this: a length that no ack has.
    Malformed {
        /// What the length would be.
        length: i32,
    },
}

/// Looks at the first ack of `bytes`.
#[inline]
pub fn decode(bytes: &[u8]) -> Decoded<'_> {
    let Some((length, _)) = bytes.split_first_chunk::<LENGTH>() else {
        return Decoded::Incomplete {
            missing: MIN_ACK - bytes.len(),
        };
    };
    let stated = i32::from_be_bytes(*length);
    let length = match usize::try_from(stated) {
        Ok(length) if (MIN_ACK..=MAX_ACK).contains(&length) => length,
        _ => return Decoded::Malformed { length: stated },
    };
    let Some(frame) = bytes.get(..length) else {
        return Decoded::Incomplete {
            missing: length - bytes.len(),
        };
    };
    let Some((head, body)) = frame.split_first_chunk::<MIN_ACK>() else {
        return Decoded::Malformed { length: stated }; // not with a length of at least MIN_ACK
    };
    let mut id = [0; ID];
    id.copy_from_slice(&head[LENGTH + 1..MIN_FRAME]);
    let ack = Ack {
        command: head[LENGTH],
        id,
        result: head[MIN_FRAME],
        body,
    };
    Decoded::Ack { ack, length }
}

/// The longest payload that a request may have, in bytes: no host takes more (see `server.max_frame`).
pub const MAX_PAYLOAD: usize = MAX_ACK - MIN_FRAME;

/// Appends a request. A payload of more than [`MAX_PAYLOAD`] bytes is the caller's to refuse.
#[inline]
pub fn request(output: &mut Vec<u8>, command: u8, id: [u8; 8], payload: &[u8]) {
    let length = (MIN_FRAME + payload.len()) as u32;
    let mut head = [0; MIN_FRAME];
    head[..LENGTH].copy_from_slice(&length.to_be_bytes());
    head[LENGTH] = command;
    head[LENGTH + 1..].copy_from_slice(&id);
    output.extend_from_slice(&head);
    output.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{self as wire, AckNumbering, AckWriter, Packet};

    #[test]
    fn what_the_host_writes_is_read() {
        let mut room = Vec::new();
        let mut acks = AckWriter::new(&mut room, AckNumbering::Go, 1024, usize::MAX / 2);
        acks.ack(0x02, b"00000001", 7, b"hello");
        acks.ack(0x03, b"00000002", 0, b"");
        let output = acks.finish();
        let first = Ack {
            command: 0x81,
            id: *b"00000001",
            result: 7,
            body: b"hello",
        };
        assert_eq!(decode(output), Decoded::Ack { ack: first, length: 19 });
        for end in 0..19 {
            let missing = if end < 4 { 14 - end } else { 19 - end };
            assert_eq!(decode(&output[..end]), Decoded::Incomplete { missing }, "{end} bytes");
        }
        let second = Ack {
            command: 0x82,
            id: *b"00000002",
            result: 0,
            body: b"",
        };
        assert_eq!(
            decode(&output[19..]),
            Decoded::Ack {
                ack: second,
                length: 14
            }
        );
    }

    #[test]
    fn lengths_that_no_ack_has_are_malformed() {
        for length in [0, 13, -1, i32::MAX] {
            assert_eq!(decode(&length.to_be_bytes()), Decoded::Malformed { length });
        }
    }

    #[test]
    fn what_is_written_the_host_reads() {
        let mut frame = Vec::new();
        request(&mut frame, 0x02, *b"00000001", b"hello");
        let packet = Packet {
            command: 0x02,
            id: b"00000001",
            payload: b"hello",
        };
        assert_eq!(wire::decode(&frame, 1024), wire::Decoded::Frame { packet, length: 18 });
    }
}
