//! Writes the record and the soname.

fn main() {
    plugin_build::emit()
}
