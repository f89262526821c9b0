//! The sequence of plugins of one kind, from the `after` and `before` of their manifests.

use crate::manifest::Manifest;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Manifests that name each other in a circle.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the plugins {} want to run before each other; remove one of their `after` or `before` entries", .0.join(", "))]
pub struct OrderCycle(pub Vec<String>);

/// The ids in the order that the manifests ask for; ties go by id. Names of plugins that
/// are not there are ignored.
pub fn sequence(manifests: &[&Manifest]) -> Result<Vec<String>, OrderCycle> {
    let mut waits_for: BTreeMap<&str, BTreeSet<&str>> = manifests
        .iter()
        .map(|manifest| (manifest.id.as_str(), BTreeSet::new()))
        .collect();
    let ids: BTreeSet<&str> = waits_for.keys().copied().collect();
    for manifest in manifests {
        for earlier in &manifest.order.after {
            if ids.contains(earlier.as_str())
                && let Some(set) = waits_for.get_mut(manifest.id.as_str())
            {
                set.insert(earlier);
            }
        }
        for later in &manifest.order.before {
            if let Some(set) = waits_for.get_mut(later.as_str()) {
                set.insert(&manifest.id);
            }
        }
    }
    let mut sequence = Vec::new();
    while !waits_for.is_empty() {
        let Some(next) = waits_for
            .iter()
            .find(|(_, waits)| waits.is_empty())
            .map(|(id, _)| *id)
        else {
            return Err(OrderCycle(
                waits_for.keys().map(ToString::to_string).collect(),
            ));
        };
        waits_for.remove(next);
        for waits in waits_for.values_mut() {
            waits.remove(next);
        }
        sequence.push(next.to_owned());
    }
    Ok(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(id: &str, after: &[&str], before: &[&str]) -> Manifest {
        let list = |names: &[&str]| format!("{names:?}");
        Manifest::parse(&format!(
            "id = \"{id}\"\nversion = \"0.1.0\"\nsummary = \"test\"\n[order]\nafter = {}\nbefore = {}\n",
            list(after),
            list(before)
        ))
        .unwrap()
    }

    fn order(manifests: &[Manifest]) -> Result<Vec<String>, OrderCycle> {
        sequence(&manifests.iter().collect::<Vec<_>>())
    }

    #[test]
    fn ties_go_by_id_and_missing_names_are_ignored() {
        let all = [manifest("b", &["absent"], &[]), manifest("a", &[], &[])];
        assert_eq!(order(&all).unwrap(), ["a", "b"]);
    }

    #[test]
    fn after_and_before_are_both_honoured() {
        let all = [
            manifest("a", &["c"], &[]),
            manifest("b", &[], &["c"]),
            manifest("c", &[], &[]),
        ];
        assert_eq!(order(&all).unwrap(), ["b", "c", "a"]);
    }

    #[test]
    fn a_cycle_is_refused_by_name() {
        let all = [
            manifest("a", &["b"], &[]),
            manifest("b", &["a"], &[]),
            manifest("free", &[], &[]),
        ];
        assert_eq!(
            order(&all).unwrap_err(),
            OrderCycle(vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn a_plugin_after_itself_is_a_cycle() {
        assert!(order(&[manifest("a", &["a"], &[])]).is_err());
    }
}
