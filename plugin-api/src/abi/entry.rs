//! How the host gets at a library's [`Module`]: by a static of a known name, through abi_stable's layout check.
//!
//! The interface grows at its end, so of two minor versions one has all that the other has, and more. abi_stable's check
//! allows that the library has more than is asked for, and refuses one that has less. Less is well all the same: who reads a
//! field that is not there is told so. So an older library is checked the other way round: all that it has must be what we
//! have. That holds for all structs at once, whoever lends them, as each of them has more on the newer side.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{CheckingGlobals, check_layout_compatibility_with_globals};
use abi_stable::library::{AbiHeaderRef, CheckTypeLayout, LibHeader, RootModule, RootModuleResult};
use abi_stable::prefix_type::{PrefixRefTrait, PrefixTypeTrait};
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::ROk;
use abi_stable::type_layout::TypeLayout;
use abi_stable::{declare_root_module_statics, package_version_strings};

use super::{Lent, Module};

/// The name of the static that a plugin exports: its [`Header`].
pub const ENTRY_SYMBOL: &str = "HOST_PLUGIN_ENTRY";

/// The static, as the plugin writes it: the versions and the layouts of what crosses, and a function that gives the module.
pub type Header = LibHeader;

/// The static, as the host finds it: nothing in it is believed yet.
pub type Entry = AbiHeaderRef;

/// The module, as the function in the [`Header`] gives it.
pub type Opened = RootModuleResult;

/// What abi_stable wants a library to give: one struct in a form of its own. It leads to ours, and will not grow.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef, prefix_fields = RootFirst)))]
struct Root {
    #[sabi(last_prefix_field)]
    module: Lent<'static, Module>,
}

impl RootModule for RootRef {
    declare_root_module_statics! {RootRef}
    const BASE_NAME: &'static str = "host_plugin";
    const NAME: &'static str = "host_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// What a plugin exports; `open` gives what [`opened`] made.
pub const fn header(open: extern "C" fn() -> Opened) -> Header {
    // SAFETY: what `opened` makes is a `RootRef` that was cast to its erased form, as it must be.
    unsafe { Header::from_constructor::<RootRef>(open, CheckTypeLayout::Yes) }
}

/// Offers a module, for good.
pub fn opened(module: Module) -> Opened {
    let module = Lent::new(Box::leak(Box::new(module)));
    let root = Root { module }.leak_into_prefix().to_prefix_ref();
    // SAFETY: erasing the type is what the loader undoes, with the type that the layout check has confirmed.
    ROk(unsafe { root.cast() })
}

/// A library's module, once its layout is known to be ours as far as both have one. `is_older`: the library was built with an
/// older minor version of this crate, so that it may have less.
///
/// # Errors
/// Another line of abi_stable, another major version, other layouts: as the library would have it, in up to a thousand lines.
pub fn checked_module(entry: Entry, is_older: bool) -> Result<Lent<'static, Module>, String> {
    let header = entry.upgrade().map_err(|error| error.to_string())?;
    // abi_stable takes a library without a description for one that needs no check.
    let theirs = header.layout().ok_or("the library does not describe its types")?;
    let compared = if is_older {
        compatible(theirs, RootRef::LAYOUT)
            .map_err(|error| format!("(expected is the plugin's side, found the host's)\n{error}"))
    } else {
        compatible(RootRef::LAYOUT, theirs)
    };
    compared?;
    // SAFETY: the check has shown that of the library's structs and ours one begins with all that the other one has, with the
    // same types in the same places; what only one side has stands behind that, and is read only where the lender's size says
    // that it is there. That holds whatever the caller believes: a library that has more than we do when it should have less,
    // or something else, does not pass. Between other major versions fields may change their meaning without changing their
    // type: those are refused here by the version in the header.
    let root = unsafe { header.init_root_module_with_unchecked_layout::<RootRef>() };
    root.map(|root| root.module()).map_err(|error| error.to_string())
}

/// Whether `given` has all that `asked` has, in all structs that lead from one to the next.
///
/// With a memory of its own, which abi_stable would keep for the process: it would compare each library with those before it,
/// in an order that does not follow their versions, and take a struct that leads to a smaller one for a different one.
/// Libraries have nothing to do with each other, and each is compared with the host.
pub(super) fn compatible(asked: &'static TypeLayout, given: &'static TypeLayout) -> Result<(), String> {
    check_layout_compatibility_with_globals(asked, given, &CheckingGlobals::new()).map_err(|error| error.to_string())
}
