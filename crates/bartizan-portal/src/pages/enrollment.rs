//! Enrollment: codes for users, the organization's rules, and who could not enroll.

use std::time::Duration;

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_contract::enroll::{CODE_LENGTH, EnrollmentLink};
use bartizan_contract::keys::Jwk;
use bartizan_model::UnixMillis;
use bartizan_store::{EnrollmentRule, OsVersion, StoreError, WithoutUser};
use ed25519_dalek::SigningKey;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::feeds::DoneQuery;
use super::people::one;
use super::{PAGE_AND_ONE, html, shell};
use crate::api::enroll::code_hash;
use crate::console::{EnrollPage, EnrollmentPage, GivenCode};
use crate::draw::{GROUP, random_groups};
use crate::error::ApiError;
use crate::later;
use crate::request::host;
use crate::session::Session;
use crate::state::AppState;

type Pairs = Vec<(String, String)>;

/// `GET /enroll`: what a QR picture leads to, for whoever opens it in a browser. The code stands after `#` and does not
/// reach the portal.
pub(crate) async fn landing() -> Result<Response, ApiError> {
    html(&EnrollPage)
}

/// `GET /enrollment`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = (query.done == "saved").then(|| "Saved.".to_owned());
    html(&show(&state, session, notice, None, None).await?)
}

