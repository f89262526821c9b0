//! Which step waits for which.

/// Steps by index, and the steps that come before each. Acyclic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    needs: Vec<Vec<usize>>,
}

impl Graph {
    /// A graph in which step `i` waits for `needs[i]`, or a circle of steps that wait for
    /// each other, the first repeated at its end.
    pub fn new(needs: Vec<Vec<usize>>) -> Result<Self, Vec<usize>> {
        let graph = Self { needs };
        match graph.circle() {
            Some(circle) => Err(circle),
            None => Ok(graph),
        }
    }

    /// The steps that come before a step.
    pub fn needs(&self, step: usize) -> &[usize] {
        self.needs.get(step).map_or(&[], Vec::as_slice)
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.needs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// The steps that wait for any of `from`, directly or through others; `from` itself is
    /// among them.
    pub fn downstream(&self, from: &[usize]) -> Vec<usize> {
        let mut reached: Vec<bool> = (0..self.len()).map(|i| from.contains(&i)).collect();
        loop {
            let more: Vec<usize> = (0..self.len())
                .filter(|i| {
                    reached.get(*i) == Some(&false)
                        && self
                            .needs(*i)
                            .iter()
                            .any(|need| reached.get(*need) == Some(&true))
                })
                .collect();
            if more.is_empty() {
                break;
            }
            for step in more {
                if let Some(reached) = reached.get_mut(step) {
                    *reached = true;
                }
            }
        }
        (0..self.len())
            .filter(|i| reached.get(*i) == Some(&true))
            .collect()
    }

    fn circle(&self) -> Option<Vec<usize>> {
        // Steps that can be put in order are taken away until none is left; what remains
        // are circles and what waits for them.
        let mut left: Vec<usize> = (0..self.len()).collect();
        loop {
            let stuck: Vec<usize> = left
                .iter()
                .copied()
                .filter(|step| self.needs(*step).iter().any(|need| left.contains(need)))
                .collect();
            if stuck.len() == left.len() {
                break;
            }
            left = stuck;
        }
        let mut path = vec![*left.first()?];
        loop {
            let last = *path.last()?;
            let next = self
                .needs(last)
                .iter()
                .copied()
                .find(|n| left.contains(n))?;
            if let Some(start) = path.iter().position(|step| *step == next) {
                let mut circle = path.split_off(start);
                circle.push(next);
                return Some(circle);
            }
            path.push(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn circles_are_named() {
        let cases = [
            (vec![vec![], vec![0], vec![0, 1]], None),
            (vec![vec![0]], Some(vec![0, 0])),
            (vec![vec![1], vec![2], vec![1]], Some(vec![1, 2, 1])),
            (
                vec![vec![], vec![0, 2], vec![3], vec![1]],
                Some(vec![1, 2, 3, 1]),
            ),
        ];
        for (needs, circle) in cases {
            assert_eq!(Graph::new(needs.clone()).err(), circle, "{needs:?}");
        }
    }

    #[test]
    fn downstream_reaches_through_others() {
        let graph = Graph::new(vec![vec![], vec![0], vec![1], vec![], vec![3, 2]]).unwrap();
        assert_eq!(graph.downstream(&[1]), [1, 2, 4]);
        assert_eq!(graph.downstream(&[3]), [3, 4]);
    }

    proptest! {
        #[test]
        fn a_circle_is_found_exactly_when_no_order_exists(
            edges in prop::collection::vec(prop::collection::vec(0_usize..8, 0..3), 8)
        ) {
            let order_exists = {
                let mut done = vec![false; edges.len()];
                for _ in 0..edges.len() {
                    for (step, needs) in edges.iter().enumerate() {
                        if needs.iter().all(|need| done[*need]) {
                            done[step] = true;
                        }
                    }
                }
                done.iter().all(|done| *done)
            };
            match Graph::new(edges.clone()) {
                Ok(_) => prop_assert!(order_exists),
                Err(circle) => {
                    prop_assert!(!order_exists);
                    prop_assert_eq!(circle.first(), circle.last());
                    for pair in circle.windows(2) {
                        prop_assert!(edges[pair[0]].contains(&pair[1]));
                    }
                }
            }
        }
    }
}
