//! What a library is given when it makes a handler, or says whether it would.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use super::lent::growing;
use super::{Bytes, Lent, Services, Text};

growing! {
    /// What `check_config` is given.
    pub struct CheckArgs<'a>: CheckArgsRef, CheckArgsFirst {
        /// The plugin's configuration as a JSON object.
        #[sabi(last_prefix_field)]
        pub config: Text<'a>,
    }
}

growing! {
    /// What `init` is given.
    pub struct InitArgs<'a>: InitArgsRef, InitArgsFirst {
        /// The plugin's name, from its record.
        pub name: Text<'a>,
        /// The plugin's version, from its record.
        pub version: Text<'a>,
        /// A folder for the plugin's own files: the bytes of a path.
        pub data_dir: Bytes<'a>,
        /// The plugin's configuration as a JSON object.
        pub config: Text<'a>,
        /// What the host does for the library.
        #[sabi(last_prefix_field)]
        pub services: Lent<'static, Services>,
    }
}
