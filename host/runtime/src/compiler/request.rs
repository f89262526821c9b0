//! What the host tells the compiler, on its command line.

use crate::engine::Allocation;
use cofferdam_contract::limits::HostLimits;
use std::fmt;
use std::str::FromStr;

/// For which engine to compile, and within which limits: `pool:4096:300`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) allocation: Allocation,
    pub(crate) memory_mib: u32,
    pub(crate) cpu_seconds: u32,
}

impl Request {
    pub(crate) fn new(allocation: Allocation, limits: &HostLimits) -> Self {
        Self {
            allocation,
            memory_mib: limits.compile_memory_mib,
            cpu_seconds: limits.compile_cpu_seconds,
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allocation = match self.allocation {
            Allocation::Pool => "pool",
            Allocation::OnDemand => "on-demand",
        };
        write!(f, "{allocation}:{}:{}", self.memory_mib, self.cpu_seconds)
    }
}

impl FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("{text:?} is no request of a host to its compiler");
        let mut parts = text.split(':');
        let allocation = match parts.next() {
            Some("pool") => Allocation::Pool,
            Some("on-demand") => Allocation::OnDemand,
            _ => return Err(malformed()),
        };
        let mut number = || parts.next()?.parse().ok();
        match (number(), number(), parts.next()) {
            (Some(memory_mib), Some(cpu_seconds), None) => Ok(Self {
                allocation,
                memory_mib,
                cpu_seconds,
            }),
            _ => Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        for allocation in [Allocation::Pool, Allocation::OnDemand] {
            let request = Request::new(allocation, &HostLimits::DEFAULT);
            assert_eq!(request.to_string().parse(), Ok(request));
        }
        for bad in ["", "pool", "pool:1", "pool:1:x", "heap:1:2", "pool:1:2:3"] {
            assert!(bad.parse::<Request>().is_err(), "{bad}");
        }
    }
}
