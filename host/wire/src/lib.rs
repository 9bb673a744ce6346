//! Bytes to packets and back: frames, acks and result codes, from the host's end and from a client's. No I/O, no allocation for
//! a packet, no copy of a payload; what a packet means is for those who use this.

mod ack;
pub mod client;
mod frame;
pub mod result;

pub use ack::{AckNumbering, AckWriter};
pub use frame::{Decoded, Malformed, Packet, decode, is_submit, whole};

/// The command that opens a connection.
pub const CONN: u8 = 0x01;

/// Length, command and ID: the shortest frame that a peer may send.
pub const MIN_FRAME: usize = LENGTH + 1 + ID;
/// An ack without a body: [`MIN_FRAME`] and the result.
pub const MIN_ACK: usize = MIN_FRAME + 1;

const LENGTH: usize = 4;
const ID: usize = 8;

/// The bytes that these hexadecimal digits stand for; what stands between them is passed over.
#[cfg(test)]
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| char::from(digit).to_digit(16).map_or(0, |value| value as u8);
    digits
        .chunks(2)
        .map(|pair| value(pair[0]) << 4 | value(pair[1]))
        .collect()
}
