//! Decides whether a file may be opened. Everything between a path and that answer: a private copy ([`stage`]), what the
//! copy's bytes say ([`inspect`]), and the comparison of all that with the host and its policy ([`admit`]), which makes
//! [`Admitted`](admit::Admitted). Nothing of the file runs here, and admission does not know what else lies beside it, what
//! serves, or any thread. Only `stage`, `permissions` and `glibc` touch the file system; all else is pure.

pub mod admit;
pub mod checks;
pub mod glibc;
pub mod host_record;
pub mod inspect;
pub mod name_checks;
pub mod names;
pub mod permissions;
mod refusal_text;
pub mod stage;
pub mod static_tls;
pub mod system;
