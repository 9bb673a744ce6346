//! How a text file is read: no further than any of these files is long. What cargo, git and a host write has kilobytes; a
//! file of gigabytes in its place is no reason to ask for gigabytes of memory.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// In bytes. The largest is `packed-refs` of a repository with very many references.
const MAX_TEXT: u64 = 64 << 20;

/// The whole of a text file.
///
/// # Errors
/// When it can't be read, is larger than any such file, or is not UTF-8.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    read_up_to(path, MAX_TEXT)
}

fn read_up_to(path: &Path, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    // One byte more tells a file that is as long as the limit from a longer one.
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {limit} bytes, as no such file is"),
        )),
        false => String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_up_to_the_limit() {
        let path = std::env::temp_dir().join(format!("plugin-build-{}-text", std::process::id()));
        std::fs::write(&path, "four").expect("a file");
        assert_eq!(read_up_to(&path, 4).expect("a text"), "four");
        let error = read_up_to(&path, 3).expect_err("too large");
        assert!(error.to_string().contains("larger than 3 bytes"), "{error}");
        std::fs::remove_file(path).expect("removed");
    }
}
