//! What a plugin may use, in one table.
//!
//! **Problem.** A limit is written by an author (the manifest), changed by an operator (the
//! configuration), enforced by the host, shown to people and named in errors. Five lists of
//! the same limits drift apart.
//!
//! **Design.** One table gives each limit its key, unit, default, range and meaning; from it
//! follow [`Limits`] (all values, what a manifest asks for), [`LimitOverrides`] (some values,
//! what the operator of `[plugins.ID.limits]` decides; they win in both directions), and
//! [`LimitValue`] (a row, to check, print and name). [`HostLimits`] and
//! [`HostLimitOverrides`] are the same for `[limits]`: what is compiled, and at what cost. No
//! manifest asks for those, but the operator may decide on them for one plugin too.
//!
//! **Limits.** Values are `u32`; units are chosen so that ceilings fit.

use crate::failure::Limit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One limit with its value and everything that is known about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LimitValue {
    /// Its key in `plugin.toml` and `cofferdam.toml`.
    pub key: &'static str,
    /// Its name in errors and metrics.
    pub limit: Limit,
    /// How much is allowed, in `unit`s.
    pub value: u32,
    /// What is counted (`MiB`, `ms`, `calls`).
    pub unit: &'static str,
    /// The value where nobody says one.
    pub default: u32,
    /// The least that can be said.
    pub least: u32,
    /// The ceiling.
    pub most: u32,
    /// One sentence or two.
    pub meaning: &'static str,
}

/// A limit that is out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{value} is not between {least} and {most}")]
pub struct OutOfRange {
    /// Which limit, by its key.
    pub key: &'static str,
    /// What was asked for.
    pub value: u32,
    /// The least that can be.
    pub least: u32,
    /// The most that can be.
    pub most: u32,
}

impl LimitValue {
    /// How much is allowed, for people: `64 MiB`, `100 ms`.
    pub fn allowed(&self) -> String {
        format!("{} {}", self.value, self.unit)
    }

    fn check(&self) -> Result<(), OutOfRange> {
        if (self.least..=self.most).contains(&self.value) {
            return Ok(());
        }
        Err(OutOfRange {
            key: self.key,
            value: self.value,
            least: self.least,
            most: self.most,
        })
    }
}

/// Some limits, as somebody decided on them.
pub trait Overrides {
    /// What is said of one limit, where something is.
    fn get(&self, limit: Limit) -> Option<u32>;
}

