//! How what crosses can grow: a struct is never passed by itself, but lent, with how many bytes of it there are.
//!
//! Of two minor versions of this crate the newer one has more fields, at the end. Whoever reads a field that came after 1.0
//! asks first whether its lender had it, and has an `Option`; the others are always there. That holds in both directions,
//! and for the elements of a list as well: its reader steps by the size that the lender's elements have.
//!
//! abi_stable's layout check follows what is lent, and takes more fields at the end for compatible (its prefix types). It
//! knows nothing of how they are passed: its own way keeps 16 bytes beside each struct, and wants it to live as long as the
//! process.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use std::marker::PhantomData;
use std::ops::Deref;

use abi_stable::StableAbi;
use abi_stable::abi_stability::GetStaticEquivalent_;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::type_layout::TypeLayout;

/// A struct that `growing!` has made.
pub trait Grows: PrefixTypeTrait {
    /// Its bytes, none of which are padding at its end: a later field would stand there, and seem to be there already.
    const SIZE: usize;
}

/// A struct of this or another minor version. What version 1.0 has of it is read like a field; what came later has a method
/// that gives an `Option`.
#[repr(C)]
pub struct Lent<'a, T> {
    /// To `size` bytes that are a `T`, a beginning of one, or one that has more behind it.
    at: *const T,
    size: usize,
    lent: PhantomData<&'a T>,
}

impl<T> Clone for Lent<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Lent<'_, T> {}

// SAFETY: it is a shared reference to a T.
unsafe impl<T: Sync> Send for Lent<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Lent<'_, T> {}

impl<'a, T: Grows> Lent<'a, T> {
    /// Lends a struct of this version.
    pub const fn new(whole: &'a T) -> Lent<'a, T> {
        Lent {
            at: whole,
            size: T::SIZE,
            lent: PhantomData,
        }
    }

    /// What version 1.0 has, for as long as it is lent.
    #[inline]
    pub fn first(self) -> &'a T::PrefixFields {
        // SAFETY: `new` was given a `T` of the lender's version, or `Many::new` a list of them, for at least `'a`. Each
        // version begins with these fields: that is what the layout check confirms before anything is lent to or by a library.
        unsafe { &*self.at.cast() }
    }

    /// A field that came after version 1.0; for `growing!`.
    ///
    /// # Safety
    /// `T` has a field of type `F` at this offset, which is not one of version 1.0.
    pub unsafe fn later<F: Copy>(self, offset: usize) -> Option<F> {
        if offset + size_of::<F>() > self.size {
            return None;
        }
        // SAFETY: this much of it is there.
        let field = unsafe { self.at.byte_add(offset) };
        // SAFETY: it has no padding at its end, so what is there are fields, and the layout check has confirmed that those which
        // both sides know are the same.
        Some(unsafe { field.cast::<F>().read() })
    }
}

impl<T: Grows> Deref for Lent<'_, T> {
    type Target = T::PrefixFields;

    #[inline]
    fn deref(&self) -> &T::PrefixFields {
        self.first()
    }
}

/// A list of structs of one version, this or another.
#[repr(C)]
pub struct Many<'a, T> {
    first: *const T,
    count: usize,
    /// How many bytes one has.
    stride: usize,
    lent: PhantomData<&'a [T]>,
}

impl<T> Clone for Many<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Many<'_, T> {}

// SAFETY: it is a shared reference to a slice.
unsafe impl<T: Sync> Send for Many<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Many<'_, T> {}

impl<'a, T: Grows> Many<'a, T> {
    /// Lends structs of this version.
    pub const fn new(all: &'a [T]) -> Many<'a, T> {
        Many {
            first: all.as_ptr(),
            count: all.len(),
            stride: const {
                assert!(T::SIZE > 0, "what has no bytes can't be counted by them");
                T::SIZE
            },
            lent: PhantomData,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Goes through them.
    #[inline]
    pub fn iter(&self) -> Each<'a, T> {
        Each {
            next: self.first,
            // SAFETY: that is the end of the lender's list.
            end: unsafe { self.first.byte_add(self.count * self.stride) },
            stride: self.stride,
            lent: PhantomData,
        }
    }
}

/// The structs of a list, one by one. To take one changes one word: it may be in memory, where a guard keeps it.
pub struct Each<'a, T> {
    next: *const T,
    end: *const T,
    stride: usize,
    lent: PhantomData<&'a [T]>,
}

impl<T> Clone for Each<'_, T> {
    fn clone(&self) -> Self {
        Each { ..*self }
    }
}

