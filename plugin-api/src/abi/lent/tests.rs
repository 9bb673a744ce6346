//! One version of a struct lent to a reader of another one. Their layouts are compared as those of two libraries would be.

use super::*;
use crate::abi::entry::compatible;

/// A version of the same types, in which something is different.
macro_rules! version {
    ($version:ident, $Number:ty, $($later:tt)*) => {
        mod $version {
            use super::super::{Lent, Many};

            growing! {
                pub struct Item: ItemRef, ItemFirst {
                    #[sabi(last_prefix_field)]
                    pub number: $Number,
                }
                $($later)*
            }

            growing! {
                pub struct Empty: EmptyRef, EmptyFirst {}
                $($later)*
            }

            growing! {
                pub struct Outer<'a>: OuterRef, OuterFirst {
                    pub item: Lent<'a, Item>,
                    pub items: Many<'a, Item>,
                    #[sabi(last_prefix_field)]
                    pub empty: extern "C" fn(Lent<'_, Empty>),
                }
            }

            #[repr(C)]
            #[derive(abi_stable::StableAbi)]
            pub(super) struct Root<'a> {
                outer: Lent<'a, Outer<'a>>,
            }
        }
    };
}

version!(first, u64,);
version!(second, u64, later { pub more: u32, pub rest: u32, });
version!(third, u64, later { pub more: u32, pub rest: u32, pub last: u64, });
version!(other_type, i64,);
version!(other_later_type, u64, later { pub more: i32, pub rest: u32, });

/// The same place, as another version of the code sees it.
fn seen<A: Grows, B: Grows>(lent: Lent<'_, A>) -> Lent<'_, B> {
    Lent {
        at: lent.at.cast(),
        size: lent.size,
        lent: PhantomData,
    }
}

#[test]
fn a_later_field_is_there_if_its_lender_has_it() {
    let second = second::Item {
        number: 1,
        more: 2,
        rest: 3,
    };
    let same: Lent<'_, second::Item> = Lent::new(&second);
    assert_eq!((same.number, same.more(), same.rest()), (1, Some(2), Some(3)));
    let older: Lent<'_, first::Item> = seen(same);
    assert_eq!(older.number, 1);
    let newer: Lent<'_, third::Item> = seen(same);
    assert_eq!(
        (newer.number, newer.more(), newer.rest(), newer.last()),
        (1, Some(2), Some(3), None)
    );

    let first = first::Item { number: 1 };
    let newer: Lent<'_, second::Item> = seen(Lent::new(&first));
    assert_eq!((newer.number, newer.more(), newer.rest()), (1, None, None));
    let empty: Lent<'_, second::Empty> = seen(Lent::new(&first::Empty {}));
    assert_eq!((empty.more(), empty.rest()), (None, None));
}

#[test]
fn a_list_is_stepped_through_by_its_lender_s_size() {
    let items = [1, 2, 3].map(|number| third::Item {
        number,
        more: 0,
        rest: 0,
        last: 10 * number,
    });
    let many = Many::new(&items);
    assert_eq!((many.len(), many.is_empty(), many.iter().len()), (3, false, 3));
    assert!(
        many.iter()
            .map(|item| (item.number, item.last()))
            .eq([1, 2, 3].map(|number| (number, Some(10 * number))))
    );
    let older: Many<'_, first::Item> = Many {
        first: many.first.cast(),
        count: many.count,
        stride: many.stride,
        lent: PhantomData,
    };
    assert!(older.iter().map(|item| item.number).eq(1..=3));
    assert_eq!(Many::<first::Item>::new(&[]).iter().count(), 0);
}

#[test]
#[cfg_attr(
    miri,
    ignore = "compares descriptions, by code of abi_stable's that takes minutes there"
)]
fn more_at_the_end_is_compatible_and_anything_else_is_not() {
    let [first, second, third] = [first::Root::LAYOUT, second::Root::LAYOUT, third::Root::LAYOUT];
    let [other, later] = [other_type::Root::LAYOUT, other_later_type::Root::LAYOUT];
    let is = |asked, given| compatible(asked, given).is_ok();
    assert!(is(first, first) && is(first, second) && is(first, third) && is(second, third));
    assert!(!is(second, first) && !is(third, second), "asked for more than there is");
    assert!(!is(first, other) && !is(other, second), "another type");
    assert!(
        is(first, later) && !is(second, later) && !is(later, third),
        "another type of what came later"
    );
}
