//! What a schema cannot say: names, expressions, and what must come before what.

use super::file::{InputType, Retry, WorkflowFile};
use super::input::typed;
use super::located::Place;
use super::parse::{Flaw, WorkflowError, parse};
use crate::catalogue::StepReference;
use crate::grants::{StepGrants, Trust};
use crate::runs::expression::{Expression, Names, Template};
use crate::runs::graph::Graph;
use crate::runs::nearest::did_you_mean;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The most steps that a workflow may have.
pub const MOST_STEPS: usize = 500;

/// A workflow that can be run as far as can be known without its plugins.
#[derive(Debug)]
pub struct CompiledWorkflow {
    /// The records of the file.
    pub file: WorkflowFile,
    /// The steps, in the order of the file.
    pub steps: Vec<CompiledStep>,
    /// Which step waits for which, by index into `steps`.
    pub graph: Graph,
    /// What the run gives back.
    pub outputs: Vec<(String, Template)>,
    indices: HashMap<String, usize>,
}

/// One step.
#[derive(Debug)]
pub struct CompiledStep {
    /// Its id.
    pub id: String,
    /// Where it begins in the file.
    pub place: Place,
    /// Its plugin.
    pub uses: StepReference,
    /// What the plugin is given; always resolves to an object.
    pub with: Template,
    /// Whether that depends on what earlier steps put out.
    pub is_dynamic: bool,
    /// Whether it runs at all.
    pub condition: Option<Expression>,
    /// Attempts and waits.
    pub retry: Retry,
    /// The longest attempt.
    pub timeout: Option<Duration>,
    /// Whether someone has to approve, and what they are told.
    pub approval: super::file::Approval,
    /// Whether it is compensated.
    pub compensate: bool,
    /// Where the step is not trusted: the grants that it names, maybe none.
    pub grants: Option<StepGrants>,
}

impl CompiledWorkflow {
    /// Reads and checks a file. `name` is what errors call it.
    pub fn new(name: &str, text: &str) -> Result<Self, WorkflowError> {
        let file = parse(name, text)?;
        let mut checker = Checker::default();
        let compiled = checker.workflow(file);
        match compiled {
            Some(workflow) if checker.flaws.is_empty() => Ok(workflow),
            _ => {
                checker
                    .flaws
                    .sort_by_key(|flaw| (flaw.place.line, flaw.place.column));
                Err(WorkflowError {
                    file: name.to_owned(),
                    flaws: checker.flaws,
                })
            }
        }
    }

    /// The index of a step.
    pub fn index(&self, id: &str) -> Option<usize> {
        self.indices.get(id).copied()
    }
}

#[derive(Default)]
struct Checker {
    flaws: Vec<Flaw>,
}

/// Whether a name may be one of a step, an input or a workflow.
fn is_name(name: &str, first: fn(&char) -> bool, others: fn(char) -> bool) -> bool {
    name.len() <= 64 && name.chars().next().is_some_and(|c| first(&c)) && name.chars().all(others)
}

fn is_step_name(name: &str) -> bool {
    is_name(name, char::is_ascii_lowercase, |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
    })
}

fn is_input_name(name: &str) -> bool {
    is_name(name, char::is_ascii_alphabetic, |c| {
        c.is_ascii_alphanumeric() || c == '-' || c == '_'
    })
}

impl Checker {
    fn flaw(&mut self, place: Place, message: impl Into<String>) {
        self.flaws.push(Flaw {
            place,
            message: message.into(),
        });
    }

