//! The program is the library's command line: see `cli`.

fn main() {
    host::cli::main()
}
