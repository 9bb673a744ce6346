//! What should run: which version of a soname ([`desired_version`]), by what is known of it ([`soname_state`], [`tried`]); which
//! table speaks for it ([`table_for`]); who gets which command ([`command_claims`]); and why all else does not serve ([`idle`],
//! [`unserved`]). Pure: from a survey, the configuration and what serves; touches no file, no thread, and nothing that runs.

pub mod candidate;
pub mod command_claims;
pub mod desired_version;
pub mod idle;
pub mod instance_key;
pub mod soname_state;
pub mod table_for;
pub mod tried;
pub mod unserved;

#[cfg(test)]
mod fixtures;
