//! The result codes of acks: the one table of what the host itself may answer. 1..=0xEF belong to handlers, so nothing
//! here gives them a meaning; why a Submit got a code is for the log, a client learns the code alone.

/// Done.
pub const SUCCESS: u8 = 0x00;
/// No plugin serves the command.
pub const NO_PLUGIN: u8 = 0xF0;
/// The handler panicked, or gave something that can't be sent.
pub const HANDLER_FAILED: u8 = 0xF1;
/// The handler took too long.
pub const TIMED_OUT: u8 = 0xF2;
/// The host has too much to do.
pub const OVERLOADED: u8 = 0xF3;
/// The connection may not do this.
pub const NOT_AUTHORISED: u8 = 0xF4;
/// The host is about to end; nothing was done.
pub const SHUTTING_DOWN: u8 = 0xF5;
/// The plugin that serves the command is suspended.
pub const SUSPENDED: u8 = 0xF6;
/// What answers for the plugin (its worker, broker or queue group) can't be reached now.
pub const UNAVAILABLE: u8 = 0xF7;

/// The first code that only the host may use; from here to 0xFF.
pub const FIRST_OF_HOST: u8 = 0xF0;

/// Every code that has a meaning of its own, with what people call it.
pub const TABLE: [(u8, &str); 9] = [
    (SUCCESS, "success"),
    (NO_PLUGIN, "no plugin for this command"),
    (HANDLER_FAILED, "handler failed"),
    (TIMED_OUT, "timed out"),
    (OVERLOADED, "overloaded"),
    (NOT_AUTHORISED, "not authorised"),
    (SHUTTING_DOWN, "shutting down"),
    (SUSPENDED, "plugin suspended"),
    (UNAVAILABLE, "plugin unavailable"),
];

/// What a result code means, for people.
pub fn describe(result: u8) -> &'static str {
    match TABLE.iter().find(|(code, _)| *code == result) {
        Some((_, name)) => name,
        None if result < FIRST_OF_HOST => "result of the handler",
        None => "unknown result of the host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_description() {
        assert_eq!(describe(0x00), "success");
        assert_eq!(describe(0x01), "result of the handler");
        assert_eq!(describe(0xEF), "result of the handler");
        assert_eq!(describe(0xF0), "no plugin for this command");
        assert_eq!(describe(0xF6), "plugin suspended");
        assert_eq!(describe(0xF7), "plugin unavailable");
        assert_eq!(describe(0xF8), "unknown result of the host");
    }
}
