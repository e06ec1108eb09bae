//! What is shown instead of a page.

use std::borrow::Cow;

use askama::Template;

use super::Icon;

/// A title, a sentence and ways out. Says nothing of what went on inside.
#[derive(Template)]
#[template(path = "console/error_page.html")]
pub(crate) struct ErrorPage {
    status: u16,
    title: &'static str,
    sentence: Cow<'static, str>,
    icon: &'static str,
}

impl ErrorPage {
    /// 404: also for what belongs to somebody else.
    pub(crate) fn not_found() -> Self {
        Self {
            status: 404,
            title: "Page not found",
            sentence: "There is nothing at this address. It may have been removed, or the link may be incomplete.".into(),
            icon: "search",
        }
    }

    /// 403: signed in, but not allowed.
    pub(crate) fn forbidden() -> Self {
        Self {
            status: 403,
            title: "Not allowed",
            sentence: "Your account may not do this, or the form was sent from another site. Go back and try again, or ask an administrator.".into(),
            icon: "lock",
        }
    }

    /// 403: signed in, but none of their roles lets them.
    pub(crate) fn lacking(detail: &str) -> Self {
        Self {
            sentence: format!(
                "This is not possible: {detail}. An administrator can give you a role that has it."
            )
            .into(),
            ..Self::forbidden()
        }
    }

    /// 503: busy or starting.
    pub(crate) fn unavailable() -> Self {
        Self {
            status: 503,
            title: "Not available right now",
            sentence: "The portal is busy or just starting. Try again in a moment.".into(),
            icon: "clock",
        }
    }
}
