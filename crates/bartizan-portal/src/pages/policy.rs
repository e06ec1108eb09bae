//! What is decided for the devices.

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_contract::problem::code;
use bartizan_model::{BadPolicy, DnsPolicy, DnsUpstreamError, Mode, Policy, WebProtection};

use super::feeds::DoneQuery;
use super::{accepts_html, html, shell};
use crate::console::{PolicyForm, PolicyPage};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// `GET /policy`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "saved" => Some("Saved. Devices follow from their next check-in on.".to_owned()),
        "same" => Some("Nothing was changed.".to_owned()),
        _ => None,
    };
    let policy = state.store.policy(session.scope).await?;
    let form = PolicyForm::of(&policy);
    show(&state, session, policy.version, form, notice, None).await
}

/// `POST /policy`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<PolicyForm>,
) -> Result<Response, ApiError> {
    let before = state.store.policy(session.scope).await?;
    let problem = match wanted(&form, before.version) {
        Ok(same) if same == before => return Ok(Redirect::to("/policy?done=same").into_response()),
        Ok(policy) => {
            state.store.set_policy(session.scope, policy, state.clock.now()).await?;
            return Ok(Redirect::to("/policy?done=saved").into_response());
        }
        Err(problem) => problem,
    };
    let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code::MALFORMED, &problem);
    if !accepts_html(&headers) {
        return Err(error);
    }
    let problem = Some(format!("Nothing was saved: {problem}."));
    let page = show(&state, session, before.version, form, None, problem).await?;
    Ok((error.status, page).into_response())
}

async fn show(
    state: &AppState,
    session: Session,
    version: u64,
    form: PolicyForm,
    notice: Option<String>,
    problem: Option<String>,
) -> Result<Response, ApiError> {
    let devices = state.store.devices_by_policy(session.scope).await?;
    html(&PolicyPage { shell: shell(session, notice), version, form, problem, devices })
}

/// Reads what a form wants; the form says all there is to decide.
fn wanted(form: &PolicyForm, version: u64) -> Result<Policy, String> {
    let policy = Policy {
        version,
        mode: Mode::from_word(&form.mode).ok_or("choose a mode that is offered")?,
        web_protection: WebProtection::from_word(&form.web_protection)
            .ok_or("choose one of what is offered for listed sites")?,
        report_blocked_host: form.report_blocked_host.is_some(),
        checkin_interval_s: number(&form.checkin_interval_s, BadPolicy::CheckinInterval)?,
        warn_pass_hours: number(&form.warn_pass_hours, BadPolicy::WarnPassHours)?,
        dns: DnsPolicy {
            upstream: form
                .dns_upstream
                .trim()
                .parse()
                .map_err(|bad: DnsUpstreamError| bad.to_string())?,
            upstream_fallback: form.dns_fallback.is_some(),
            strip_ech: form.strip_ech.is_some(),
            block_encrypted_dns: form.block_encrypted_dns.is_some(),
            block_private_relay: form.block_private_relay.is_some(),
        },
    };
    policy.check().map_err(|bad| bad.to_string())?;
    Ok(policy)
}

fn number<T: std::str::FromStr>(text: &str, bad: BadPolicy) -> Result<T, String> {
    text.trim().parse().map_err(|_| bad.to_string())
}
