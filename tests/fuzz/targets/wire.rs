//! Frames: whatever the bytes, each frame is inside them and is all of what it says, and the next one starts behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Decoded, MIN_FRAME, decode};

const MAX_FRAME: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    loop {
        match decode(rest, MAX_FRAME) {
            Decoded::Frame { packet, length } => {
                assert!((MIN_FRAME..=MAX_FRAME).contains(&length) && length <= rest.len());
                let (frame, next) = rest.split_at(length);
                assert_eq!((packet.command, &packet.id[..]), (frame[4], &frame[5..13]));
                assert_eq!(packet.payload, &frame[13..]);
                // What stands behind a frame says nothing about it, and no part of it is enough.
                assert_eq!(decode(frame, MAX_FRAME), decode(rest, MAX_FRAME));
                assert_eq!(
                    decode(&frame[..length - 1], MAX_FRAME),
                    Decoded::Incomplete { missing: 1 }
                );
                rest = next;
            }
            Decoded::Incomplete { missing } => {
                assert!(missing > 0 && rest.len() + missing <= MAX_FRAME && rest.len() < MAX_FRAME);
                return;
            }
            Decoded::Malformed(fault) => {
                // It stays malformed, whatever follows.
                let longer = [rest, &[0; 16]].concat();
                assert_eq!(decode(&longer, MAX_FRAME), Decoded::Malformed(fault));
                return;
            }
        }
    }
});
