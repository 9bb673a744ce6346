//! What lies in the plugin directory: its entries and links ([`scan`]), each file judged once and when it is complete
//! ([`verdicts`]), grouped by soname ([`groups`]), all of it in one value ([`survey`]). Decides nothing about what serves.

pub mod groups;
pub mod links;
pub mod misnamed;
pub mod scan;
pub mod survey;
pub mod verdicts;
