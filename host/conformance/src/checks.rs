//! What is checked: the table that `docs/conformance.md` shows.

use serde::Serialize;

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, which does not change.
    pub name: &'static str,
    /// What has to hold.
    pub what: &'static str,
    /// What goes wrong where it does not.
    pub why: &'static str,
    /// What an author changes.
    pub mend: &'static str,
}

macro_rules! checks {
    ($($constant:ident $name:literal { $what:literal $why:literal $mend:literal })+) => {
        $(
            #[doc = $what]
            pub const $constant: Check = Check {
                name: $name,
                what: $what,
                why: $why,
                mend: $mend,
            };
        )+

        /// Every check, in the order in which they are made.
        pub const CHECKS: &[Check] = &[$($constant),+];
    };
}

checks! {
    MANIFEST "manifest" {
        "The manifest describes every setting, and refuses settings that it does not know."
        "An operator who misspells a setting would not be told, and nobody could know what one means."
        "Give each of `settings.properties` a `description`, and say `additionalProperties = false` under `[settings]` of plugin.toml."
    }
    IMPORTS "imports" {
        "It imports every capability that its manifest wants."
        "An operator is asked to grant what the plugin has no use for."
        "Remove the entry of `[[capabilities]]` from plugin.toml, or use what it asks for."
    }
    SOCKETS "sockets" {
        "It imports no WASI sockets."
        "Sockets are linked and inert: code that opens one fails in the middle of its work."
        "Leave out the library that opens sockets (Python: `--stub-wasi`); a workflow step sends requests through `wasi:http`."
    }
    LOADS "loads" {
        "It compiles, and links to what its world offers."
        "The host refuses it when it is activated."
        "Build it anew against the contract of this host: `cofferdam plugin build`."
    }
    SETTINGS "settings" {
        "The schema refuses values of a type that a setting does not have."
        "A wrong value would reach the plugin instead of being refused with the setting's name."
        "Give the setting a `type` in plugin.toml."
    }
    SETTINGS_READ "settings-read" {
        "Settings that it cannot read end in an error record."
        "A manifest and its code that disagree would crash the plugin without a word."
        "Catch the error where the settings are read, and return it with the code `invalid`."
    }
    LIMITS "limits" {
        "It stays within the limits that its manifest asks for."
        "The host ends the call, and with it the migration or the attempt at the step."
        "Do less in one call, or ask for more under `[limits]` of plugin.toml."
    }
    ANSWERS "answers" {
        "Whatever it is given, it answers as the contract says: no trap, no value that the contract does not allow."
        "A crash ends the session, tells nobody why, and counts against the plugin."
        "Return an error record instead: `Err` instead of a panic, and a handler around everything where errors are exceptions."
    }
    MESSAGES "messages" {
        "Its error records say something."
        "Whoever reads the log of a failed run has nothing to go by."
        "Say in the error's message what happened and to what."
    }
    SAME_ANSWER "same-answer" {
        "Two instances that are given the same do the same."
        "A plan could not be approved: what is applied would not be what was shown."
        "Take nothing from the run's id, random numbers, memory addresses or the order of a hash table."
    }
    IDEMPOTENT "idempotent" {
        "Done again, it finds nothing left to do: a fixer on its own result, a probe or a plan a second time."
        "The host refuses a plan whose fixers would plan something again."
        "Look first whether it is there already, and record nothing then."
    }
    LOG "log" {
        "What it logs fits the log limits of its manifest."
        "Lines beyond them are dropped, and they are those that would be looked for."
        "Log less, or ask for more with `log-kib` and `log-lines-per-second` under `[limits]` of plugin.toml."
    }
    CANCELLATION "cancellation" {
        "When its run is cancelled it ends within a second."
        "The host stops it, and whoever cancelled waits for that."
        "Ask `context.cancelled` in long loops, and end with the code `cancelled`."
    }
    CASES "cases" {
        "Its cases come out as their expected.json says."
        "It does something else than its author wrote down."
        "Mend the plugin, or look at what its unit tests write with COFFERDAM_UPDATE_CASES=1 and keep it."
    }
}
