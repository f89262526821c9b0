//! The HTTP API: routes, events, OpenAPI.
