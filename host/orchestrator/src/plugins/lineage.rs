//! Which versions led to the active one: what rolling back goes to.

use super::{Activation, ActivationOutcome, Cause};

/// What `active` can be rolled back to, the best first: the versions before it in its
/// lineage, itself apart, which was active more than once where one came between.
pub(super) fn earlier(mut lineage: Vec<String>, active: &str) -> Vec<String> {
    lineage.retain(|digest| digest != active);
    lineage.reverse();
    lineage
}

/// The digests of the versions that led to the one that is active, that one last: going
/// back takes away what came after.
pub(super) fn lineage(history: &[Activation]) -> Vec<String> {
    let mut lineage: Vec<String> = Vec::new();
    for activation in history {
        if activation.outcome != ActivationOutcome::Active {
            continue;
        }
        match (&activation.to, activation.cause) {
            (None, _) => lineage.clear(),
            (Some(to), Cause::Activate) => {
                if lineage.last() != Some(&to.digest) {
                    lineage.push(to.digest.clone());
                }
            }
            (Some(to), _) => {
                let place = lineage.iter().rposition(|digest| *digest == to.digest);
                lineage.truncate(place.unwrap_or(0));
                lineage.push(to.digest.clone());
            }
        }
    }
    lineage
}

#[cfg(test)]
mod tests {
    use super::super::{Stage, VersionName};
    use super::*;
    use cofferdam_store::Time;

    fn activation(cause: Cause, to: Option<&str>, outcome: ActivationOutcome) -> Activation {
        Activation {
            id: "act-1".to_owned(),
            plugin: "p".to_owned(),
            cause,
            actor: "ada".to_owned(),
            from: None,
            to: to.map(|digest| VersionName {
                version: digest.to_owned(),
                digest: digest.to_owned(),
            }),
            stage: Stage::Retire,
            outcome,
            reason: None,
            started: Time::now(),
            finished: None,
        }
    }

    #[test]
    fn going_back_twice_goes_back_further() {
        use Cause::{Activate, Crashes, Remove, Rollback};
        type Step<'a> = (Cause, Option<&'a str>);
        // What led to the active version, and what can be rolled back to.
        let cases: [(&[Step], &[&str], &[&str]); 7] = [
            (
                &[(Activate, Some("1")), (Activate, Some("2"))],
                &["1", "2"],
                &["1"],
            ),
            (
                &[
                    (Activate, Some("1")),
                    (Activate, Some("2")),
                    (Activate, Some("3")),
                    (Rollback, Some("2")),
                ],
                &["1", "2"],
                &["1"],
            ),
            (
                &[
                    (Activate, Some("1")),
                    (Activate, Some("2")),
                    (Crashes, Some("1")),
                    (Activate, Some("3")),
                ],
                &["1", "3"],
                &["1"],
            ),
            (&[(Activate, Some("1")), (Activate, Some("1"))], &["1"], &[]),
            (&[(Activate, Some("1")), (Remove, None)], &[], &[]),
            (
                &[
                    (Activate, Some("1")),
                    (Activate, Some("2")),
                    (Activate, Some("1")),
                ],
                &["1", "2", "1"],
                // Never itself, also where the one between is removed.
                &["2"],
            ),
            // A version that the history no longer knows.
            (&[(Activate, Some("2")), (Rollback, Some("0"))], &["0"], &[]),
        ];
        for (steps, expected, before) in cases {
            let mut history: Vec<Activation> = steps
                .iter()
                .map(|(cause, to)| activation(*cause, *to, ActivationOutcome::Active))
                .collect();
            history.push(activation(Activate, Some("9"), ActivationOutcome::Failed));
            let led = lineage(&history);
            assert_eq!(led, expected, "{steps:?}");
            let active = led.last().cloned().unwrap_or_default();
            assert_eq!(earlier(led, &active), before, "{steps:?}");
        }
    }
}
