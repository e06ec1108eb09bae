//! Sample pages of the tenant's own indicators, for the tests over all pages.

use bartizan_indicators::pattern::PatternKind;
use bartizan_model::{IndicatorAction, Severity, UnixMillis};

use super::tests::{NOW, long_host, shell};
use super::*;
use crate::indicator_csv::RowError;
use crate::indicator_rule::{Field, FieldError};

/// Every page in several states.
pub(super) fn pages() -> Vec<(&'static str, String)> {
    let rows = indicator_rows().into_iter().map(|row| (row.id, row.pattern)).collect();
    let delete = IndicatorsDeletePage { shell: shell(), rows };
    let import = IndicatorImportPage {
        shell: shell(),
        problem: Some("The file is <script>empty</script>.".into()),
        max_mib: 32,
    };
    let same = IndicatorPreviewPage { new: 0, changed: 0, ..preview() };
    let rendered = |page: &dyn askama::DynTemplate| page.dyn_render().unwrap();
    vec![
        ("indicators", rendered(&indicators(indicator_rows()))),
        ("indicators-none", rendered(&IndicatorsPage { total: 0, ..indicators(Vec::new()) })),
        ("indicators-filtered", rendered(&filtered_indicators())),
        ("indicators-delete", rendered(&delete)),
        ("indicator", rendered(&indicator())),
        ("indicator-new", rendered(&new_indicator())),
        ("indicator-import", rendered(&import)),
        ("indicator-preview", rendered(&preview())),
        ("indicator-preview-none", rendered(&same)),
    ]
}

fn indicators(rows: Vec<IndicatorRow>) -> IndicatorsPage {
    IndicatorsPage {
        shell: shell(),
        filter: IndicatorFilter::default(),
        after: String::new(),
        rows,
        next: Some("c2".into()),
        total: 100_000,
        now: NOW,
    }
}

fn filtered_indicators() -> IndicatorsPage {
    let text = "\"><img src=x>\u{202e}";
    let filter =
        IndicatorFilter::from_query(Some(text), Some("warn"), Some("url"), Some("expired"));
    IndicatorsPage { filter, ..indicators(Vec::new()) }
}

fn indicator_rows() -> Vec<IndicatorRow> {
    let row =
        |id: u64, pattern: &str, kind, action, title: &str, expires_in: Option<i64>| IndicatorRow {
            id,
            pattern: pattern.into(),
            kind,
            action,
            severity: Severity::ALL[usize::try_from(id % 4).unwrap()],
            title: title.into(),
            expires_at: expires_in.map(|ms| UnixMillis(NOW.0.checked_add_signed(ms).unwrap())),
            hits: id * 997,
            updated_at: UnixMillis(NOW.0 - id * 300_000),
        };
    use IndicatorAction::{Allow, Audit, Block, Warn};
    use PatternKind::{Address, Domain, Host, Network, Subdomains, Url};
    vec![
        row(1, "parcel-fee.test", Domain, Block, "Parcel fee by text message", None),
        row(2, "=login.partner.example", Host, Allow, "Listed by mistake", Some(86_400_000)),
        row(3, "*.free-pages.test", Subdomains, Warn, "Free pages", Some(-5)),
        row(4, "files.example/shared/invoice?id=7", Url, Audit, "Invoice of March", None),
        row(5, "192.0.2.7", Address, Block, "Scanner", None),
        row(
            1_000_000,
            "2001:db8:1234::/48",
            Network,
            Block,
            "<script>alert(1)</script>\u{202e}",
            None,
        ),
        row(7, &long_host(), Domain, Block, &"A title that goes on and on ".repeat(7), None),
    ]
}

fn indicator() -> IndicatorPage {
    let pairs = [
        ("action", "Block"),
        ("severity", "High"),
        ("title", "<script>alert(1)</script>\u{202e}"),
        ("description", "Seen in a mail.\r\n<img src=x>\u{202e}\0"),
        ("expirationTime", "2026-04-01T00:00:00"),
        ("category", "<img src=x>"),
        ("rbacGroups", "Field, Board"),
    ];
    let pairs: Vec<_> =
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    IndicatorPage {
        shell: shell(),
        stored: Some(StoredIndicator {
            id: 4,
            pattern: "sites.example".parse().unwrap(),
            source_text: "https://<img src=x>.test/\u{202e}".into(),
            action: IndicatorAction::Block,
            severity: Severity::High,
            expires_at: Some(UnixMillis(1_775_001_600_000)),
            hits: 1_234,
            held_back: Some("This is a popular or shared site: people and apps may depend on it."),
            created_by: "<img src=x>".into(),
            created_at: UnixMillis(NOW.0 - 86_400_000),
            updated_at: UnixMillis(NOW.0 - 3_600_000),
        }),
        form: IndicatorForm::sent(&pairs),
        errors: Vec::new(),
        hint: Some("This value has an indicator already.".into()),
        now: NOW,
    }
}

fn new_indicator() -> IndicatorPage {
    let wrong = |field| FieldError::new(field, "is <img src=x> wrong\u{202e}");
    IndicatorPage {
        stored: None,
        form: IndicatorForm::blank("\"><img src=x>\u{202e}"),
        errors: Field::ALL.map(wrong).into(),
        hint: None,
        ..indicator()
    }
}

fn preview() -> IndicatorPreviewPage {
    let hostile = "=cmd|<script>alert(1)</script>\u{202e}\0";
    IndicatorPreviewPage {
        shell: shell(),
        upload: "00112233445566778899aabbccddeeff".into(),
        file_name: hostile.into(),
        new: 98_120,
        changed: 2,
        unchanged: 1_875,
        wrong: 3,
        ignored: vec!["scopeTags".into(), hostile.into()],
        new_rows: vec![
            ("parcel-fee.test".into(), "Block", "Parcel fee by text message".into()),
            (long_host(), "Allowed", hostile.into()),
        ],
        changed_rows: vec![ChangedRow {
            id: 4,
            pattern: "free-pages.test".into(),
            fields: vec![
                ("action", "Block".into(), "Warn".into()),
                ("title", hostile.into(), String::new()),
                ("expirationTime", String::new(), "2027-01-31T00:00:00.0Z".into()),
            ],
        }],
        errors: vec![
            RowError {
                line: 14,
                column: "indicatorType",
                reason: "is not a network indicator".into(),
                value: "FileSha256".into(),
            },
            RowError {
                line: 100_001,
                column: "",
                reason: "has more cells than the first line".into(),
                value: hostile.into(),
            },
        ],
    }
}
