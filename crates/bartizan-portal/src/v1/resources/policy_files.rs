//! The files that an MDM takes, made of a policy: as the console gives them.

use axum::http::StatusCode;
use bartizan_store::Permission;

use super::policies::find;
use crate::error::ApiError;
use crate::policy_files::{self, CONFIGURATION, FileError, Kind, MAX_BUNDLE, PROFILE, Wanted};
use crate::v1::operation::{Answer, Call, Operation, Reply, Tagged, Verb};
use crate::v1::schema::{Object, Schema, always, maybe};
use crate::v1::serve::unfit;

static APP_CONFIGURATION: Object = Object {
    name: "AppConfiguration",
    about: "Managed app configuration: what the policy decides, and where the portal was reached. It holds no enrollment token.",
    fields: &[always("file", Schema::File(&[CONFIGURATION]), "XML.")],
};

static CONFIGURATION_PROFILE: Object = Object {
    name: "ConfigurationProfile",
    about: "A profile for iPhones and iPads.",
    fields: &[always(
        "file",
        Schema::File(&[PROFILE]),
        "A property list; in a signature (CMS) if it is signed.",
    )],
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/api/v1/policies/{policy}/app-configuration",
        id: "getAppConfiguration",
        summary: "Get a policy as managed app configuration, with what that of all devices decides below it",
        permission: Permission::ViewData,
        query: &[maybe(
            "form",
            Schema::Word(&["plist", "dict"]),
            "A whole property list, or its dictionary alone; `plist` if it is not said.",
        )],
        body: None,
        answer: (StatusCode::OK, Some(&APP_CONFIGURATION)),
        tagged: Tagged::No,
        handler: |call| Box::pin(app_configuration(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/api/v1/policies/{policy}/profiles/{profile}",
        id: "getProfile",
        summary: "Get a policy as a profile (.mobileconfig) for the VPN, the content filter or encrypted DNS",
        permission: Permission::ViewData,
        query: &[
            always(
                "app",
                Schema::Text { least: 1, most: MAX_BUNDLE },
                "Bundle identifier of the app, such as `com.example.bartizan`.",
            ),
            maybe(
                "signed",
                Schema::Flag,
                "Whether it is to be signed by the portal's certificate; `false` if it is not said.",
            ),
        ],
        body: None,
        answer: (StatusCode::OK, Some(&CONFIGURATION_PROFILE)),
        tagged: Tagged::No,
        handler: |call| Box::pin(profile(call)),
    },
];

async fn app_configuration(call: Call) -> Answer {
    let kind = call.read("form", Kind::of_word).unwrap_or(Kind::PropertyList);
    give(&call, kind).await
}

async fn profile(call: Call) -> Answer {
    let word = call.path.get("profile").map_or("", String::as_str);
    match Kind::of_word(word) {
        Some(kind) => give(&call, kind).await,
        None => Err(ApiError::not_found("profile")),
    }
}

async fn give(call: &Call, kind: Kind) -> Answer {
    let (group, _) = find(call).await?;
    let scope = call.application.scope;
    let organization = call.state.store.tenant_row(scope).await?.name;
    let wanted = Wanted {
        kind,
        portal: call.address.clone(),
        app: call.text("app").unwrap_or_default(),
        is_signed: call.flag("signed"),
    };
    match policy_files::make(&call.state, scope, organization, group, wanted).await {
        Ok(file) => Ok(Reply::file(file)),
        Err(error @ (FileError::NoApp | FileError::NoSigner | FileError::Profile(_))) => {
            Err(unfit(error.to_string()))
        }
        Err(error @ (FileError::Signer(_) | FileError::Store(_))) => Err(error.into()),
    }
}
