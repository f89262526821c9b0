//! `cofferdam:tool/tool`: programs that the operator granted.
//!
//! The form of a request is checked here, so that no service sees a name that is a path or
//! a list without end; whether the grant covers it is for the service to say.

use crate::arguments;
use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::tool::tool;
use cofferdam_contract::services::Tools;
use cofferdam_contract::types::{Error, ErrorCode, ToolArgument, ToolOutcome, ToolRequest};

capability!(
    ToolCapability,
    "cofferdam:tool/tool@0.1.0",
    cofferdam_contract::bindings::cofferdam::tool::tool
);

/// The most arguments of one program.
const MOST_ARGUMENTS: usize = 256;

/// The most bytes of one argument, and of all together.
const MOST_ARGUMENT: usize = 32 << 10;
const MOST_OF_ARGUMENTS: usize = 128 << 10;

/// The longest template around an artifact's path, and the longest reference.
const MOST_TEMPLATE: usize = 4 << 10;
const MOST_REFERENCE: usize = 256;

/// The most expressions that stop a program, and the longest.
const MOST_EXPRESSIONS: usize = 16;
const MOST_EXPRESSION: usize = 1 << 10;

/// The longest time that a program may be given, milliseconds.
const MOST_TIME: u32 = 3_600_000;

/// The longest path within a step's working folder.
const MOST_PATH: usize = 1 << 10;

fn too_much(what: &str, found: usize, most: usize, unit: &str) -> Error {
    Error::new(
        ErrorCode::Limit,
        format!("{what} of {found} {unit}, where at most {most} are allowed"),
    )
}

fn bounded(what: &str, text: &str, most: usize) -> Result<(), Error> {
    if text.len() > most {
        return Err(too_much(what, text.len(), most, "bytes"));
    }
    if text.contains('\0') {
        return Err(Error::invalid(format!("{what} has a NUL character")));
    }
    Ok(())
}

fn check_argument(argument: &ToolArgument) -> Result<usize, Error> {
    match argument {
        ToolArgument::Text(text) => {
            bounded("an argument", text, MOST_ARGUMENT)?;
            Ok(text.len())
        }
        ToolArgument::Artifact(artifact) => {
            bounded("an artifact's template", &artifact.template, MOST_TEMPLATE)?;
            bounded(
                "an artifact's reference",
                &artifact.reference,
                MOST_REFERENCE,
            )?;
            if artifact.template.matches("{}").count() != 1 {
                return Err(Error::invalid(format!(
                    "the template {:?} does not have `{{}}` exactly once",
                    artifact.template
                )));
            }
            Ok(artifact.template.len().saturating_add(MOST_REFERENCE))
        }
    }
}

fn check_request(request: &ToolRequest) -> Result<(), Error> {
    arguments::name("the operation's name", &request.operation, 64, false)?;
    arguments::name("the program's name", &request.program, 64, false)?;
    let count = request.arguments.len();
    if count > MOST_ARGUMENTS {
        return Err(too_much("a list", count, MOST_ARGUMENTS, "arguments"));
    }
    let mut bytes: usize = 0;
    for argument in &request.arguments {
        bytes = bytes.saturating_add(check_argument(argument)?);
    }
    if bytes > MOST_OF_ARGUMENTS {
        return Err(too_much("arguments", bytes, MOST_OF_ARGUMENTS, "bytes"));
    }
    let count = request.stop_when.len();
    if count > MOST_EXPRESSIONS {
        return Err(too_much("a list", count, MOST_EXPRESSIONS, "expressions"));
    }
    for expression in &request.stop_when {
        bounded("an expression", expression, MOST_EXPRESSION)?;
    }
    if request.timeout_ms == 0 || request.timeout_ms > MOST_TIME {
        return Err(Error::invalid(format!(
            "a time limit of {} ms, which is not between 1 and {MOST_TIME}",
            request.timeout_ms
        )));
    }
    Ok(())
}

fn check_file(file: &str) -> Result<(), Error> {
    bounded("the path", file, MOST_PATH)?;
    let wrong = file
        .split('/')
        .find_map(|name| arguments::check_name(name).err());
    wrong.map_or(Ok(()), |wrong| {
        Err(Error::invalid(format!("the path {file:?} {wrong}"))
            .with_hint("paths are relative to the step's working folder"))
    })
}

