//! What should run: which version of a soname ([`desired_version`]), who gets which command ([`command_claims`]), and why all
//! else does not ([`idle`], [`unserved`]). Pure: from a survey, the configuration and what serves; touches no file and no thread.

pub mod command_claims;
pub mod desired_version;
pub mod idle;
pub mod unserved;
