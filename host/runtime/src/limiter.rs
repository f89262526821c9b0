//! What one instance holds of the engine: memory, table elements, core instances.
//!
//! Growth beyond a limit is refused, not trapped: a guest that copes goes on. Most
//! languages abort instead, with a trap that says nothing; the limiter remembers what it
//! refused, so that such an end is reported as that limit.

use crate::engine::{MEMORIES, TABLE_ELEMENTS, TABLES};
use cofferdam_contract::failure::Limit;
use cofferdam_contract::limits::Limits;
use wasmtime::{ResourceLimiter, Result};

/// Counts what an instance holds, all its memories and all its tables together.
#[derive(Debug)]
pub struct InstanceLimiter {
    memory: Share,
    elements: Share,
    instances: usize,
    refused: Option<Limit>,
}

/// How much of one thing there may be, and is.
#[derive(Debug)]
struct Share {
    limit: usize,
    used: usize,
}

impl Share {
    fn of(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let more = desired.saturating_sub(current);
        match self.used.checked_add(more) {
            Some(sum) if sum <= self.limit => {
                self.used = sum;
                true
            }
            _ => false,
        }
    }
}

impl InstanceLimiter {
    /// Nothing is used yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            memory: Share::of((limits.memory_mib as usize) << 20),
            elements: Share::of(limits.table_elements as usize),
            instances: limits.instances as usize,
            refused: None,
        }
    }

    /// What was last refused since [`Self::forget_refusals`].
    pub fn refused(&self) -> Option<Limit> {
        self.refused
    }

    /// Begins a call: what an earlier one survived does not explain how this one ends.
    pub fn forget_refusals(&mut self) {
        self.refused = None;
    }
}

impl ResourceLimiter for InstanceLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let granted = self.memory.grow(current, desired);
        if !granted {
            self.refused = Some(Limit::Memory);
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The pool's bound of one table is not the guest's affair.
            if desired > TABLE_ELEMENTS {
                self.refused = Some(Limit::TableElements);
            }
            return Ok(false);
        }
        let granted = self.elements.grow(current, desired);
        if !granted {
            self.refused = Some(Limit::TableElements);
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn limiter() -> InstanceLimiter {
        InstanceLimiter::new(&Limits {
            memory_mib: 100,
            table_elements: 10,
            ..Limits::DEFAULT
        })
    }

    #[test]
    fn all_memories_count_together_and_only_refusals_of_the_limit_are_remembered() {
        let mut limiter = limiter();
        assert!(!limiter.memory_growing(0, 50, Some(40)).unwrap());
        assert_eq!(limiter.refused(), None, "its own maximum is its affair");
        assert!(limiter.memory_growing(0, 60 * MIB, None).unwrap());
        assert!(!limiter.memory_growing(0, 41 * MIB, None).unwrap());
        assert_eq!(limiter.refused(), Some(Limit::Memory));
        limiter.forget_refusals();
        assert!(limiter.memory_growing(60 * MIB, 100 * MIB, None).unwrap());
        assert_eq!(limiter.refused(), None);
        assert!(!limiter.memory_growing(100 * MIB, 101 * MIB, None).unwrap());
    }

    #[test]
    fn all_tables_count_together() {
        let mut limiter = limiter();
        assert!(limiter.table_growing(0, 6, None).unwrap());
        assert!(!limiter.table_growing(0, 5, None).unwrap());
        assert_eq!(limiter.refused(), Some(Limit::TableElements));
        assert!(limiter.table_growing(0, 4, None).unwrap());
        limiter.forget_refusals();
        assert!(!limiter.table_growing(10, 21, Some(20)).unwrap());
        assert_eq!(limiter.refused(), None, "its own maximum is its affair");
        let bound = Some(TABLE_ELEMENTS);
        assert!(
            !limiter
                .table_growing(10, TABLE_ELEMENTS + 1, bound)
                .unwrap()
        );
        assert_eq!(limiter.refused(), Some(Limit::TableElements));
    }
}
