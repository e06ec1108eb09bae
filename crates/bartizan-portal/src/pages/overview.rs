//! The tenant at a glance.

use axum::extract::State;
use axum::response::Response;

use super::{html, shell};
use crate::console::OverviewPage;
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;
use crate::tallies;

/// `GET /overview`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
) -> Result<Response, ApiError> {
    let scope = session.scope;
    let file = state.store.newest_indicator_file(scope).await?;
    html(&OverviewPage {
        tally: tallies::of(&state, session.sight).await?,
        stopped: tallies::stopped_hosts(&state, session.sight).await?,
        seats: tallies::seats(&state, scope).await?,
        unresolved: tallies::unresolved(&state, session.sight).await?,
        indicators: file.map(|file| (file.entries, file.built_at)),
        notices: u64::try_from(state.store.notices(scope).await?.len()).unwrap_or(u64::MAX),
        now: state.clock.now(),
        shell: shell(session, None),
    })
}
