//! The name that was probably meant.

/// ` (did you mean …?)` when one of `known` is close to `given`, else nothing.
pub fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, known).map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

/// The one of `known` that is closest to `given`, if any is close.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const CLOSE: f64 = 0.7;
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .filter(|(likeness, _)| *likeness >= CLOSE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// What [`did_you_mean`] says about the first unknown key that `message` tells of, in the
/// words of serde, in which most steps do: ``unknown field `x`, expected one of `y`, `z` ``.
pub fn did_you_mean_in(message: &str) -> String {
    let parsed = message
        .split_once("unknown field `")
        .and_then(|(_, rest)| rest.split_once('`'))
        .and_then(|(given, rest)| Some((given, rest.strip_prefix(", expected ")?)));
    let Some((given, expected)) = parsed else {
        return String::new();
    };
    let expected = expected.lines().next().unwrap_or_default();
    did_you_mean(given, expected.split('`').skip(1).step_by(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_of_a_step_is_compared_with_those_it_knows() {
        for (message, hint) in [
            (
                "the input is wrong: unknown field `tol`, expected one of `tool`, `arguments` at line 1",
                " (did you mean `tool`?)",
            ),
            (
                "unknown field `arg`, expected `tool` or `args`",
                " (did you mean `args`?)",
            ),
            (
                "unknown field `tol`, expected `tool`",
                " (did you mean `tool`?)",
            ),
            ("unknown field `xyz`, expected `tool`", ""),
            ("unknown field `tol`, there are no fields", ""),
            ("unknown field `tol", ""),
            ("the tool `tol` is not granted, expected `tool`", ""),
        ] {
            assert_eq!(did_you_mean_in(message), hint, "{message}");
        }
    }

    #[test]
    fn only_close_names_are_offered() {
        let known = ["attempts", "delay", "factor", "max-delay", "jitter"];
        for (given, expected) in [
            ("attempt", Some("attempts")),
            ("max_delay", Some("max-delay")),
            ("jiter", Some("jitter")),
            ("xyz", None),
        ] {
            assert_eq!(nearest(given, known), expected, "{given}");
        }
    }
}
