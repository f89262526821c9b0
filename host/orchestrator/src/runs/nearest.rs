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

#[cfg(test)]
mod tests {
    use super::*;

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
