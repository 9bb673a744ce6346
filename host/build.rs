//! The host has a record too: the other side of every comparison.

fn main() {
    plugin_build::emit_program()
}