/// A table's rows make a struct of all values, and what is known of them:
/// `field key limit: default in least..=most unit`.
macro_rules! values {
    (
        $(#[doc = $all_doc:literal])+ $all:ident;
        $(
            $(#[doc = $doc:literal])+
            $field:ident $key:literal $limit:ident:
                $default:literal in $least:literal..=$most:literal $unit:literal;
        )+
    ) => {
        $(#[doc = $all_doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct $all {
            $($(#[doc = $doc])+ pub $field: u32,)+
        }

        impl $all {
            /// Where nobody says anything else.
            pub const DEFAULT: Self = Self { $($field: $default,)+ };

            /// The most that anybody can ask for.
            pub const CEILING: Self = Self { $($field: $most,)+ };

            /// Every limit with its value, in the order of the table.
            pub fn rows(&self) -> Vec<LimitValue> {
                vec![$(LimitValue {
                    key: $key,
                    limit: Limit::$limit,
                    value: self.$field,
                    unit: $unit,
                    default: $default,
                    least: $least,
                    most: $most,
                    meaning: concat!($($doc),+).trim_ascii(),
                },)+]
            }

            /// The row of one limit; none where it is not in this table.
            pub fn row(&self, limit: Limit) -> Option<LimitValue> {
                self.rows().into_iter().find(|row| row.limit == limit)
            }

            /// Refuses the first value that is out of its range.
            pub fn check(&self) -> Result<(), OutOfRange> {
                self.rows().iter().try_for_each(LimitValue::check)
            }

            /// The same where the operator says nothing, and what the operator says.
            #[must_use]
            pub fn overridden(self, by: &impl Overrides) -> Self {
                Self { $($field: by.get(Limit::$limit).unwrap_or(self.$field),)+ }
            }
        }

        impl Default for $all {
            fn default() -> Self {
                Self::DEFAULT
            }
        }
    };
}

/// Tables' rows make a struct of some values of all of them.
macro_rules! overrides {
    (
        $(#[doc = $some_doc:literal])+ $some:ident of $($all:ident),+;
        $(
            $(#[doc = $doc:literal])+
            $field:ident $key:literal $limit:ident:
                $default:literal in $least:literal..=$most:literal $unit:literal;
        )+
    ) => {
        $(#[doc = $some_doc])+
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct $some {
            $(
                $(#[doc = $doc])+
                #[schemars(range(min = $least, max = $most))]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<u32>,
            )+
        }

        impl Overrides for $some {
            fn get(&self, limit: Limit) -> Option<u32> {
                match limit {
                    $(Limit::$limit => self.$field,)+
                    _ => None,
                }
            }
        }

        impl $some {
            /// Refuses the first value that is out of its range.
            pub fn check(&self) -> Result<(), OutOfRange> {
                $($all::DEFAULT.overridden(self).check()?;)+
                Ok(())
            }
        }
    };
}

/// The tables, and who decides on what of them.
macro_rules! tables {
    (plugin { $($plugin:tt)+ } compiling { $($compiling:tt)+ }) => {
        values! {
            /// Limits of one plugin: of each instance, of each call, and of all its calls
            /// together.
            Limits;
            $($plugin)+
        }
        values! {
            /// Limits of compiling one plugin.
            HostLimits;
            $($compiling)+
        }
        overrides! {
            /// The operator's limits for one plugin, instead of those of its manifest and of
            /// `[limits]`: lower, or higher up to the ceiling.
            LimitOverrides of Limits, HostLimits;
            $($plugin)+
            $($compiling)+
        }
        overrides! {
            /// The operator's limits of compiling, instead of the host's.
            HostLimitOverrides of HostLimits;
            $($compiling)+
        }
    };
}

tables! {
    plugin {
        /// Linear memory of an instance.
        memory_mib "memory-mib" Memory: 64 in 1..=1024 "MiB";
        /// Elements of all tables of an instance together.
        table_elements "table-elements" TableElements: 100_000 in 1..=400_000 "elements";
        /// Core instances that one component is made of.
        instances "instances" Instances: 40 in 1..=40 "core instances";
        /// Thread time of one call, host functions included, waiting excluded.
        cpu_ms "cpu-ms" Cpu: 5_000 in 1..=600_000 "ms";
        /// Time from the start of a call to its end.
        wall_ms "wall-ms" WallClock: 60_000 in 1..=3_600_000 "ms";
        /// Calls at once; further ones wait in the queue.
        concurrent_calls "concurrent-calls" ConcurrentCalls: 128 in 1..=1_024 "calls at once";
        /// Calls that wait for their turn; further ones fail at once.
        queue_length "queue-length" QueueLength: 1_024 in 0..=65_536 "waiting calls";
        /// Bytes handed over between plugin and host in one call of a host function.
        host_call_kib "host-call-kib" HostCallBytes: 16_448 in 1..=65_536 "KiB";
        /// Bytes that one call may log; further lines are dropped and counted.
        log_kib "log-kib" LogBytes: 256 in 0..=16_384 "KiB a call";
        /// Lines that all calls of the plugin may log in a second; further ones are dropped and
        /// counted.
        log_lines_per_second "log-lines-per-second" LogRate:
            1_000 in 0..=100_000 "lines a second";
        /// Resources of the host that an instance holds open at once.
        open_handles "open-handles" OpenHandles: 1_000 in 1..=100_000 "handles";
        /// Bytes that one call may exchange through the network, both ways together.
        egress_kib "egress-kib" Egress: 65_536 in 0..=1_073_741_824 "KiB a call";
    }
    compiling {
        /// Size of a component.
        component_mib "component-mib" ComponentSize: 64 in 1..=64 "MiB";
        /// Thread time of the compiler for one component, all its threads together.
        compile_cpu_seconds "compile-cpu-seconds" CompileCpu: 300 in 1..=3_600 "s";
        /// Time from the compiler's start to its end.
        compile_wall_seconds "compile-wall-seconds" CompileTime: 300 in 1..=3_600 "s";
        /// Address space of the compiler.
        compile_memory_mib "compile-memory-mib" CompileMemory: 4_096 in 256..=65_536 "MiB";
    }
}

/// Is told when a plugin reaches a limit, for metrics: when a call or a load is stopped at
/// it, when a call has to wait, and when the first log line of a call is dropped.
pub trait LimitObserver: std::fmt::Debug + Send + Sync {
    /// `plugin` (its id) reached `limit`. Called while calls run: it must not block.
    fn limit_reached(&self, plugin: &str, limit: Limit);
}

/// Nobody wants to know.
impl LimitObserver for () {
    fn limit_reached(&self, _: &str, _: Limit) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_is_in_range_and_its_key_is_what_is_written() {
        let rows = [Limits::DEFAULT.rows(), HostLimits::DEFAULT.rows()].concat();
        let keys: BTreeSet<&str> = rows.iter().map(|row| row.key).collect();
        assert_eq!(keys.len(), rows.len(), "a key is there twice");
        for row in &rows {
            row.check().unwrap();
            assert_eq!(row.value, row.default, "{}", row.key);
            assert!(row.meaning.ends_with('.'), "{}", row.key);
        }
        let written = serde_json::to_value(Limits::DEFAULT).unwrap();
        let hosts = serde_json::to_value(HostLimits::DEFAULT).unwrap();
        for row in &rows {
            let value = written.get(row.key).or_else(|| hosts.get(row.key));
            assert_eq!(value, Some(&row.default.into()), "{}", row.key);
        }
        Limits::CEILING.check().unwrap();
        HostLimits::CEILING.check().unwrap();
    }

    #[test]
    fn every_limit_is_in_one_table_or_the_same_for_all() {
        let rows = [Limits::DEFAULT.rows(), HostLimits::DEFAULT.rows()].concat();
        for limit in Limit::ALL {
            let found = rows.iter().filter(|row| row.limit == limit).count();
            let fixed = matches!(limit, Limit::Stack | Limit::Sessions);
            assert_eq!(found, usize::from(!fixed), "{limit}");
        }
    }

    #[test]
    fn the_operator_lowers_and_raises_up_to_the_ceiling() {
        let asked = Limits {
            memory_mib: 512,
            cpu_ms: 10,
            ..Limits::DEFAULT
        };
        let by = LimitOverrides {
            memory_mib: Some(16),
            cpu_ms: Some(20),
            ..LimitOverrides::default()
        };
        by.check().unwrap();
        let force = asked.overridden(&by);
        assert_eq!((force.memory_mib, force.cpu_ms), (16, 20));
        assert_eq!(force.wall_ms, asked.wall_ms);
        assert_eq!(by.get(Limit::Memory), Some(16));
        assert_eq!(by.get(Limit::WallClock), None);
        assert_eq!(HostLimits::DEFAULT.overridden(&by), HostLimits::DEFAULT);
        let beyond = LimitOverrides {
            memory_mib: Some(Limits::CEILING.memory_mib + 1),
            ..LimitOverrides::default()
        };
        assert_eq!(beyond.check().unwrap_err().key, "memory-mib");
        let compiling = LimitOverrides {
            compile_cpu_seconds: Some(9),
            compile_memory_mib: Some(HostLimits::CEILING.compile_memory_mib + 1),
            ..LimitOverrides::default()
        };
        assert_eq!(Limits::DEFAULT.overridden(&compiling), Limits::DEFAULT);
        let force = HostLimits::DEFAULT.overridden(&compiling);
        assert_eq!(force.compile_cpu_seconds, 9);
        assert_eq!(compiling.check().unwrap_err().key, "compile-memory-mib");
    }
}
