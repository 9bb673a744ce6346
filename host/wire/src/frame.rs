//! Requests: where a frame ends, what is malformed. No length is believed before it has been checked, and a malformed frame is
//! known by its first 4 or 5 bytes, so a peer can't make anyone wait for the rest of one.

use thiserror::Error;

use crate::{ID, LENGTH, MIN_FRAME};

/// Whether a request with this command is a Submit, and so a plugin's.
#[inline]
pub fn is_submit(command: u8) -> bool {
    matches!(command, 0x02..=0x7F)
}

/// One request, borrowed from the bytes it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// [`CONN`](crate::CONN), or a Submit's: 0x01..=0x7F.
    pub command: u8,
    /// The peer's own mark; any bytes, to be echoed untouched.
    pub id: &'a [u8; 8],
    /// The rest of the frame; may be empty.
    pub payload: &'a [u8],
}

/// What the bytes at hand begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole frame.
    Frame {
        /// What it carries.
        packet: Packet<'a>,
        /// Its length in bytes: where the next frame starts.
        length: usize,
    },
    /// The beginning of a frame, or nothing.
    Incomplete {
        /// How many bytes are missing: exact as soon as the frame's length is here, until then the least it can be.
        missing: usize,
    },
    /// Nothing that could be a frame; where the next one would start is unknown.
    Malformed(Malformed),
}

/// Why bytes can't be a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Less than [`MIN_FRAME`].
    #[error("length too short")]
    TooShort,
    /// More than `server.max_frame`.
    #[error("length too long")]
    TooLong,
    /// Below zero; lengths are signed.
    #[error("length negative")]
    Negative,
    /// No request has this command.
    #[error("command 0")]
    CommandZero,
    /// The high bit marks acks, which only the host sends.
    #[error("command with the high bit set")]
    CommandHighBit,
}

impl Malformed {
    /// Every reason, in the order of the enum.
    pub const ALL: [Malformed; 5] = [
        Malformed::TooShort,
        Malformed::TooLong,
        Malformed::Negative,
        Malformed::CommandZero,
        Malformed::CommandHighBit,
    ];
}

/// Looks at the first frame of `bytes`. `max_frame` is the most that a frame may have, its length included.
#[inline]
pub fn decode(bytes: &[u8], max_frame: usize) -> Decoded<'_> {
    match whole(bytes, max_frame) {
        Some(packet) => Decoded::Frame {
            packet,
            length: MIN_FRAME + packet.payload.len(),
        },
        None => decode_rare(bytes, max_frame),
    }
}

/// The packet of the first frame of `bytes`, if it is a whole good one: in as few questions as possible, for nearly all are.
#[inline]
pub fn whole(bytes: &[u8], max_frame: usize) -> Option<Packet<'_>> {
    let (head, rest) = bytes.split_first_chunk::<MIN_FRAME>()?;
    let [l0, l1, l2, l3, command, id @ ..] = head;
    // What is negative as a signed length is far too long as an unsigned one.
    let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
    if length > max_frame || !matches!(command, 0x01..=0x7F) {
        return None;
    }
    Some(Packet {
        command: *command,
        id,
        payload: rest.get(..length.checked_sub(MIN_FRAME)?)?,
    })
}

/// What is wrong with the first frame, or missing of it. Right for whole frames, too.
#[cold]
fn decode_rare(bytes: &[u8], max_frame: usize) -> Decoded<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Decoded::Incomplete {
            missing: MIN_FRAME - bytes.len(),
        };
    };
    let length = i32::from_be_bytes(*length);
    let Ok(length) = usize::try_from(length) else {
        return Decoded::Malformed(Malformed::Negative);
    };
    if length < MIN_FRAME {
        return Decoded::Malformed(Malformed::TooShort);
    }
    if length > max_frame {
        return Decoded::Malformed(Malformed::TooLong);
    }
    let command = match rest.first() {
        None => {
            return Decoded::Incomplete {
                missing: length - bytes.len(),
            };
        }
        Some(0) => return Decoded::Malformed(Malformed::CommandZero),
        Some(0x80..) => return Decoded::Malformed(Malformed::CommandHighBit),
        Some(command) => *command,
    };
    // A frame of at least MIN_FRAME bytes has a whole ID, so only the first of these two can fail.
    let Some(frame) = bytes.get(..length) else {
        return Decoded::Incomplete {
            missing: length - bytes.len(),
        };
    };
    let Some((id, payload)) = frame[LENGTH + 1..].split_first_chunk::<ID>() else {
        return Decoded::Malformed(Malformed::TooShort);
    };
    Decoded::Frame {
        packet: Packet { command, id, payload },
        length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CONN, bytes};

    const SUBMIT_HELLO: &str = "00000012 02 3030303030303031 68656c6c6f";
    const MAX_FRAME: usize = 64 * 1024;

    #[track_caller]
    fn check_malformed(hex: &str, reason: Malformed) {
        assert_eq!(decode(&bytes(hex), MAX_FRAME), Decoded::Malformed(reason));
    }

    #[track_caller]
    fn check_missing(hex: &str, missing: usize) {
        assert_eq!(decode(&bytes(hex), MAX_FRAME), Decoded::Incomplete { missing });
    }

    #[test]
    fn a_submit_is_decoded() {
        let frame = bytes(SUBMIT_HELLO);
        let packet = Packet {
            command: 0x02,
            id: b"00000001",
            payload: b"hello",
        };
        assert_eq!(decode(&frame, MAX_FRAME), Decoded::Frame { packet, length: 18 });
    }

    #[test]
    fn what_follows_a_frame_is_left_alone() {
        let frames = bytes("0000000d 01 ff00fe01fd02fc03 80");
        let packet = Packet {
            command: CONN,
            id: b"\xff\x00\xfe\x01\xfd\x02\xfc\x03",
            payload: b"",
        };
        assert_eq!(decode(&frames, MAX_FRAME), Decoded::Frame { packet, length: 13 });
    }

    #[test]
    fn every_beginning_of_a_frame_is_incomplete() {
        let frame = bytes(SUBMIT_HELLO);
        for end in 0..frame.len() {
            let missing = if end < 4 { 13 - end } else { 18 - end };
            assert_eq!(
                decode(&frame[..end], MAX_FRAME),
                Decoded::Incomplete { missing },
                "{end} bytes"
            );
        }
    }

    #[test]
    fn lengths_have_bounds() {
        check_malformed("00000000", Malformed::TooShort);
        check_malformed("00000004", Malformed::TooShort);
        check_malformed("0000000c 02", Malformed::TooShort);
        check_missing("0000000d", 9);
        check_missing("00010000", 65532);
        check_malformed("00010001", Malformed::TooLong);
        check_malformed("7fffffff", Malformed::TooLong);
        check_malformed("80000000", Malformed::Negative);
        check_malformed("ffffffff", Malformed::Negative);
    }

    #[test]
    fn commands_have_bounds() {
        check_malformed("0000000d 00", Malformed::CommandZero);
        check_malformed("0000000d 80", Malformed::CommandHighBit);
        check_malformed("0000000d ff", Malformed::CommandHighBit);
        check_missing("0000000d 01", 8);
        check_missing("0000000d 7f", 8);
    }

    #[test]
    fn submits_are_0x02_to_0x7f() {
        let submits: Vec<u8> = (0..=0xFF).filter(|command| is_submit(*command)).collect();
        assert_eq!(submits, (0x02..=0x7F).collect::<Vec<u8>>());
    }
}
