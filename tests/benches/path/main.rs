#![allow(clippy::unwrap_used, missing_docs)]
mod floor;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--floor") {
        floor::serve(args[at + 1].parse().unwrap());
    }
}
