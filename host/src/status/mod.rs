//! What is told of what is: the values that the log, `host check` and JSON show. Decides nothing, and keeps only what the log
//! was told already.

pub mod audit;
pub mod report;
pub mod serving_file;
pub mod submit_totals;
