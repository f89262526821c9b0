//! Who may send a component, and how many at a time.
//!
//! **Problem.** A component has tens of megabytes. Reading one before asking who sends it
//! would let everybody who holds some token fill the host's memory.
//!
//! **Design.** The role is asked for before the first byte of the body is read, and a
//! component is only received while one of few places is free; who finds none is told to
//! come back. The place is held until the request is answered.

use crate::auth::Caller;
use crate::problem::{Code, Problem};
use crate::state::ApiState;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cofferdam_orchestrator::identity::EVERY_PROJECT;
use cofferdam_store::Role;

/// When a place is likely to be free again, seconds.
const COME_BACK: u64 = 5;

/// Layer: refuses who may not install plugins, and too many at once.
pub async fn admitted(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    let identity = &state.orchestrator.identity;
    if let Err(error) = identity.require(&caller.0, EVERY_PROJECT, Role::Admin) {
        return Problem::from(error).into_response();
    }
    let Ok(_place) = state.uploads.try_acquire() else {
        return Problem::new(
            Code::Unavailable,
            format!(
                "{} components are being received already",
                state.options.max_uploads
            ),
        )
        .retry_after(COME_BACK)
        .into_response();
    };
    next.run(request).await
}
