//! The memory limit of one instance.
//!
//! Growth beyond the limit is refused, not trapped: a guest that copes goes on. Most
//! languages abort instead, with a trap that says nothing; the limiter remembers that it
//! refused, so that such an end is reported as the memory limit.

use wasmtime::{ResourceLimiter, Result};

/// The most elements of all tables together; what the pool holds for one table.
const TABLE_ELEMENTS: usize = 100_000;

/// Counts the linear memory of an instance, all its memories together.
#[derive(Debug)]
pub struct MemoryLimiter {
    limit: usize,
    used: usize,
    elements: usize,
    refused: bool,
}

impl MemoryLimiter {
    /// A limit of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            elements: 0,
            refused: false,
        }
    }

    /// Whether growth was refused since [`Self::forget_refusals`].
    pub fn refused(&self) -> bool {
        self.refused
    }

    /// Begins a call: what an earlier one survived does not explain how this one ends.
    pub fn forget_refusals(&mut self) {
        self.refused = false;
    }

    fn take(used: &mut usize, more: usize, limit: usize) -> bool {
        match used.checked_add(more) {
            Some(sum) if sum <= limit => {
                *used = sum;
                true
            }
            _ => false,
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let granted = Self::take(&mut self.used, desired.saturating_sub(current), self.limit);
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current);
        let granted = Self::take(&mut self.elements, more, TABLE_ELEMENTS);
        self.refused |= !granted;
        Ok(granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_count_together_and_only_refusals_of_the_limit_are_remembered() {
        let mut limiter = MemoryLimiter::new(100);
        assert!(!limiter.memory_growing(0, 50, Some(40)).unwrap());
        assert!(!limiter.refused(), "its own maximum is the guest's affair");
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 41, None).unwrap());
        assert!(limiter.refused());
        limiter.forget_refusals();
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert!(!limiter.refused());
        assert!(!limiter.memory_growing(100, 101, None).unwrap());
    }
}