    fn workflow(&mut self, file: WorkflowFile) -> Option<CompiledWorkflow> {
        if !is_step_name(&file.name) {
            self.flaw(
                file.name.place,
                format!(
                    "the name `{}` must begin with a lower-case letter and hold only a-z, 0-9, - and _, at most 64",
                    *file.name
                ),
            );
        }
        self.inputs(&file);
        if file.steps.is_empty() {
            self.flaw(
                Place::default(),
                "there are no steps; a workflow has at least one",
            );
        }
        if file.steps.len() > MOST_STEPS {
            self.flaw(
                Place::default(),
                format!(
                    "there are {} steps, at most {MOST_STEPS} are run; split the workflow",
                    file.steps.len()
                ),
            );
            return None;
        }
        let mut indices: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, step) in file.steps.iter().enumerate() {
            if !is_step_name(&step.id) {
                self.flaw(
                    step.id.place,
                    format!(
                        "the step id `{}` must begin with a lower-case letter and hold only a-z, 0-9, - and _, at most 64",
                        *step.id
                    ),
                );
            }
            if indices.insert(&step.id, index).is_some() {
                self.flaw(
                    step.id.place,
                    format!("there are two steps `{}`; ids are unique", *step.id),
                );
            }
        }
        let names = Names::new(
            file.inputs.keys().map(String::as_str),
            indices.keys().copied(),
        );
        let mut steps = Vec::with_capacity(file.steps.len());
        let mut needs = Vec::with_capacity(file.steps.len());
        for step in &file.steps {
            let mut before = Vec::new();
            for need in &step.needs {
                match indices.get(need.value.as_str()) {
                    Some(index) => before.push(*index),
                    None => self.flaw(
                        need.place,
                        format!(
                            "step `{}` needs `{}`, and there is no such step{}",
                            *step.id,
                            **need,
                            did_you_mean(need, indices.keys().copied())
                        ),
                    ),
                }
            }
            let compiled = self.step(step, &names);
            if let Some((compiled, named)) = compiled {
                before.extend(named.iter().filter_map(|id| indices.get(id.as_str())));
                steps.push(compiled);
            }
            before.sort_unstable();
            before.dedup();
            needs.push(before);
        }
        let mut outputs = Vec::with_capacity(file.outputs.len());
        for (name, value) in &file.outputs {
            if !is_input_name(name) {
                self.flaw(
                    value.place,
                    format!("the output name `{name}` may hold only letters, digits, - and _"),
                );
            }
            match Template::new(value, &names) {
                Ok(template) => outputs.push((name.clone(), template)),
                Err(error) => self.flaw(value.place, format!("output `{name}`: {error}")),
            }
        }
        if steps.len() != needs.len() {
            return None;
        }
        match Graph::new(needs) {
            Ok(graph) => Some(CompiledWorkflow {
                indices: steps
                    .iter()
                    .enumerate()
                    .map(|(index, step)| (step.id.clone(), index))
                    .collect(),
                steps,
                graph,
                outputs,
                file,
            }),
            Err(cycle) => {
                let ids: Vec<&str> = cycle
                    .iter()
                    .filter_map(|index| file.steps.get(*index).map(|step| step.id.as_str()))
                    .collect();
                let place = cycle
                    .first()
                    .and_then(|index| file.steps.get(*index))
                    .map_or_else(Place::default, |step| step.id.place);
                self.flaw(
                    place,
                    format!(
                        "the steps wait for each other in a circle: {}; break it",
                        ids.join(" needs ")
                    ),
                );
                None
            }
        }
    }

    fn inputs(&mut self, file: &WorkflowFile) {
        for (name, input) in &file.inputs {
            if !is_input_name(name) {
                self.flaw(
                    input.place,
                    format!(
                        "the input name `{name}` must begin with a letter and hold only letters, digits, - and _, at most 64"
                    ),
                );
            }
            if let Some(default) = &input.default {
                if input.required {
                    self.flaw(
                        input.place,
                        format!("the input `{name}` is required and has a default; keep one"),
                    );
                }
                if input.kind == InputType::File {
                    self.flaw(
                        input.place,
                        format!("the input `{name}` is a file; files have no default"),
                    );
                } else if typed(input.kind, default.clone()).as_ref() != Ok(default) {
                    self.flaw(
                        input.place,
                        format!(
                            "the default of input `{name}` is not of type {}",
                            input.kind.name()
                        ),
                    );
                }
            }
        }
    }

    fn step(
        &mut self,
        step: &super::file::StepDefinition,
        names: &Names<'_>,
    ) -> Option<(CompiledStep, BTreeSet<String>)> {
        let before = self.flaws.len();
        let id = step.id.value.as_str();
        let uses = match step.uses.parse::<StepReference>() {
            Ok(uses) => Some(uses),
            Err(error) => {
                self.flaw(step.uses.place, format!("step `{id}`: {error}"));
                None
            }
        };
        let empty = Value::Object(Map::new());
        let (with, with_place) = match &step.with {
            Some(with) if with.is_object() => (&with.value, with.place),
            Some(with) => {
                self.flaw(
                    with.place,
                    format!("`with` of step `{id}` must be a mapping of names and values"),
                );
                (&empty, with.place)
            }
            None => (&empty, step.id.place),
        };
        let with = Template::new(with, names)
            .map_err(|error| self.flaw(with_place, format!("`with` of step `{id}` {error}")))
            .ok();
        let condition = step.condition.as_ref().and_then(|condition| {
            let source = condition.trim();
            let bare = source
                .strip_prefix("${{")
                .and_then(|rest| rest.strip_suffix("}}"))
                .unwrap_or(source);
            Expression::new(bare, names)
                .map_err(|error| {
                    self.flaw(condition.place, format!("`if` of step `{id}`: {error}"));
                })
                .ok()
        });
        let retry = match &step.retry {
            Some(retry) => {
                if let Some(problem) = crate::runs::retry::problem(retry) {
                    self.flaw(retry.place, format!("`retry` of step `{id}`: {problem}"));
                }
                retry.value
            }
            None => Retry::default(),
        };
        if let Some(timeout) = &step.timeout
            && timeout.0.is_zero()
        {
            self.flaw(
                timeout.place,
                format!("`timeout` of step `{id}` is zero; leave it out for no limit"),
            );
        }
        match &step.grants {
            Some(grants) if step.trust.is_none() => self.flaw(
                grants.place,
                format!(
                    "`grants` of step `{id}` count only with `trust: none`; add it, or leave them out"
                ),
            ),
            Some(grants) => {
                if let Err(flaw) = grants.check() {
                    self.flaw(grants.place, format!("`grants` of step `{id}`: {flaw}"));
                }
            }
            None => {}
        }
        if self.flaws.len() > before {
            return None;
        }
        let (uses, with) = (uses?, with?);
        let mut named = with.references().steps;
        let is_dynamic = !named.is_empty();
        if let Some(condition) = &condition {
            named.extend(condition.references().steps.iter().cloned());
        }
        Some((
            CompiledStep {
                id: id.to_owned(),
                place: step.id.place,
                uses,
                with,
                is_dynamic,
                condition,
                retry,
                timeout: step.timeout.as_ref().map(|timeout| timeout.0),
                approval: step.approval.clone(),
                compensate: step.compensate,
                grants: step.trust.map(|Trust::None| {
                    let named = step.grants.as_ref();
                    named.map(|grants| grants.value.clone()).unwrap_or_default()
                }),
            },
            named,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_steps(steps: &str) -> String {
        format!("name: x\ninputs:\n  size: {{ type: integer, default: 3 }}\nsteps:\n{steps}")
    }

    #[test]
    fn needs_are_those_written_and_those_implied() {
        let text = with_steps(
            "  - id: c
    uses: command
    with: { x: '${{ steps.b.outputs.y }}' }
    if: steps.a.outputs.exit == 0
  - id: b
    uses: command@0.1.0
    needs: [a]
  - id: a
    uses: migrate/plan
    if: ${{ inputs.size > 2 }}
",
        );
        let workflow = CompiledWorkflow::new("w", &text).unwrap_or_else(|e| panic!("{e}"));
        let needs: Vec<Vec<usize>> = (0..3).map(|i| workflow.graph.needs(i).to_vec()).collect();
        assert_eq!(needs, [vec![1, 2], vec![2], vec![]]);
        assert_eq!(workflow.steps[1].uses.version.as_deref(), Some("0.1.0"));
        assert_eq!(workflow.steps[2].uses.id, "migrate/plan");
    }

    #[test]
    fn every_flaw_is_found_with_its_place() {
        let cases: [(&str, &[&str]); 17] = [
            (
                "  - { id: a, uses: c, needs: [b] }\n  - { id: b, uses: c, needs: [a] }\n",
                &["in a circle", "a needs b needs a"],
            ),
            ("  - { id: a, uses: c, needs: [a] }\n", &["a needs a"]),
            (
                "  - { id: a, uses: c, with: { x: '${{ steps.a.outputs.y }}' } }\n",
                &["a needs a"],
            ),
            (
                "  - { id: build, uses: c }\n  - { id: b, uses: c, needs: [biuld] }\n",
                &["w:6:", "did you mean `build`"],
            ),
            (
                "  - { id: a, uses: c }\n  - { id: a, uses: c }\n",
                &["w:6:", "two steps `a`"],
            ),
            ("  - { id: A, uses: c }\n", &["lower-case"]),
            ("  - { id: a, uses: 'c@' }\n", &["w:5:", "`c@`"]),
            (
                "  - { id: a, uses: c, with: [1] }\n",
                &["must be a mapping"],
            ),
            (
                "  - { id: a, uses: c, if: 'inputs.siz' }\n  - { id: b, uses: c, with: { x: '${{ steps.z.outputs }}' } }\n",
                &[
                    "w:5:",
                    "did you mean `size`",
                    "w:6:",
                    "at .x",
                    "no step `z`",
                ],
            ),
            (
                "  - { id: a, uses: c, retry: { attempts: 0 } }\n",
                &["attempts"],
            ),
            ("  - { id: a, uses: c, timeout: 0s }\n", &["is zero"]),
            (
                "  - { id: a, uses: c, grants: { secrets: { names: [x] } } }\n",
                &["w:5:", "count only with `trust: none`"],
            ),
            (
                "  - { id: a, uses: c, trust: some }\n",
                &["`some` is not known here", "none"],
            ),
            (
                "  - { id: a, uses: c, trust: none, grants: { tools: {} } }\n",
                &["unknown key `tools`", "did you mean `tool`"],
            ),
            (
                "  - { id: a, uses: c, trust: none, grants: { tool: { sh: { arguments: ['('] } } } }\n",
                &["w:5:", "`tool.sh`: `(` is not a pattern"],
            ),
            (
                "  - { id: a, uses: c, trust: none, grants: { http: { hosts: ['*'] } } }\n",
                &["w:5:", "`http`: `hosts` has `*`"],
            ),
            (
                "  - { id: a, uses: c }\noutputs: { x: '${{ steps.b.outputs }}' }\n",
                &["output `x`", "no step `b`"],
            ),
        ];
        for (steps, parts) in cases {
            let error = CompiledWorkflow::new("w", &with_steps(steps))
                .expect_err(steps)
                .to_string();
            for part in parts {
                assert!(error.contains(part), "{steps}\n{error}\nlacks {part}");
            }
        }
    }

    #[test]
    fn a_step_is_trusted_unless_it_says_otherwise() {
        let text = with_steps(
            "  - { id: a, uses: c }
  - { id: b, uses: c, trust: none }
  - id: d
    uses: c
    trust: none
    grants:
      tool: { sh: {}, qemu: { arguments: ['-m'], timeout: 10s, network: false } }
      secrets: { names: [db] }
      http: { hosts: [a.test], methods: [GET] }
",
        );
        let workflow = CompiledWorkflow::new("w", &text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(workflow.steps[0].grants, None);
        assert_eq!(workflow.steps[1].grants, Some(StepGrants::default()));
        let named = workflow.steps[2].grants.as_ref().unwrap();
        assert_eq!(named.tool.keys().collect::<Vec<_>>(), ["qemu", "sh"]);
        assert_eq!(named.http.as_ref().unwrap().hosts, ["a.test"]);
        assert!(named.secrets.is_some());
    }

    #[test]
    fn inputs_are_checked_too() {
        for (input, part) in [
            ("size: { type: integer, default: x }", "not of type integer"),
            (
                "size: { type: integer, default: '3' }",
                "not of type integer",
            ),
            (
                "size: { type: integer, default: 1, required: true }",
                "keep one",
            ),
            ("size: { type: file, default: /x }", "files have no default"),
            ("9size: { type: string }", "must begin with a letter"),
        ] {
            let text = format!("name: x\ninputs: {{ {input} }}\nsteps: [{{ id: a, uses: c }}]\n");
            let error = CompiledWorkflow::new("w", &text)
                .expect_err(input)
                .to_string();
            assert!(error.contains(part), "{input}: {error}");
        }
        assert!(CompiledWorkflow::new("w", "name: x\nsteps: []\n").is_err());
    }
}
