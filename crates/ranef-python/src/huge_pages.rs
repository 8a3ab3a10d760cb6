//! Large arrays on huge pages, as NumPy asks for its own.
//!
//! Columns of ten million rows are touched for the first time in every fit. On pages of 4 KiB the system spends more
//! time on that than the engine on its sums, the more so as several threads ask it at once; on pages of 2 MiB it is
//! little.
use std::alloc::{GlobalAlloc, Layout, System};

/// Allocations from this size on are advised (NumPy's bound).
#[cfg(target_os = "linux")]
const LARGE: usize = 1 << 22;

/// The system's allocator, which advises the kernel about large blocks.
pub struct HugePages;

#[expect(unsafe_code, reason = "an allocator has no safe form")]
// SAFETY: every call is the system allocator's with the same arguments, and what it returns goes back unchanged; advice
// changes neither contents nor addresses.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        advised(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        advised(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        advised(unsafe { System.realloc(block, layout, size) }, size)
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call")]
fn advised(block: *mut u8, size: usize) -> *mut u8 {
    const PAGE: usize = 4096;
    if size >= LARGE && !block.is_null() {
        let skipped = block.align_offset(PAGE);
        // SAFETY: the range lies within the block. Where the kernel refuses, nothing changes.
        unsafe { libc::madvise(block.wrapping_add(skipped).cast(), size - skipped, libc::MADV_HUGEPAGE) };
    }
    block
}

#[cfg(not(target_os = "linux"))]
fn advised(block: *mut u8, _size: usize) -> *mut u8 {
    block
}
