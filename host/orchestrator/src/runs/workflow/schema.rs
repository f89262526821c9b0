//! The published JSON Schema of a workflow file, made from its records.

use super::file::WorkflowFile;
use schemars::generate::SchemaSettings;

/// The JSON Schema (draft 2020-12) of a workflow file, as `docs/workflow.schema.json`
/// holds it.
pub fn workflow_schema() -> String {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<WorkflowFile>();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Set to write the file instead of comparing it.
    const UPDATE: &str = "COFFERDAM_UPDATE_DOCS";

    #[test]
    fn the_published_schema_is_the_one_that_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/workflow.schema.json");
        let schema = workflow_schema();
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &schema).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == schema,
            "docs/workflow.schema.json is not what the code reads; run this test with {UPDATE}=1 and commit the file"
        );
    }
}
