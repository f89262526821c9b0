//! Large blocks go back to the system as soon as nobody uses them.
//!
//! **Problem.** A plugin may have the host hold a GiB of planned content, in blocks of up to
//! 16 MiB. After a few of them glibc takes such blocks from its heaps instead of from the
//! system (its threshold grows with every large block that is freed), and a heap shrinks at
//! its end only. The host then keeps some hundred MiB for as long as it runs.
//!
//! **Design.** The threshold is fixed: every block above it is a mapping of its own, which
//! ends when the block is freed. Such a block costs two system calls and its pages' faults,
//! small beside filling it.
//!
//! **Limits.** Another C library than glibc is left as it is; musl maps such blocks anyway.

/// Blocks of at least so many bytes are mappings of their own. Smaller ones are what requests
/// and journals are made of, and worth keeping.
#[cfg(target_env = "gnu")]
const LARGE: std::ffi::c_int = 1 << 20;

/// Has large blocks returned to the system when they are freed; for the whole process. Called at
/// its start, before there are large blocks.
#[cfg_attr(
    target_env = "gnu",
    allow(unsafe_code, reason = "the C library's function has no safe wrapper")
)]
pub fn return_large_blocks() {
    #[cfg(target_env = "gnu")]
    {
        /// mallopt(3): the parameter's number is part of glibc's interface.
        const M_MMAP_THRESHOLD: std::ffi::c_int = -3;
        unsafe extern "C" {
            safe fn mallopt(parameter: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
        }
        // It fails for a value out of its range only, and then nothing has changed.
        let _ = mallopt(M_MMAP_THRESHOLD, LARGE);
    }
}