impl<T> Each<'_, T> {
    /// Whether none is left; cheaper than how many.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.next == self.end
    }
}

impl<'a, T: Grows> Iterator for Each<'a, T> {
    type Item = Lent<'a, T>;

    #[inline]
    fn next(&mut self) -> Option<Lent<'a, T>> {
        if self.is_done() {
            return None;
        }
        let (at, size) = (self.next, self.stride);
        // SAFETY: one was left, so what is behind it is at most the end of the lender's list.
        self.next = unsafe { at.byte_add(size) };
        let lent = PhantomData;
        Some(Lent { at, size, lent })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end.addr() - self.next.addr()) / self.stride;
        (left, Some(left))
    }
}

impl<T: Grows> ExactSizeIterator for Each<'_, T> {}

/// What the layout check sees in a [`Lent`]: the same fields, and the type that may have more of them.
#[repr(C)]
#[derive(StableAbi)]
pub struct LentLayout<T> {
    at: *const (),
    size: usize,
    of: PhantomData<T>,
}

/// What the layout check sees in a [`Many`].
#[repr(C)]
#[derive(StableAbi)]
pub struct ManyLayout<T> {
    first: *const (),
    count: usize,
    stride: usize,
    of: PhantomData<T>,
}

// SAFETY: the type is 'static, and no other type's.
unsafe impl<T: Grows<PrefixRef: StableAbi>> GetStaticEquivalent_ for Lent<'_, T> {
    type StaticEquivalent = LentLayout<<T::PrefixRef as GetStaticEquivalent_>::StaticEquivalent>;
}

// SAFETY: the layout is that of a struct with the same fields.
unsafe impl<T: Grows<PrefixRef: StableAbi>> StableAbi for Lent<'_, T> {
    type IsNonZeroType = <LentLayout<T::PrefixRef> as StableAbi>::IsNonZeroType;
    const LAYOUT: &'static TypeLayout = LentLayout::<T::PrefixRef>::LAYOUT;
}

// SAFETY: as for `Lent`.
unsafe impl<T: Grows<PrefixRef: StableAbi>> GetStaticEquivalent_ for Many<'_, T> {
    type StaticEquivalent = ManyLayout<<T::PrefixRef as GetStaticEquivalent_>::StaticEquivalent>;
}

// SAFETY: as for `Lent`.
unsafe impl<T: Grows<PrefixRef: StableAbi>> StableAbi for Many<'_, T> {
    type IsNonZeroType = <ManyLayout<T::PrefixRef> as StableAbi>::IsNonZeroType;
    const LAYOUT: &'static TypeLayout = ManyLayout::<T::PrefixRef>::LAYOUT;
}

/// Makes a struct one that can grow: `struct Name<'a>: NameRef, NameFirst { fields of version 1.0 } later { what came after it }`.
/// The last field of version 1.0 is marked `#[sabi(last_prefix_field)]`. `NameFirst` is what a [`Lent`] shows of it, `NameRef`
/// is abi_stable's, for the layout check alone.
macro_rules! growing {
    (
        $(#[$about:meta])*
        pub struct $Name:ident $(<$life:lifetime>)? : $Ref:ident, $First:ident {
            $($(#[$field_about:meta])* $field_vis:vis $field:ident: $Type:ty,)*
        }
        $(later {
            $($(#[$later_about:meta])* pub $later:ident: $Later:ty,)*
        })?
    ) => {
        $(#[$about])*
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = $Ref, prefix_fields = $First)))]
        pub struct $Name $(<$life>)? {
            $($(#[$field_about])* $field_vis $field: $Type,)*
            $($($(#[$later_about])* pub $later: $Later,)*)?
        }

        impl $(<$life>)? $crate::abi::lent::Grows for $Name $(<$life>)? {
            const SIZE: usize = {
                let fields = 0 $(+ size_of::<$Type>())* $($(+ size_of::<$Later>())*)?;
                assert!(fields == size_of::<Self>(), "this struct has padding: widen a field, or put them in another order");
                fields
            };
        }

        // Asked for here, so that a struct that nobody lends yet is looked at as well.
        const _: usize = <$Name as $crate::abi::lent::Grows>::SIZE;

        impl $(<$life>)? $crate::abi::lent::Lent<'_, $Name $(<$life>)?> {
            $($(
                $(#[$later_about])*
                pub fn $later(self) -> Option<$Later> {
                    // SAFETY: that is this field's offset and type.
                    unsafe { self.later(std::mem::offset_of!($Name, $later)) }
                }
            )*)?
        }
    };
}
pub(in crate::abi) use growing;

#[cfg(test)]
mod tests;
