//! Which names a plugin's package can have. Cargo's rule is wider: here a name becomes a part of file names, link names and keys
//! of configuration files, and is ASCII in all of them.

/// Whether a plugin's package can have this name: letters, digits, `-` and `_` of ASCII, at least one.
pub fn is_package_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_of_package_name)
}

/// Whether a character may stand in such a name.
pub fn is_of_package_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}