/// `POST /enrollment/codes`: shows the code and its picture, once.
pub(crate) async fn code(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    uri: Uri,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let (scope, now) = (session.scope, state.clock.now());
    let name = one(&pairs, "user").trim().to_owned();
    let owner = if name.is_empty() {
        if one(&pairs, "shared") != "yes" {
            let problem = "Name a user, or say that the device belongs to nobody.".into();
            return again(&state, session, ("user", problem)).await;
        }
        None
    } else {
        match state.store.person_named(scope, name.clone()).await {
            Ok(person) => Some(person.id),
            Err(StoreError::NotFound { .. }) => {
                let problem = "There is no user with this name or address.".into();
                return again(&state, session, ("user", problem)).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let code = random_groups(CODE_LENGTH / GROUP).map_err(|error| ApiError::internal(&error))?;
    let expires_at = later(now, CODE_LIFETIME);
    state.store.create_enrollment_code(scope, owner, code_hash(&code), expires_at, now).await?;
    let row = state.store.tenant_row(scope).await?;
    let key = SigningKey::from_bytes(&row.signing_key.0).verifying_key();
    let scheme = if state.secure_cookies { "https" } else { "http" };
    let portal = format!("{scheme}://{}", host(&headers, &uri).unwrap_or("localhost"));
    let link = EnrollmentLink::new(portal, code.clone(), &Jwk::from_portal_key(&key)).to_string();
    let picture = picture(&link)?;
    let given = GivenCode { user: name, code, link, picture, expires_at };
    html(&show(&state, session, None, Some(given), None).await?)
}

/// `POST /enrollment/rules`.
pub(crate) async fn rules(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let before = state.store.enrollment_rule(session.scope).await?;
    match read(&pairs, &before) {
        Ok(rule) if rule.attestation_required && state.attestation.is_none() => {
            let problem = "This portal accepts the attestation of no app, so that no device could enroll: it needs the \
                           setting attestation-app-ids.";
            again(&state, session, ("rules", problem.into())).await
        }
        Ok(rule) => {
            state.store.set_enrollment_rule(session.scope, rule, state.clock.now()).await?;
            Ok(Redirect::to("/enrollment?done=saved").into_response())
        }
        Err(problem) => again(&state, session, ("rules", problem.into())).await,
    }
}

fn read(
    pairs: &[(String, String)],
    before: &EnrollmentRule,
) -> Result<EnrollmentRule, &'static str> {
    let without_user = WithoutUser::from_word(one(pairs, "without_user"));
    let minimum = one(pairs, "minimum_ios");
    let plain = minimum.len() <= 10 && minimum.bytes().all(|octet| b"0123456789.".contains(&octet));
    let minimum_ios = OsVersion::parse(minimum).filter(|_| plain);
    let from = one(pairs, "minimum_from").parse::<Date>().ok().and_then(|date| {
        let at = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
        u64::try_from(at).ok().map(UnixMillis)
    });
    let days = one(pairs, "sign_in_days").parse::<u32>().ok().filter(|days| *days <= 3_650);
    Ok(EnrollmentRule {
        allow_token: one(pairs, "allow_token") == "yes",
        allow_code: one(pairs, "allow_code") == "yes",
        without_user: without_user.ok_or("Choose what happens to devices without a user.")?,
        minimum_ios: minimum_ios.ok_or("The oldest system is a version such as 16.0.")?,
        minimum_from: from.ok_or("The day is a date such as 2025-01-31.")?,
        sign_in_days: days.ok_or("Days are a number from 0 to 3650.")?,
        attestation_required: one(pairs, "attestation_required") == "yes",
        ..before.clone()
    })
}

async fn again(
    state: &AppState,
    session: Session,
    problem: (&'static str, String),
) -> Result<Response, ApiError> {
    let page = show(state, session, None, None, Some(problem)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

async fn show(
    state: &AppState,
    session: Session,
    notice: Option<String>,
    given: Option<GivenCode>,
    problem: Option<(&'static str, String)>,
) -> Result<EnrollmentPage, ApiError> {
    Ok(EnrollmentPage {
        rule: state.store.enrollment_rule(session.scope).await?,
        refusals: state.store.refusals(session.scope, PAGE_AND_ONE).await?,
        shell: shell(session, notice),
        given,
        problem,
        now: state.clock.now(),
    })
}

/// A QR picture as SVG, black on white whatever the theme: cameras want that.
fn picture(text: &str) -> Result<String, ApiError> {
    let code = qrcode::QrCode::new(text).map_err(|error| ApiError::internal(&error))?;
    let side = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == qrcode::Color::Dark {
            path.push_str(&format!("M{} {}h1v1h-1z", at % side + 4, at / side + 4));
        }
    }
    let whole = side + 8;
    Ok(format!(
        "<svg viewBox=\"0 0 {whole} {whole}\" width=\"232\" height=\"232\" role=\"img\" \
         aria-label=\"QR picture of the link\"><path fill=\"#fff\" d=\"M0 0h{whole}v{whole}H0z\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

/// A day: long enough to be sent, short enough to be forgotten.
const CODE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_square_and_says_nothing_of_the_outside() {
        let picture = picture("https://portal.example/enroll#ABCDE-FGHJK.AAAA").unwrap();
        assert!(picture.starts_with("<svg viewBox=") && picture.ends_with("</svg>"));
        assert!(!picture.contains("portal.example") && !picture.contains("style"));
    }

    #[test]
    fn rules_are_read_from_their_form() {
        let pairs = |changes: &[(&str, &str)]| -> Pairs {
            let usual = [
                ("allow_code", "yes"),
                ("without_user", "allowed"),
                ("minimum_ios", "17.2"),
                ("minimum_from", "2027-02-01"),
                ("sign_in_days", "90"),
            ];
            let all = changes.iter().chain(&usual);
            all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let rule = read(&pairs(&[]), &EnrollmentRule::default()).unwrap();
        assert_eq!((rule.allow_token, rule.allow_code, rule.sign_in_days), (false, true, 90));
        assert_eq!((rule.minimum_ios, rule.without_user), (OsVersion(17, 2), WithoutUser::Allowed));
        for unfit in [
            ("without_user", "x"),
            ("minimum_ios", "new"),
            ("minimum_from", "soon"),
            ("sign_in_days", "-1"),
        ] {
            assert!(read(&pairs(&[unfit]), &EnrollmentRule::default()).is_err(), "{unfit:?}");
        }
    }
}
