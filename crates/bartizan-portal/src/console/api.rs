//! What programs may call, for people to read: `GET /api/v1/`. For everybody, so nothing of an organization is in it.

use askama::Template;

/// The page.
#[derive(Template)]
#[template(path = "console/api.html")]
pub(crate) struct ApiPage {
    /// By what they are about.
    pub(crate) groups: Vec<ApiGroup>,
    /// What bodies and answers are made of.
    pub(crate) objects: Vec<ApiObject>,
    /// Where the same is for programs.
    pub(crate) document: &'static str,
    /// Where access tokens are given out.
    pub(crate) token: &'static str,
}

/// Calls about one kind of thing.
pub(crate) struct ApiGroup {
    pub(crate) name: String,
    pub(crate) calls: Vec<ApiCall>,
}

/// Something that can be called.
pub(crate) struct ApiCall {
    pub(crate) id: &'static str,
    pub(crate) method: String,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    /// The permission that it takes, as scopes spell it.
    pub(crate) scope: &'static str,
    pub(crate) parameters: Vec<ApiField>,
    /// What the body is.
    pub(crate) body: Option<ApiField>,
    /// The status of success, and the name of what comes with it.
    pub(crate) answer: (u16, Option<&'static str>),
    /// The statuses of failure, with what each means.
    pub(crate) refusals: Vec<(u16, &'static str)>,
    pub(crate) curl: String,
}

/// An object.
pub(crate) struct ApiObject {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) fields: Vec<ApiField>,
}

/// A parameter, or a member of an object.
pub(crate) struct ApiField {
    pub(crate) name: String,
    /// Where it stands, or whether it may be absent.
    pub(crate) place: &'static str,
    pub(crate) words: String,
    /// An object that it names.
    pub(crate) object: Option<&'static str>,
    pub(crate) about: &'static str,
}
