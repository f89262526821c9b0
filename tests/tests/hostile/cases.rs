//! The attacks, in one table.

use crate::attack::Ended;
use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::types::ErrorCode;
use cofferdam_tests::workspace;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// What a plugin's own error, and its hint, may be long, bytes; the host's own words are few.
const MOST_MESSAGE: usize = 16 << 10;

/// What kind of harm is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Never returning.
    Loops,
    /// What moves much memory in one go, an instruction or the host for a call, and cannot be
    /// interrupted.
    BulkMemory,
    /// Taking memory and tables.
    Memory,
    /// Overflowing the stack.
    Stack,
    /// Crashing, often.
    Traps,
    /// Texts, lists and variants that are none, or too large.
    Values,
    /// Handles that are forged, leaked, or used too often.
    Handles,
    /// Calling the host when it is not the guest's turn.
    Reentrance,
    /// Saying too much.
    Floods,
    /// Paths that lead out.
    Paths,
    /// Interfaces that it must not have.
    Imports,
    /// File systems that contradict themselves.
    Lies,
    /// What a language's standard library offers for reaching out.
    Reaching,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 13] = [
        Self::Loops,
        Self::BulkMemory,
        Self::Memory,
        Self::Stack,
        Self::Traps,
        Self::Values,
        Self::Handles,
        Self::Reentrance,
        Self::Floods,
        Self::Paths,
        Self::Imports,
        Self::Lies,
        Self::Reaching,
    ];

    /// How often each of its attacks is repeated: a crash is cheap to try again.
    pub fn storm(self) -> u32 {
        match self {
            Self::Traps => 20,
            Self::Stack => 5,
            _ => 1,
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Loops => "loops",
            Self::BulkMemory => "bulk memory",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Traps => "trap storms",
            Self::Values => "values",
            Self::Handles => "handles",
            Self::Reentrance => "re-entrance",
            Self::Floods => "floods",
            Self::Paths => "paths",
            Self::Imports => "imports",
            Self::Lies => "lies",
            Self::Reaching => "reaching out",
        })
    }
}

