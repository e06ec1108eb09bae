//! Files of every kind: right, wrong, hostile; and the fuzzer's corpus.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

#[test]
fn columns_come_in_any_order_and_case() {
    for (head, row) in [
        ("indicatorType,indicatorValue,action,title", "DomainName,evil.test,Block,A title"),
        ("TITLE;Action;INDICATORVALUE;indicatortype", "A title;Block;evil.test;DomainName"),
        (
            "action\ttitle\tindicatorType\tindicatorValue\t",
            "Block\tA title\tUrl\thttp://evil.test/",
        ),
        (
            "\u{feff}indicatorType,indicatorValue,action,title,x",
            "DomainName,evil.test,Block,A title,y",
        ),
        (
            "indicatorType,indicatorValue,title,action",
            "\"DomainName\",\" evil.test \",A title,Block",
        ),
    ] {
        let sheet = read(format!("{head}\r\n{row}\r\n").as_bytes()).unwrap();
        assert_eq!(sheet.errors, [], "{head}");
        let indicator = &sheet.rows[0].indicator;
        assert_eq!((sheet.rows[0].line, indicator.pattern.as_str()), (2, "evil.test"), "{head}");
        assert_eq!(indicator.rule.title, "A title");
    }
    let sheet = read(b"indicatorType,indicatorValue,action,title,scopeTags\n").unwrap();
    assert_eq!(sheet.ignored, ["scopeTags"]);
}

#[test]
fn what_is_no_file_of_indicators_is_refused_whole() {
    let no_column = |column| SheetError::NoColumn { column };
    for (octets, expected) in [
        (&b""[..], SheetError::Empty),
        (b"\n\r\n", SheetError::Empty),
        (b"evil.test\nother.test\n", no_column("indicatorType")),
        (b"indicatorType,indicatorValue,action\n", no_column("title")),
        (b"\xff\xfei\0n\0", SheetError::NotText),
        (b"title,title,action\n", SheetError::TwoColumns { column: "title" }),
    ] {
        assert_eq!(read(octets).map(|_| ()), Err(expected));
    }
}

#[test]
fn a_wrong_row_is_told_with_its_line_and_the_others_are_read() {
    let text = "indicatorType,indicatorValue,action,title,expirationTime,GenerateAlert\n\
        DomainName,a.test,Block,A,,\n\
        FileSha1,220e7d15,Block,B,,\n\
        DomainName,A.TEST.,Allowed,C,,\n\
        ,,,,,\n\
        DomainName,\"no\ngood\",Audit,,tomorrow,False\n\
        IpAddress,192.0.2.1,BlockAndRemediate,D,,\n\
        DomainName,b.test,Block\n\
        DomainName,d.test,Block,Mail, of Monday,,True,x\n\
        DomainName,c.test,Block,E,2027-01-31T00:00:00Z,True\n";
    let sheet = read(text.as_bytes()).unwrap();
    let told: Vec<_> = sheet
        .errors
        .iter()
        .map(|error| (error.line, error.column, error.reason.as_str(), error.value.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (3, "indicatorType", "is not a network indicator", "FileSha1"),
            (4, "indicatorValue", "is in line 2 already", "A.TEST."),
            (6, "indicatorValue", "is not a host name", "no\ngood"),
            (6, "expirationTime", "is not a time such as 2027-01-31T00:00:00.0Z", "tomorrow"),
            (6, "title", "is missing", ""),
            (
                8,
                "action",
                "is for files and certificates, not for a network indicator",
                "BlockAndRemediate"
            ),
            (9, "title", "is missing", ""),
            (
                10,
                "",
                "has more cells than the first line; a text with a separator needs quotes",
                "True"
            ),
        ]
    );
    let read: Vec<_> =
        sheet.rows.iter().map(|row| (row.line, row.indicator.pattern.as_str())).collect();
    assert_eq!(read, [(2, "a.test"), (11, "c.test")]);
}

#[test]
fn text_that_is_not_utf_8_is_told_by_its_cell() {
    let sheet =
        read(b"indicatorType,indicatorValue,action,title\nDomainName,a.test,Block,caf\xe9\n")
            .unwrap();
    let error = &sheet.errors[0];
    assert_eq!((error.column, error.reason.as_str()), ("title", "is not UTF-8 text"));
    assert_eq!(error.value, "caf\u{fffd}");
}

#[test]
fn no_cell_is_a_formula_for_a_spreadsheet() {
    for (text, written) in [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("'=1", "''=1"),
        ("'quoted'", "'quoted'"),
        ("'", "'"),
        ("a=b", "a=b"),
        ("", ""),
    ] {
        assert_eq!(defused(text), written);
        assert_eq!(armed(written), text);
    }
    let text = "indicatorType,indicatorValue,action,title\nHostName,evil.test,Block,\"=cmd|'/c calc'!A1\"\n";
    let rows: Vec<_> = read(text.as_bytes()).unwrap().rows.iter().map(as_stored).collect();
    let written = String::from_utf8(write(&rows)).unwrap();
    assert_eq!(
        written,
        "HostName,evil.test,Block,'=cmd|'/c calc'!A1,,,Informational,,[],,,False\r\n"
            .replace("[]", "")
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(
        host in "[a-z0-9-]{1,12}", form in 0..6_usize, title in "[^\\p{Cc}]{1,40}",
        texts in prop::collection::vec("\\PC{0,20}|[-=+@',\"\r\n]{0,6}", 3),
        action in 0..4_usize, alert: bool, seconds in 0..4_000_000_000_u64, ms in 0..3_u64,
    ) {
        let value = match form {
            0 => format!("{host}.test"),
            1 => format!("=x{host}.test"),
            2 => format!("*.x{host}.test"),
            3 => format!("x{host}.test/{host}?q={host}"),
            4 => "192.0.2.1".to_owned(),
            _ => "2001:db8::/48".to_owned(),
        };
        let Ok(pattern) = value.parse::<Pattern>() else { return Ok(()) };
        let expires = crate::indicator_rule::time_text(bartizan_model::UnixMillis(seconds * 1_000 + ms));
        let fields = [
            (Field::Title, title.as_str()),
            (Field::Description, &texts[0]),
            (Field::RbacGroups, &texts[1]),
            (Field::MitreTechniques, &texts[2]),
            (Field::Action, ["Allowed", "Warn", "Block", "Alert"][action]),
            (Field::GenerateAlert, if alert { "True" } else { "" }),
            (Field::ExpirationTime, &expires),
        ];
        let rule = read_rule(crate::indicator_rule::texts(&fields));
        let Ok(rule) = rule else { return Ok(()) };
        let row = SheetRow { line: 1, indicator: indicator(&pattern, &value, rule) };
        let mut text = header().into_bytes();
        text.extend(write(&[as_stored(&row)]));
        let again = read(&text).unwrap();
        prop_assert_eq!(again.errors, []);
        prop_assert_eq!(&again.rows[0].indicator.pattern, &row.indicator.pattern);
        prop_assert_eq!(&again.rows[0].indicator.rule, &row.indicator.rule);
    }

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&octets);
        fuzz(&[b"indicatorType,indicatorValue,action,title\n", octets.as_slice()].concat());
    }
}

#[test]
fn the_committed_corpus_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/indicator_csv");
    let (mut read_some, mut refused) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let octets = fs::read(entry.unwrap().path()).unwrap();
        fuzz(&octets);
        if read(&octets).is_ok_and(|sheet| !sheet.rows.is_empty()) {
            read_some += 1;
        } else {
            refused += 1;
        }
    }
    assert!(5 <= read_some && 3 <= refused, "{read_some} read, {refused} refused");
}
