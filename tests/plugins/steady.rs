//! Answers without allocating, and says how often it has allocated all the same: the host's allocator sees nothing of it,
//! for each library has its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all of it is the system's allocator. Growing is what the trait makes of it: a new allocation, which counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

struct Plugin;

impl Handler for Plugin {
    type Config = ();

    fn init(_: (), _: &Context) -> Result<Self, Error> {
        Ok(Plugin)
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        // Copies of the plugin have their commands on another line of sixteen.
        match submit.command & 0x0F {
            0 => Ack::ok(),
            1 => Ack::ok().body(submit.payload),
            _ => {
                let body = ALLOCATIONS.load(Ordering::Relaxed).to_be_bytes().to_vec();
                // For the body itself, so that asking makes no difference.
                ALLOCATIONS.fetch_sub(1, Ordering::Relaxed);
                Ack::ok().body(body)
            }
        }
    }
}

export_plugin!(Plugin);
