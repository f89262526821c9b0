//! Takes secrets out of a recording.
//!
//! A value that the call was given is replaced by what stands for it, wherever it turns up,
//! earlier lines included. A replay gives the plugin that instead of the value, so that what
//! it makes of it is the same text again. What the host's own redactor finds beside that (other
//! secrets of the project, encoded forms) becomes its mark.

use crate::filters::Redact;
use serde_json::Value;
use std::sync::Arc;

/// Values below this many bytes would be found in innocent text; the store refuses them.
const SHORTEST: usize = 4;

/// The secrets of one call.
pub(crate) struct Cleaner {
    /// Forms of values, longest first, with what stands for each.
    forms: Vec<(String, String)>,
    redact: Arc<dyn Redact>,
}

impl Cleaner {
    pub(crate) fn new(redact: Arc<dyn Redact>) -> Self {
        Self {
            forms: Vec::new(),
            redact,
        }
    }

    /// What stands for the value of a secret.
    pub(crate) fn stands_for(name: &str) -> String {
        format!("<secret:{name}>")
    }

    /// From now on the value is replaced.
    pub(crate) fn remember(&mut self, name: &str, value: &[u8]) {
        // One that is no text cannot turn up in the texts of a recording as it is.
        let Ok(value) = std::str::from_utf8(value) else {
            return;
        };
        let escaped = Value::from(value).to_string();
        let escaped = escaped.trim_matches('"');
        let forms = [value, value.trim(), escaped]
            .into_iter()
            .chain(value.lines().map(str::trim));
        for form in forms {
            if form.len() >= SHORTEST && !self.forms.iter().any(|(known, _)| known == form) {
                self.forms.push((form.to_owned(), Self::stands_for(name)));
            }
        }
        self.forms
            .sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
    }

    /// Cleans every text in a value.
    pub(crate) fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                for (form, stands_for) in &self.forms {
                    if text.contains(form.as_str()) {
                        *text = text.replace(form.as_str(), stands_for);
                    }
                }
                let cleaned = self.redact.text(text).into_owned();
                *text = cleaned;
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(members) => {
                members.values_mut().for_each(|member| self.value(member));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    struct NoOther;

    impl Redact for NoOther {
        fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
            Cow::Owned(text.replace("elsewhere", "***"))
        }
    }

    #[test]
    fn values_are_replaced_in_every_form_that_is_text() {
        let mut cleaner = Cleaner::new(Arc::new(NoOther));
        cleaner.remember("db", b"hun\"ter2\n");
        cleaner.remember("key", b"first line\nsecond line\n");
        cleaner.remember("short", b"ab");
        cleaner.remember("binary", &[0xff; 8]);
        let mut value = serde_json::json!({
            "a": ["--password=hun\"ter2", "{\"p\":\"hun\\\"ter2\\n\"}", "ab"],
            "b": {"c": "only second line of it", "d": "elsewhere"},
        });
        cleaner.value(&mut value);
        assert_eq!(
            value,
            serde_json::json!({
                "a": ["--password=<secret:db>", "{\"p\":\"<secret:db>\"}", "ab"],
                "b": {"c": "only <secret:key> of it", "d": "***"},
            })
        );
    }
}
