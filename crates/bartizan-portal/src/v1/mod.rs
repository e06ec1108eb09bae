//! What the organization's own programs call: `/oauth2/token` and `/api/v1`.
//!
//! A program is an application (`bartizan_store::ApplicationRow`). It proves itself with a secret or a signed assertion
//! (`assertion`), is given a token for ten minutes (`token`), and shows it with every request (`access`).
//!
//! What can be called are rows (`operation`), in `resources` by what they are about. Routes and checks (`serve`), the
//! `OpenAPI` document (`document`) and the page that shows it (`explorer`) are made from the rows, so none says what
//! another does not.

pub(crate) mod access;
mod assertion;
mod document;
mod explorer;
pub(crate) mod intake;
mod operation;
pub(crate) mod public_key;
pub(crate) mod rate;
mod resources;
mod schema;
mod serve;
pub(crate) mod token;

use axum::Router;
use bartizan_store::Permission;

use crate::state::AppState;
use operation::{Operation, Verb};

pub(crate) use document::{PATH as DOCUMENT, document};
pub(crate) use explorer::explorer;
pub(crate) use resources::devices::version as device_version;

/// Where all of it stands but the tokens.
pub(crate) const BASE: &str = "/api/v1";
/// A page that shows it to people.
pub(crate) const EXPLORER: &str = "/api/v1/";

/// All rows, as the document has them.
fn operations() -> impl Iterator<Item = &'static Operation> {
    [
        resources::me::OPERATIONS,
        resources::alerts::OPERATIONS,
        resources::incidents::OPERATIONS,
        resources::devices::OPERATIONS,
        resources::groups::OPERATIONS,
        resources::policies::OPERATIONS,
        resources::policy_files::OPERATIONS,
        resources::indicators::OPERATIONS,
        resources::feeds::OPERATIONS,
        resources::audit::OPERATIONS,
        intake::OPERATIONS,
    ]
    .into_iter()
    .flatten()
}

/// Yields method, pattern and permission of each.
pub(crate) fn rows() -> impl Iterator<Item = (&'static axum::http::Method, &'static str, Permission)>
{
    operations().map(|operation| (operation.verb.method(), operation.path, operation.permission))
}

/// Adds the routes.
pub(crate) fn add(router: Router<AppState>) -> Router<AppState> {
    operations()
        .fold(router, |router, operation| router.route(operation.path, serve::route(operation)))
}

impl Verb {
    fn method(self) -> &'static axum::http::Method {
        use axum::http::Method;
        match self {
            Self::Get => &Method::GET,
            Self::Post => &Method::POST,
            Self::Put => &Method::PUT,
            Self::Patch => &Method::PATCH,
            Self::Delete => &Method::DELETE,
        }
    }
}
