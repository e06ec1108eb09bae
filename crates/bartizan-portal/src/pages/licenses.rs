//! Licenses: seats, groups that have a plan, and a person's own.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{EnrollmentRule, Licensee, Plan, StoreError};

use super::feeds::DoneQuery;
use super::people::one;
use super::{html, shell, user_groups, users};
use crate::console::LicensesPage;
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

type Pairs = Vec<(String, String)>;

/// `GET /licenses`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = (query.done == "saved").then(|| "Saved.".to_owned());
    html(&show(&state, session, notice, None).await?)
}

/// `POST /licenses/seats`.
pub(crate) async fn seats(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let plan = Plan::from_word(one(&pairs, "plan"));
    let seats = one(&pairs, "seats").trim().parse::<u32>().ok().filter(|seats| *seats <= MOST);
    let Some((plan, seats)) = plan.zip(seats) else {
        let problem = format!("Seats are a number up to {MOST}.");
        return again(&state, session, problem).await;
    };
    state.store.set_seats(session.scope, plan, seats, state.clock.now()).await?;
    Ok(saved())
}

/// `POST /licenses/enforced`.
pub(crate) async fn enforce(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let licenses_enforced = match one(&pairs, "enforced") {
        "yes" => true,
        "no" => false,
        _ => return again(&state, session, "Choose whether licenses are enforced.".into()).await,
    };
    let before = state.store.enrollment_rule(session.scope).await?;
    let rule = EnrollmentRule { licenses_enforced, ..before };
    state.store.set_enrollment_rule(session.scope, rule, state.clock.now()).await?;
    Ok(saved())
}

/// `POST /user-groups/{id}/license`.
pub(crate) async fn of_group(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let id = user_groups::parse(&id)?;
    state.store.person_group(session.scope, id).await?;
    assign(&state, &session, Licensee::Group(id), &pairs).await?;
    Ok(Redirect::to(&format!("/user-groups/{id}?done=saved")).into_response())
}

/// `POST /users/{id}/license`.
pub(crate) async fn of_user(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let id = users::parse(&id)?;
    state.store.person(session.scope, id).await?;
    assign(&state, &session, Licensee::Person(id), &pairs).await?;
    Ok(Redirect::to(&format!("/users/{id}?done=saved")).into_response())
}

/// Gives the plan that is chosen, and takes the other away.
async fn assign(
    state: &AppState,
    session: &Session,
    licensee: Licensee,
    pairs: &[(String, String)],
) -> Result<(), ApiError> {
    let word = one(pairs, "plan");
    let chosen = Plan::from_word(word);
    if chosen.is_none() && word != "none" {
        return Err(ApiError::malformed("neither a plan nor none"));
    }
    let now = state.clock.now();
    for plan in Plan::ALL {
        let is_given = chosen == Some(plan);
        state.store.assign_license(session.scope, plan, licensee, is_given, now).await?;
    }
    Ok(())
}

async fn again(state: &AppState, session: Session, problem: String) -> Result<Response, ApiError> {
    let page = show(state, session, None, Some(problem)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

async fn show(
    state: &AppState,
    session: Session,
    notice: Option<String>,
    problem: Option<String>,
) -> Result<LicensesPage, StoreError> {
    let scope = session.scope;
    Ok(LicensesPage {
        plans: state.store.license_use(scope).await?,
        groups: state.store.licensed_groups(scope).await?,
        is_enforced: state.store.enrollment_rule(scope).await?.licenses_enforced,
        shell: shell(session, notice),
        problem,
    })
}

fn saved() -> Response {
    Redirect::to("/licenses?done=saved").into_response()
}

/// More than there are people.
const MOST: u32 = 1_000_000_000;
