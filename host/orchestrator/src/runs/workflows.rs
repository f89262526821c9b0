//! Workflows by name: those saved in a project, and those that are part of the program.

use super::Runs;
use super::engine::workflow_digest;
use super::error::RunError;
use super::nearest::did_you_mean;
use super::request::{WorkflowInfo, WorkflowSource};
use super::workflow::{CompiledWorkflow, WorkflowError};
use crate::identity::{Actor, project_name};
use cofferdam_store::{Role, SavedWorkflow, StoreError};
use serde_json::json;

impl From<SavedWorkflow> for WorkflowInfo {
    fn from(saved: SavedWorkflow) -> Self {
        Self {
            name: saved.name,
            source: saved.source,
            digest: saved.digest,
            created: Some(saved.created),
            actor: Some(saved.actor),
        }
    }
}

impl Runs {
    fn built_in(&self) -> impl Iterator<Item = WorkflowInfo> + '_ {
        self.engine.built_in.iter().map(|workflow| WorkflowInfo {
            name: workflow.name.to_owned(),
            source: workflow.source.to_owned(),
            digest: workflow_digest(workflow.source),
            created: None,
            actor: None,
        })
    }

    /// The workflows that can be started by name in a project, by name.
    ///
    /// # Errors
    /// [`RunError::Identity`] for what is no name of a project, [`RunError::Store`].
    pub fn workflows(&self, project: &str) -> Result<Vec<WorkflowInfo>, RunError> {
        project_name(project)?;
        let saved = self.engine.store.workflows(Some(&[project.to_owned()]))?;
        let mut all: Vec<WorkflowInfo> = self
            .built_in()
            .chain(saved.into_iter().map(WorkflowInfo::from))
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`RunError::NoWorkflow`], [`RunError::Identity`] for what is no name of a project,
    /// [`RunError::Store`].
    pub fn workflow(&self, project: &str, name: &str) -> Result<WorkflowInfo, RunError> {
        project_name(project)?;
        if let Some(workflow) = self.built_in().find(|workflow| workflow.name == name) {
            return Ok(workflow);
        }
        match self.engine.store.workflow(project, name) {
            Ok(saved) => Ok(saved.into()),
            Err(StoreError::NotFound { .. }) => {
                let known = self.workflows(project)?;
                Err(RunError::NoWorkflow {
                    name: name.to_owned(),
                    hint: did_you_mean(name, known.iter().map(|workflow| workflow.name.as_str())),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Saves a workflow under its own name, in place of one of that name. For who may
    /// deploy.
    ///
    /// # Errors
    /// [`RunError::Workflow`], [`RunError::BuiltInWorkflow`], [`RunError::Identity`],
    /// [`RunError::Store`].
    pub async fn save_workflow(
        &self,
        actor: &Actor,
        project: &str,
        source: &str,
    ) -> Result<WorkflowInfo, RunError> {
        project_name(project)?;
        self.engine.identity.require(actor, project, Role::Deploy)?;
        let digest = workflow_digest(source);
        let workflow = self.engine.compiled(GIVEN, source, &digest)?;
        let name = workflow.file.name.value.clone();
        if self.built_in().any(|workflow| workflow.name == name) {
            return Err(RunError::BuiltInWorkflow(name));
        }
        let audit = actor.audit(
            "workflow.save",
            &name,
            Some(project),
            json!({ "digest": digest }),
        );
        let (project, source) = (project.to_owned(), source.to_owned());
        self.blocking(move |engine| {
            Ok(engine
                .store
                .save_workflow(&project, &name, &source, &audit)?
                .into())
        })
        .await
    }

    /// Removes a saved workflow; runs of it go on. For who may deploy.
    ///
    /// # Errors
    /// [`RunError::BuiltInWorkflow`], [`RunError::Identity`], [`RunError::Store`].
    pub async fn remove_workflow(
        &self,
        actor: &Actor,
        project: &str,
        name: &str,
    ) -> Result<(), RunError> {
        project_name(project)?;
        self.engine.identity.require(actor, project, Role::Deploy)?;
        if self.built_in().any(|workflow| workflow.name == name) {
            return Err(RunError::BuiltInWorkflow(name.to_owned()));
        }
        let audit = actor.audit("workflow.remove", name, Some(project), json!({}));
        let (project, name) = (project.to_owned(), name.to_owned());
        self.blocking(move |engine| Ok(engine.store.remove_workflow(&project, &name, &audit)?))
            .await
    }

    /// The text that is meant, and what errors call it.
    pub(super) fn source(
        &self,
        project: &str,
        workflow: &WorkflowSource,
    ) -> Result<(String, String), RunError> {
        match workflow {
            WorkflowSource::Named(name) => {
                let found = self.workflow(project, name)?;
                Ok((found.name, found.source))
            }
            WorkflowSource::Text(text) => Ok((GIVEN.to_owned(), text.clone())),
        }
    }
}

/// What errors call a workflow that was given as a text.
const GIVEN: &str = "workflow";

/// Reads and checks a workflow's text without a host: expressions, names and circles, but
/// not its plugins. `name` is what errors call it.
///
/// # Errors
/// All that is wrong, each with its place.
pub fn check_workflow(name: &str, text: &str) -> Result<(), WorkflowError> {
    CompiledWorkflow::new(name, text).map(|_| ())
}
