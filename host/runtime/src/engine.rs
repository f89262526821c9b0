//! The engine's configuration, in one place.
//!
//! **Problem.** Compiled code is valid only for an engine configured like the one that
//! made it. Two places that configure engines drift apart, and every start silently
//! compiles again.
//!
//! **Design.** [`config`] is the only place that sets an option, for engines that run and for
//! those that compile in a child process ([`for_compiling`]); they differ only in the pool,
//! which takes address space that a compiler must not have. Linear memories are reserved at 4 GiB with guard pages, so that compiled code
//! needs no bounds checks, from a pool that is sized so that it cannot run out before the
//! slots do ([`PoolSize`]). Where the address space for that is not to be had (a
//! container with `RLIMIT_AS`), memories are made on demand with small reservations:
//! slower, and with other machine code, which the cache keeps apart.
//!
//! `concurrency_support` is off: host calls are several times cheaper, and a call whose
//! future is dropped really stops.
//!
//! **Limits.** Sized for a few hundred instances at once. The pool reserves address space
//! (about 16 GiB an instance), not memory.

use crate::error::StartError;
use cofferdam_contract::limits::Limits;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Stack that guest code may use, bytes.
pub const GUEST_STACK: usize = 512 << 10;

/// Stack of a call: the guest's and, above it, that of the host functions it calls, which
/// may poll a nested plugin's call.
const CALL_STACK: usize = 4 << 20;

/// The most that one component may have of each. Python needs the most core instances.
pub(crate) const MEMORIES: u32 = 4;
const CORE_INSTANCES: u32 = Limits::CEILING.instances;
pub(crate) const TABLES: u32 = 20;
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// How many instances there can be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// Instances at once.
    pub instances: u32,
}

/// Where instances come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// From the pool.
    Pool,
    /// Made on demand, with little address space.
    OnDemand,
}

/// What an engine is for.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    /// So many instances at once.
    Run(PoolSize),
    /// No instances at all.
    Compile,
}

fn config(allocation: Allocation, purpose: Purpose) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .consume_fuel(false)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(CALL_STACK)
        .memory_init_cow(true);
    match allocation {
        Allocation::Pool => {
            config
                .memory_reservation(4 << 30)
                .memory_guard_size(32 << 20);
        }
        Allocation::OnDemand => {
            config
                .memory_reservation(16 << 20)
                .memory_reservation_for_growth(16 << 20)
                .memory_guard_size(64 << 10);
        }
    }
    config.allocation_strategy(match (allocation, purpose) {
        (Allocation::Pool, Purpose::Run(size)) => InstanceAllocationStrategy::Pooling(pool(size)),
        _ => InstanceAllocationStrategy::OnDemand,
    });
    config
}

fn pool(size: PoolSize) -> PoolingAllocationConfig {
    let instances = size.instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_memories(instances.saturating_mul(MEMORIES))
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES))
        .total_tables(instances.saturating_mul(TABLES))
        .max_memories_per_component(MEMORIES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_tables_per_component(TABLES)
        .max_memory_size((Limits::CEILING.memory_mib as usize) << 20)
        .table_elements(TABLE_ELEMENTS)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .max_unused_warm_slots(instances)
        // Resets only the pages that were touched; kernels before 6.7 cannot.
        .pagemap_scan(Enabled::Auto);
    pool
}

/// An engine that draws on a pool, or, where its address space cannot be reserved, one
/// that does without.
pub fn build(size: PoolSize) -> Result<(Engine, Allocation), StartError> {
    match build_with(size, Allocation::Pool) {
        Ok(engine) => Ok((engine, Allocation::Pool)),
        Err(reason) => {
            tracing::warn!(%reason, "no address space for the instance pool; plugins will start more slowly");
            Ok((
                build_with(size, Allocation::OnDemand)?,
                Allocation::OnDemand,
            ))
        }
    }
}

/// An engine with the allocation asked for, or an error.
pub fn build_with(size: PoolSize, allocation: Allocation) -> Result<Engine, StartError> {
    made(&config(allocation, Purpose::Run(size)))
}

/// An engine that compiles for engines of this allocation, and needs little address space.
pub fn for_compiling(allocation: Allocation) -> Result<Engine, StartError> {
    made(&config(allocation, Purpose::Compile))
}

fn made(config: &Config) -> Result<Engine, StartError> {
    Engine::new(config).map_err(|error| StartError::Engine(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: PoolSize = PoolSize { instances: 4 };

    #[test]
    fn what_one_engine_compiles_another_loads() {
        for allocation in [Allocation::Pool, Allocation::OnDemand] {
            let first = build_with(SIZE, allocation).unwrap();
            let compiled = first.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
            let other = build_with(PoolSize { instances: 7 }, allocation).unwrap();
            crate::artifact::load(&other, &compiled).unwrap();
        }
    }

    #[test]
    fn what_a_compiling_engine_makes_a_running_one_loads() {
        for allocation in [Allocation::Pool, Allocation::OnDemand] {
            let compiling = for_compiling(allocation).unwrap();
            let compiled = compiling
                .precompile_component(b"\0asm\x0d\0\x01\0")
                .unwrap();
            let running = build_with(SIZE, allocation).unwrap();
            crate::artifact::load(&running, &compiled).unwrap();
            assert_eq!(
                crate::cache::fingerprint(&compiling),
                crate::cache::fingerprint(&running)
            );
        }
    }

    #[test]
    fn what_an_engine_configured_otherwise_compiled_is_refused() {
        let first = build_with(SIZE, Allocation::Pool).unwrap();
        let compiled = first.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
        let other = build_with(SIZE, Allocation::OnDemand).unwrap();
        assert!(crate::artifact::load(&other, &compiled).is_err());
        assert_ne!(
            crate::cache::fingerprint(&first),
            crate::cache::fingerprint(&other)
        );
    }
}