/// Where an attack's code is.
#[derive(Debug, Clone, Copy)]
pub enum From {
    /// In `tests/hostile/NAME.wat`, with values for what stands in braces.
    Text(&'static str, &'static [(&'static str, &'static str)]),
    /// In `tests/hostile/NAME.c`.
    C(&'static str),
    /// In `tests/plugins/hostile`; the case's input says which attack.
    Rust,
}

/// How an attack must end.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// The file is not loaded; the reason has these words.
    Refused(&'static str),
    /// The code is not loaded when it is first called; the reason has these words.
    NotLoaded(&'static str),
    /// The host stops this call at this limit.
    Limit(Limit, &'static str),
    /// This call crashes; the reason has these words, whatever their case.
    Trapped(&'static str, &'static str),
    /// What this call returned is not believed; the reason has these words.
    Nonsense(&'static str, &'static str),
    /// The plugin is told an error with this code and these words, and returns it.
    Returned(ErrorCode, &'static str),
    /// No plan is made, for another reason than a failed call; it has these words.
    NotPlanned(&'static str),
    /// Nothing happens.
    Harmless,
}

impl Expected {
    /// Says what is wrong with how an attack ended.
    pub fn check(&self, ended: &Ended) -> Result<(), String> {
        let has = |text: &str, words: &str| text.to_lowercase().contains(&words.to_lowercase());
        let fine = match (self, ended) {
            (Self::Refused(words), Ended::Refused(reason)) => has(reason, words),
            (Self::NotLoaded(words), Ended::Failed(CallError::Host { callee, reason })) => {
                callee.call == "load" && has(reason, words)
            }
            (
                Self::Limit(limit, call),
                Ended::Failed(CallError::Limit {
                    callee,
                    limit: reached,
                    ..
                }),
            ) => limit == reached && callee.call == *call,
            (Self::Trapped(call, words), Ended::Failed(CallError::Trapped { callee, reason }))
            | (
                Self::Nonsense(call, words),
                Ended::Failed(CallError::Nonsense { callee, reason }),
            ) => callee.call == *call && has(reason, words),
            (Self::Returned(code, words), Ended::Failed(CallError::Returned { error, .. })) => {
                error.code == *code && has(&error.message, words)
            }
            (Self::NotPlanned(words), Ended::NotPlanned(error)) => has(&error.to_string(), words),
            (Self::Harmless, Ended::Well) => true,
            _ => false,
        };
        if !fine {
            return Err(format!("it should end with {self:?}"));
        }
        let length = match ended {
            Ended::Failed(error) => error.to_string().len(),
            Ended::NotPlanned(error) => error.to_string().len(),
            Ended::Refused(reason) => reason.len(),
            Ended::Well => 0,
        };
        if length > 2 * MOST_MESSAGE {
            return Err(format!("its error is {length} bytes long"));
        }
        Ok(())
    }
}

/// An attack.
pub struct Case {
    /// Its name, which is that of its file where it has one of its own.
    pub name: &'static str,
    /// What it tries.
    pub class: Class,
    /// What it is disguised as.
    pub kind: Kind,
    /// Its code.
    pub from: From,
    /// Limits of its manifest, beside the defaults.
    pub limits: &'static [(&'static str, u32)],
    /// The input, of a step.
    pub input: &'static str,
    /// How it must end.
    pub expected: Expected,
}

impl Case {
    /// How long one fill of its memory takes on this machine, where it fills memory.
    pub fn fill(&self) -> Duration {
        if self.class != Class::BulkMemory {
            return Duration::ZERO;
        }
        let limit = self.limits.iter().find(|(key, _)| *key == "memory-mib");
        let mebibytes = limit.map_or(64, |(_, value)| *value);
        let mut memory = vec![0_u8; (mebibytes as usize) << 20];
        let began = Instant::now();
        memory.fill(1);
        let took = began.elapsed();
        assert_eq!(memory.last(), Some(&1));
        took
    }
}

const fn case(
    class: Class,
    name: &'static str,
    kind: Kind,
    from: From,
    limits: &'static [(&'static str, u32)],
    expected: Expected,
) -> Case {
    Case {
        name,
        class,
        kind,
        from,
        limits,
        input: "{}",
        expected,
    }
}

/// An attack of the Rust component.
const fn reaching(name: &'static str, input: &'static str, expected: Expected) -> Case {
    Case {
        name,
        class: Class::Reaching,
        kind: Kind::WorkflowStep,
        from: From::Rust,
        limits: &[],
        input,
        expected,
    }
}

/// All of them.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case(Class::Loops, "loop-tight", Kind::Fixer, From::Text("loop-tight", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::Loops, "loop-indirect", Kind::Fixer, From::Text("loop-indirect", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::Loops, "loop-host-calls", Kind::Fixer, From::Text("loop-host-calls", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::Loops, "loop-start", Kind::Fixer, From::Text("loop-start", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "start")),
    case(Class::Loops, "loop-realloc", Kind::Fixer, From::Text("loop-realloc", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::Loops, "loop-post-return", Kind::Fixer, From::Text("loop-post-return", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::Loops, "loop-sleep", Kind::Fixer, From::Text("loop-sleep", &[]), &[("wall-ms", 200)], Expected::Limit(Limit::WallClock, "fix")),
    case(Class::Loops, "loop-inspect", Kind::Inspector, From::Text("loop-inspect", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "inspect")),
    case(Class::Loops, "loop-discover", Kind::DiskSource, From::Text("loop-discover", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "discover")),
    case(Class::Loops, "loop-nested", Kind::Filesystem, From::Text("loop-nested", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "list-directory")),
    case(Class::Loops, "loop-execute", Kind::WorkflowStep, From::Text("loop-execute", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "execute")),
    case(Class::BulkMemory, "bulk-fill", Kind::Fixer, From::Text("bulk-fill", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::BulkMemory, "bulk-copy", Kind::Fixer, From::Text("bulk-copy", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::BulkMemory, "bulk-table", Kind::Fixer, From::Text("bulk-table", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::BulkMemory, "memory-touched", Kind::Fixer, From::Text("memory-touched", &[]), &[("memory-mib", 64)], Expected::Limit(Limit::Memory, "fix")),
    case(Class::Memory, "memory-untouched", Kind::Fixer, From::Text("memory-untouched", &[]), &[("memory-mib", 64)], Expected::Limit(Limit::Memory, "fix")),
    case(Class::Memory, "memory-at-once", Kind::Fixer, From::Text("memory-at-once", &[]), &[("memory-mib", 64)], Expected::Limit(Limit::Memory, "start")),
    case(Class::Memory, "memory-several", Kind::Fixer, From::Text("memory-several", &[]), &[("memory-mib", 64)], Expected::NotLoaded("memories")),
    case(Class::Memory, "memory-five", Kind::Fixer, From::Text("memory-five", &[]), &[], Expected::NotLoaded("memories")),
    case(Class::Memory, "table-grow", Kind::Fixer, From::Text("table-grow", &[]), &[], Expected::Limit(Limit::TableElements, "fix")),
    case(Class::Memory, "table-at-once", Kind::Fixer, From::Text("table-at-once", &[]), &[], Expected::NotLoaded("table")),
    case(Class::Memory, "tables-many", Kind::Fixer, From::Text("tables-many", &[]), &[], Expected::NotLoaded("table")),
    case(Class::Stack, "stack-deep", Kind::Fixer, From::Text("stack-deep", &[]), &[], Expected::Limit(Limit::Stack, "fix")),
    case(Class::Stack, "stack-wide", Kind::Fixer, From::Text("stack-wide", &[]), &[], Expected::Limit(Limit::Stack, "fix")),
    case(Class::Stack, "stack-start", Kind::Fixer, From::Text("stack-start", &[]), &[], Expected::Limit(Limit::Stack, "start")),
    case(Class::Stack, "stack-realloc", Kind::Fixer, From::Text("stack-realloc", &[]), &[], Expected::Limit(Limit::Stack, "fix")),
    case(Class::Traps, "trap-unreachable", Kind::Fixer, From::Text("trap-unreachable", &[]), &[], Expected::Trapped("fix", "unreachable")),
    case(Class::Traps, "trap-out-of-bounds", Kind::Fixer, From::Text("trap-out-of-bounds", &[]), &[], Expected::Trapped("fix", "out of bounds")),
    case(Class::Traps, "trap-division", Kind::Fixer, From::Text("trap-division", &[]), &[], Expected::Trapped("fix", "divide by zero")),
    case(Class::Traps, "trap-signature", Kind::Fixer, From::Text("trap-signature", &[]), &[], Expected::Trapped("fix", "indirect call type mismatch")),
    case(Class::Traps, "trap-null", Kind::Fixer, From::Text("trap-null", &[]), &[], Expected::Trapped("fix", "uninitialized element")),
    case(Class::Traps, "trap-start", Kind::Fixer, From::Text("trap-start", &[]), &[], Expected::Trapped("start", "unreachable")),
    case(Class::Traps, "trap-realloc", Kind::Fixer, From::Text("trap-realloc", &[]), &[], Expected::Trapped("fix", "unreachable")),
    case(Class::Traps, "trap-post-return", Kind::Fixer, From::Text("trap-post-return", &[]), &[], Expected::Trapped("fix", "unreachable")),
    case(Class::Traps, "exit-host", Kind::Fixer, From::Text("exit-host", &[]), &[], Expected::Trapped("fix", "exit")),
    case(Class::Values, "text-invalid", Kind::Fixer, From::Text("text-invalid", &[]), &[], Expected::Trapped("fix", "utf-8")),
    case(Class::Values, "text-surrogate", Kind::Fixer, From::Text("text-surrogate", &[]), &[], Expected::Trapped("fix", "utf-8")),
    case(Class::Values, "text-out-of-bounds", Kind::Fixer, From::Text("text-out-of-bounds", &[]), &[], Expected::Trapped("fix", "out of bounds")),
    case(Class::Values, "text-wrapping", Kind::Fixer, From::Text("text-wrapping", &[]), &[], Expected::Trapped("fix", "out of bounds")),
    case(Class::Values, "list-misaligned", Kind::Fixer, From::Text("list-misaligned", &[]), &[], Expected::Trapped("fix", "align")),
    case(Class::Values, "variant-result", Kind::Fixer, From::Text("variant-result", &[]), &[], Expected::Trapped("fix", "discriminant")),
    case(Class::Values, "variant-code", Kind::Fixer, From::Text("variant-code", &[]), &[], Expected::Trapped("fix", "discriminant")),
    case(Class::Values, "variant-option", Kind::Fixer, From::Text("variant-option", &[]), &[], Expected::Trapped("fix", "discriminant")),
    case(Class::Values, "variant-level", Kind::Fixer, From::Text("variant-level", &[]), &[], Expected::Trapped("fix", "discriminant")),
    case(Class::Values, "answer-out-of-bounds", Kind::Fixer, From::Text("answer-out-of-bounds", &[]), &[], Expected::Trapped("fix", "out of bounds")),
    case(Class::Values, "answer-misaligned", Kind::Fixer, From::Text("answer-misaligned", &[]), &[], Expected::Trapped("fix", "align")),
    case(Class::Values, "answer-text-out-of-bounds", Kind::Fixer, From::Text("answer-text-out-of-bounds", &[]), &[], Expected::Trapped("fix", "out of bounds")),
    case(Class::Values, "text-huge", Kind::Fixer, From::Text("text-huge", &[]), &[], Expected::Limit(Limit::HostCallBytes, "fix")),
    case(Class::Values, "list-amplified", Kind::Fixer, From::Text("list-amplified", &[]), &[], Expected::Limit(Limit::HostCallBytes, "fix")),
    case(Class::Values, "list-shared", Kind::Fixer, From::Text("list-shared", &[]), &[], Expected::Limit(Limit::HostCallBytes, "fix")),
    case(Class::BulkMemory, "answer-huge", Kind::Fixer, From::Text("answer-huge", &[]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::BulkMemory, "step-output-huge", Kind::WorkflowStep, From::Text("step-output-huge", &[]), &[], Expected::Nonsense("execute", "more than 1048576")),
    case(Class::Values, "step-output-nested", Kind::WorkflowStep, From::Text("step-output-nested", &[]), &[], Expected::Nonsense("execute", "no JSON object")),
    case(Class::Values, "step-output-no-json", Kind::WorkflowStep, From::Text("step-output-no-json", &[]), &[], Expected::Nonsense("execute", "no JSON object")),
    case(Class::Handles, "handle-forged", Kind::Fixer, From::Text("handle-forged", &[]), &[], Expected::Trapped("fix", "unknown handle")),
    case(Class::Handles, "handle-dropped-twice", Kind::Fixer, From::Text("handle-dropped-twice", &[]), &[], Expected::Trapped("fix", "unknown handle")),
    case(Class::Handles, "handle-used-after-drop", Kind::Fixer, From::Text("handle-used-after-drop", &[]), &[], Expected::Trapped("fix", "unknown handle")),
    case(Class::Handles, "handle-of-another-type", Kind::Fixer, From::Text("handle-of-another-type", &[]), &[], Expected::Trapped("fix", "handle")),
    case(Class::Handles, "handle-leak", Kind::Fixer, From::Text("handle-leak", &[]), &[], Expected::Limit(Limit::OpenHandles, "fix")),
    case(Class::Handles, "handle-poll-many", Kind::Fixer, From::Text("handle-poll-many", &[]), &[], Expected::Limit(Limit::OpenHandles, "fix")),
    case(Class::Handles, "socket-tcp", Kind::WorkflowStep, From::Text("socket-tcp", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "execute")),
    case(Class::Handles, "socket-udp", Kind::WorkflowStep, From::Text("socket-udp", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "execute")),
    case(Class::Reentrance, "reenter-realloc", Kind::Fixer, From::Text("reenter-realloc", &[]), &[], Expected::Trapped("fix", "cannot leave")),
    case(Class::Reentrance, "reenter-post-return", Kind::Fixer, From::Text("reenter-post-return", &[]), &[], Expected::Trapped("fix", "cannot leave")),
    case(Class::Reentrance, "reenter-start", Kind::Fixer, From::Text("reenter-start", &[]), &[], Expected::Trapped("start", "")),
    case(Class::Reentrance, "realloc-out-of-bounds", Kind::Fixer, From::Text("realloc-out-of-bounds", &[]), &[], Expected::Trapped("fix", "beyond end of memory")),
    case(Class::Reentrance, "realloc-misaligned", Kind::Fixer, From::Text("realloc-misaligned", &[]), &[], Expected::Trapped("fix", "align")),
    case(Class::Reentrance, "realloc-moving-memory", Kind::Fixer, From::Text("realloc-moving-memory", &[]), &[], Expected::Harmless),
    case(Class::Floods, "flood-log", Kind::Fixer, From::Text("flood-log", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::Floods, "flood-progress", Kind::Fixer, From::Text("flood-progress", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::Floods, "flood-notes", Kind::Fixer, From::Text("flood-notes", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::Floods, "flood-small-notes", Kind::Fixer, From::Text("flood-small-notes", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::Floods, "flood-facts", Kind::Inspector, From::Text("flood-facts", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::Floods, "flood-small-facts", Kind::Inspector, From::Text("flood-small-facts", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::Floods, "flood-kernels", Kind::Inspector, From::Text("flood-kernels", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::Floods, "flood-nics", Kind::DiskSource, From::Text("flood-nics", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::Floods, "flood-nic-model", Kind::DiskSource, From::Text("flood-nic-model", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::Floods, "flood-disks", Kind::DiskSource, From::Text("flood-disks", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::Floods, "flood-random", Kind::Fixer, From::Text("flood-random", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::Floods, "flood-random-huge", Kind::Fixer, From::Text("flood-random-huge", &[]), &[], Expected::Trapped("fix", "exceeds limit")),
    case(Class::Floods, "flood-stdout", Kind::Fixer, From::Text("flood-stdout", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    case(Class::Floods, "device-flood", Kind::Filesystem, From::Text("device-flood", &[]), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "probe")),
    case(Class::Paths, "edit-parent", Kind::Fixer, From::Text("edit-path", &[("PATH", "/../../etc/shadow")]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::Paths, "edit-inner-parent", Kind::Fixer, From::Text("edit-path", &[("PATH", "/etc/../../etc/shadow")]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::Paths, "edit-relative", Kind::Fixer, From::Text("edit-path", &[("PATH", "etc/fstab")]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::Paths, "edit-nul", Kind::Fixer, From::Text("edit-path", &[("PATH", "/etc/fs\\00tab")]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::Paths, "edit-empty", Kind::Fixer, From::Text("edit-path", &[("PATH", "")]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::Paths, "edit-proc", Kind::Fixer, From::Text("edit-path", &[("PATH", "/proc/self/environ")]), &[], Expected::Returned(ErrorCode::NotFound, "")),
    case(Class::Paths, "edit-through-link", Kind::Fixer, From::Text("edit-path", &[("PATH", "/etc/out")]), &[], Expected::Returned(ErrorCode::NotFound, "")),
    case(Class::Paths, "edit-forgotten", Kind::Fixer, From::Text("edit-path", &[("PATH", "/etc/fstab")]), &[], Expected::NotPlanned("/etc/fstab")),
    case(Class::Paths, "edit-no-reason", Kind::Fixer, From::Text("edit-no-reason", &[]), &[], Expected::Returned(ErrorCode::Invalid, "reason")),
    case(Class::Paths, "edit-million", Kind::Fixer, From::Text("edit-million", &[]), &[("cpu-ms", 60000)], Expected::Returned(ErrorCode::Limit, "edits")),
    case(Class::BulkMemory, "edit-huge", Kind::Fixer, From::Text("edit-huge", &[]), &[("cpu-ms", 60000)], Expected::Returned(ErrorCode::Limit, "bytes")),
    case(Class::BulkMemory, "edit-patches", Kind::Fixer, From::Text("edit-patches", &[]), &[("cpu-ms", 60000)], Expected::Returned(ErrorCode::Limit, "pieces")),
    case(Class::BulkMemory, "edit-link-target", Kind::Fixer, From::Text("edit-link-target", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::BulkMemory, "edit-label", Kind::Fixer, From::Text("edit-label", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::Paths, "view-parent", Kind::Fixer, From::Text("view-path", &[("PATH", "/../../../etc/hostname")]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::Paths, "view-relative", Kind::Fixer, From::Text("view-path", &[("PATH", "etc/hostname")]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::Paths, "view-nul", Kind::Fixer, From::Text("view-path", &[("PATH", "/etc/\\00")]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::Paths, "view-through-link", Kind::Fixer, From::Text("view-path", &[("PATH", "/etc/out")]), &[], Expected::Returned(ErrorCode::NotFound, "")),
    case(Class::Paths, "view-huge", Kind::Fixer, From::Text("view-huge", &[]), &[], Expected::Returned(ErrorCode::Limit, "")),
    case(Class::Paths, "view-long-path", Kind::Fixer, From::Text("view-long-path", &[]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::Paths, "source-parent", Kind::DiskSource, From::Text("source-path", &[("PATH", "../outside/secret")]), &[], Expected::Returned(ErrorCode::Denied, "")),
    case(Class::Paths, "source-absolute", Kind::DiskSource, From::Text("source-path", &[("PATH", "/etc/passwd")]), &[], Expected::Returned(ErrorCode::Denied, "")),
    case(Class::Paths, "source-nul", Kind::DiskSource, From::Text("source-path", &[("PATH", "disk.raw\\00")]), &[], Expected::Returned(ErrorCode::Invalid, "")),
    case(Class::Paths, "source-dot", Kind::DiskSource, From::Text("source-path", &[("PATH", "./disk.raw")]), &[], Expected::Returned(ErrorCode::Denied, "")),
    case(Class::Paths, "source-link", Kind::DiskSource, From::Text("source-path", &[("PATH", "out")]), &[], Expected::Returned(ErrorCode::Denied, "")),
    case(Class::Paths, "disk-parent", Kind::DiskSource, From::Text("source-disk", &[("PATH", "../outside/secret")]), &[], Expected::Returned(ErrorCode::Denied, "")),
    case(Class::Paths, "disk-absolute", Kind::DiskSource, From::Text("source-disk", &[("PATH", "/etc/passwd")]), &[], Expected::Returned(ErrorCode::Denied, "")),
    case(Class::Paths, "disk-link", Kind::DiskSource, From::Text("source-disk", &[("PATH", "out")]), &[], Expected::NotPlanned("out")),
    case(Class::Paths, "source-race", Kind::DiskSource, From::Text("source-race", &[]), &[("cpu-ms", 60000)], Expected::NotPlanned("no disk source recognises")),
    case(Class::Imports, "import-http", Kind::Fixer, From::Text("import-http", &[]), &[], Expected::Refused("wasi:http")),
    case(Class::Imports, "import-tool", Kind::Fixer, From::Text("import-tool", &[]), &[], Expected::Refused("cofferdam:tool/tool")),
    case(Class::Imports, "import-devices", Kind::Fixer, From::Text("import-devices", &[]), &[], Expected::Refused("cofferdam:disk/devices")),
    case(Class::Imports, "import-unknown", Kind::Fixer, From::Text("import-unknown", &[]), &[], Expected::Refused("cofferdam:tea/pot")),
    case(Class::Imports, "step-tool", Kind::WorkflowStep, From::Text("step-tool", &[]), &[], Expected::Refused("cofferdam:tool/tool")),
    case(Class::BulkMemory, "tree-endless", Kind::Filesystem, From::Text("tree-endless", &[]), &[("cpu-ms", 60000), ("memory-mib", 64)], Expected::Nonsense("list-directory", "list")),
    case(Class::Lies, "tree-circle", Kind::Filesystem, From::Text("tree-circle", &[]), &[], Expected::Nonsense("list-directory", "itself")),
    case(Class::Lies, "tree-name-parent", Kind::Filesystem, From::Text("tree-name-parent", &[]), &[], Expected::Nonsense("list-directory", "name")),
    case(Class::Lies, "tree-name-slash", Kind::Filesystem, From::Text("tree-name-slash", &[]), &[], Expected::Nonsense("list-directory", "name")),
    case(Class::Lies, "tree-name-nul", Kind::Filesystem, From::Text("tree-name-nul", &[]), &[], Expected::Nonsense("list-directory", "name")),
    case(Class::Lies, "tree-name-long", Kind::Filesystem, From::Text("tree-name-long", &[]), &[], Expected::Nonsense("list-directory", "name")),
    case(Class::Lies, "tree-deep", Kind::Filesystem, From::Text("tree-deep", &[]), &[], Expected::Nonsense("list-directory", "deeper")),
    case(Class::Lies, "tree-loop", Kind::Filesystem, From::Text("tree-loop", &[]), &[], Expected::Nonsense("list-directory", "another name")),
    case(Class::Lies, "tree-mode", Kind::Filesystem, From::Text("tree-mode", &[]), &[], Expected::Nonsense("stat", "mode")),
    case(Class::Lies, "tree-size", Kind::Filesystem, From::Text("tree-size", &[]), &[], Expected::Nonsense("stat", "size")),
    case(Class::BulkMemory, "tree-mount-notes", Kind::Filesystem, From::Text("tree-mount-notes", &[]), &[], Expected::Nonsense("mount", "notes")),
    case(Class::Lies, "tree-label", Kind::Filesystem, From::Text("tree-label", &[]), &[], Expected::Nonsense("probe", "label")),
    case(Class::Lies, "device-beyond", Kind::Filesystem, From::Text("device-beyond", &[]), &[], Expected::NotPlanned("there is no device number 4000000000")),
    case(Class::Lies, "reply-too-much", Kind::Filesystem, From::Text("reply-too-much", &[]), &[], Expected::Nonsense("list-directory", "was asked for 0")),
    case(Class::Stack, "c-smash", Kind::Fixer, From::C("c-smash"), &[], Expected::Trapped("fix", "out of bounds")),
    case(Class::Traps, "c-pointer", Kind::Fixer, From::C("c-pointer"), &[], Expected::Trapped("fix", "")),
    case(Class::Traps, "c-scan", Kind::Fixer, From::C("c-scan"), &[], Expected::Trapped("fix", "out of bounds")),
    case(Class::Floods, "c-flood", Kind::Fixer, From::C("c-flood"), &[("cpu-ms", 100)], Expected::Limit(Limit::Cpu, "fix")),
    reaching("rust-connect", r#"{"attack": "connect", "port": PORT}"#, Expected::Harmless),
    reaching("rust-listen", r#"{"attack": "listen"}"#, Expected::Harmless),
    reaching("rust-datagrams", r#"{"attack": "datagrams", "port": PORT}"#, Expected::Harmless),
    reaching("rust-files", r#"{"attack": "files"}"#, Expected::Harmless),
    reaching("rust-environment", r#"{"attack": "environment"}"#, Expected::Harmless),
    reaching("rust-start", r#"{"attack": "start"}"#, Expected::Harmless),
    reaching("rust-exit", r#"{"attack": "exit"}"#, Expected::Trapped("execute", "exit")),
    reaching("rust-panic", r#"{"attack": "panic"}"#, Expected::Trapped("execute", "unreachable")),
    reaching("rust-allocate", r#"{"attack": "allocate"}"#, Expected::Limit(Limit::Memory, "execute")),
    reaching("rust-format", r#"{"attack": "format"}"#, Expected::Limit(Limit::Memory, "execute")),
    reaching("rust-sleep", r#"{"attack": "sleep"}"#, Expected::Limit(Limit::WallClock, "execute")),
    reaching("rust-print", r#"{"attack": "print"}"#, Expected::Limit(Limit::Cpu, "execute")),
    reaching("rust-nest", r#"{"attack": "nest"}"#, Expected::Limit(Limit::Stack, "execute")),
];

/// The component of `tests/plugins/hostile`.
///
/// # Panics
/// If it was not built.
pub fn rust_component() -> PathBuf {
    let component = workspace().join("target/test-plugins/hostile.wasm");
    assert!(
        component.is_file(),
        "there is no {}; run `cargo xtask test`, which builds it",
        component.display()
    );
    component
}

/// The core module that a C attack compiles to; none where there is no compiler, which is said.
///
/// # Panics
/// If it does not compile, or if there is no compiler in CI.
pub fn compiled_c(name: &str) -> Option<Vec<u8>> {
    let tools = workspace().join("target/tools");
    let zig = tools.join("bin/python-zig");
    if !zig.is_file() {
        assert!(
            std::env::var_os("CI").is_none(),
            "there is no {}; run `cargo xtask setup`",
            zig.display()
        );
        println!("skipped {name}: there is no {}", zig.display());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("module.wasm");
    let compiled = Command::new(zig)
        .args([
            "cc",
            "-target",
            "wasm32-freestanding",
            "-nostdlib",
            "-Wl,--no-entry",
        ])
        .args(["-O1", "-g0", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&module)
        .arg(crate::component::sources().join(format!("{name}.c")))
        .env("ZIG_GLOBAL_CACHE_DIR", tools.join("zig-cache"))
        .env("ZIG_LOCAL_CACHE_DIR", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{name}.c: {said}");
    Some(std::fs::read(module).unwrap())
}

#[test]
fn every_file_is_an_attack_and_every_attack_has_a_name_of_its_own() {
    let mut names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "a name is there twice");
    assert!(all >= 40, "{all}");
    for file in std::fs::read_dir(crate::component::sources()).unwrap() {
        let path = file.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if path.is_dir() || stem.starts_with("honest-") {
            continue;
        }
        let used = CASES.iter().any(|case| match case.from {
            From::Text(name, _) | From::C(name) => name == stem,
            From::Rust => false,
        });
        assert!(used, "no case uses {}", path.display());
    }
}

#[test]
fn a_wrong_end_is_noticed() {
    let callee = cofferdam_contract::failure::Callee {
        plugin: "hostile".to_owned(),
        call: "fix".to_owned(),
    };
    let stopped = |limit| {
        Ended::Failed(CallError::Limit {
            callee: callee.clone(),
            limit,
            allowed: String::new(),
        })
    };
    let expected = Expected::Limit(Limit::Cpu, "fix");
    assert_eq!(expected.check(&stopped(Limit::Cpu)), Ok(()));
    assert!(expected.check(&stopped(Limit::Memory)).is_err());
    assert!(expected.check(&Ended::Well).is_err());
    assert!(
        Expected::Limit(Limit::Cpu, "start")
            .check(&stopped(Limit::Cpu))
            .is_err()
    );
    let long = Ended::Failed(CallError::Trapped {
        callee: callee.clone(),
        reason: "x".repeat(3 * MOST_MESSAGE),
    });
    assert!(Expected::Trapped("fix", "x").check(&long).is_err());
}