impl tool::Host for Host<'_> {
    async fn run(&mut self, request: ToolRequest) -> wasmtime::Result<Result<ToolOutcome, Error>> {
        let tools = self.service::<dyn Tools>()?;
        if let Err(error) = check_request(&request) {
            return Ok(Err(error));
        }
        Ok(tools.run(request).await)
    }

    async fn keep(
        &mut self,
        file: String,
        name: String,
    ) -> wasmtime::Result<Result<String, Error>> {
        let tools = self.service::<dyn Tools>()?;
        let checked = check_file(&file)
            .and_then(|()| arguments::name("the artifact's name", &name, 64, true));
        if let Err(error) = checked {
            return Ok(Err(error));
        }
        Ok(tools.keep(&file, &name).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_contract::types::ArtifactArgument;

    fn request() -> ToolRequest {
        ToolRequest {
            operation: "boot".to_owned(),
            program: "qemu".to_owned(),
            arguments: vec![
                ToolArgument::Text("-m".to_owned()),
                ToolArgument::Artifact(ArtifactArgument {
                    reference: "artifact:inputs/disk".to_owned(),
                    template: "file={},if=virtio".to_owned(),
                    writable: false,
                }),
            ],
            stop_when: vec!["login:".to_owned()],
            timeout_ms: MOST_TIME,
        }
    }

    fn artifact(template: &str) -> ToolArgument {
        ToolArgument::Artifact(ArtifactArgument {
            reference: "artifact:a/b".to_owned(),
            template: template.to_owned(),
            writable: false,
        })
    }

    #[test]
    fn requests_have_the_form_of_the_contract() {
        assert_eq!(check_request(&request()), Ok(()));
        let with = |change: &dyn Fn(&mut ToolRequest)| {
            let mut request = request();
            change(&mut request);
            check_request(&request).unwrap_err()
        };
        let text = |bytes: usize| ToolArgument::Text("a".repeat(bytes));
        let cases: Vec<(Error, ErrorCode, &str)> = vec![
            (
                with(&|r| r.operation.clear()),
                ErrorCode::Invalid,
                "operation",
            ),
            (
                with(&|r| "../boot".clone_into(&mut r.operation)),
                ErrorCode::Invalid,
                "operation",
            ),
            (
                with(&|r| "/bin/sh".clone_into(&mut r.program)),
                ErrorCode::Invalid,
                "program",
            ),
            (
                with(&|r| r.arguments = vec![text(0); 257]),
                ErrorCode::Limit,
                "257 arguments",
            ),
            (
                with(&|r| r.arguments = vec![text((32 << 10) + 1)]),
                ErrorCode::Limit,
                "an argument",
            ),
            (
                with(&|r| r.arguments = vec![text(32 << 10); 5]),
                ErrorCode::Limit,
                "arguments of",
            ),
            (
                with(&|r| r.arguments = vec![ToolArgument::Text("a\0b".to_owned())]),
                ErrorCode::Invalid,
                "NUL",
            ),
            (
                with(&|r| r.arguments = vec![artifact("file=")]),
                ErrorCode::Invalid,
                "exactly once",
            ),
            (
                with(&|r| r.arguments = vec![artifact("{}{}")]),
                ErrorCode::Invalid,
                "exactly once",
            ),
            (
                with(&|r| r.stop_when = vec![String::new(); 17]),
                ErrorCode::Limit,
                "17 expressions",
            ),
            (
                with(&|r| r.stop_when = vec!["a".repeat(1025)]),
                ErrorCode::Limit,
                "an expression",
            ),
            (with(&|r| r.timeout_ms = 0), ErrorCode::Invalid, "0 ms"),
            (
                with(&|r| r.timeout_ms = MOST_TIME + 1),
                ErrorCode::Invalid,
                "3600001 ms",
            ),
        ];
        for (error, code, expected) in cases {
            assert_eq!(error.code, code, "{error:?}");
            assert!(error.message.contains(expected), "{error:?}");
        }
    }

    #[test]
    fn kept_files_lie_below_the_working_folder() {
        for good in ["a", "a/b.log", "...", "a b"] {
            assert_eq!(check_file(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            "a//b",
            "a/",
            ".",
            "a\0",
        ] {
            assert_eq!(
                check_file(bad).unwrap_err().code,
                ErrorCode::Invalid,
                "{bad:?}"
            );
        }
    }
}
