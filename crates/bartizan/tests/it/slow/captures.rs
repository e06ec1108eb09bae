//! `bartizan inspect` beside another reader: the names in a few hundred captures of real traffic.
//!
//! The folder in `BARTIZAN_TEST_DATA` has captures and a table of what tshark finds in them. What counts is what
//! lies in plain IP: a row whose protocols are `ip` or `ipv6`, `tcp` or `udp`, and the message itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::bartizan;

#[test]
fn the_names_in_captures_are_those_that_tshark_finds() {
    let folder = tempfile::tempdir().unwrap();
    let captures = unpack(folder.path());
    let mut figures: BTreeMap<String, Figure> = BTreeMap::new();
    let mut unexplained = Vec::new();
    let rows = rows();
    for (name, path) in &captures {
        let rows = rows.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut lines = inspect(name, path);
        let mut open: Vec<(&Row, &Said)> =
            rows.iter().flat_map(|row| row.said.iter().map(move |said| (row, said))).collect();
        for (row, said) in &open {
            figures.entry(said.kind.clone()).or_default().wanted += u32::from(row.is_wanted);
        }
        // The same name of the same flow, at best in the same frame.
        for same_frame in [true, false] {
            open.retain(|(row, said)| {
                let is_it =
                    |line: &Line| line.said == **said && (!same_frame || line.frame == row.frame);
                let Some(place) = lines.iter().position(is_it) else { return true };
                lines.remove(place);
                let figure = figures.entry(said.kind.clone()).or_default();
                figure.found += u32::from(row.is_wanted);
                figure.in_frame += u32::from(row.is_wanted && same_frame);
                false
            });
        }
        for (row, said) in open.into_iter().filter(|(row, _)| row.is_wanted) {
            if reason(MISSING, name, row.frame).is_some() {
                figures.entry(said.kind.clone()).or_default().excepted += 1;
            } else {
                unexplained.push(format!("{name} {}: missing {said:?}", row.frame));
            }
        }
        for line in lines {
            // A message without a name is no row of the table where it is DNS.
            if line.said.kind == "dns" && line.said.host.is_empty() {
                continue;
            }
            if reason(MORE, name, line.frame).is_none() {
                unexplained.push(format!("{name} {}: more {:?}", line.frame, line.said));
            }
        }
    }
    report(&format!("{} captures", captures.len()));
    for (kind, figure) in figures.iter().filter(|(_, figure)| 0 < figure.wanted) {
        report(&format!(
            "{kind}: {} of {}, {} in the same frame, {} excepted",
            figure.found, figure.wanted, figure.in_frame, figure.excepted
        ));
    }
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert!(figures.values().all(|figure| figure.found + figure.excepted == figure.wanted));
}

/// What is not found as tshark finds it, and why.
const MISSING: &[(&str, u64, &str)] = &[(
    "zeek__quic__vector-max-size-crash.pcap",
    1,
    "a broken packet of QUIC that tshark takes for DNS",
)];

/// What is found though tshark has no row for it, and why that is right.
const MORE: &[(&str, u64, &str)] = &[
    ("ndpi__anydesk.pcapng", 12, "TLS on port 80, which tshark takes for HTTP"),
    (
        "zeek__http__putty-upload.pcap",
        16,
        "tshark waits for the body, which the capture does not have whole",
    ),
];

fn reason(table: &[(&str, u64, &'static str)], capture: &str, frame: u64) -> Option<&'static str> {
    table.iter().find(|row| (row.0, row.1) == (capture, frame)).map(|row| row.2)
}

#[derive(Default)]
struct Figure {
    wanted: u32,
    found: u32,
    in_frame: u32,
    excepted: u32,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    kind: String,
    src: String,
    dst: String,
    host: String,
}

struct Line {
    frame: u64,
    said: Said,
}

struct Row {
    frame: u64,
    is_wanted: bool,
    /// One for each name; HTTP requests of one frame share a row.
    said: Vec<Said>,
}

fn inspect(name: &str, path: &Path) -> Vec<Line> {
    let output = bartizan(&["inspect", path.to_str().unwrap(), "--json"]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    let is_cut = complaint.contains("ends within a frame");
    assert!(output.status.success() || is_cut, "{name}: {complaint}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
            let said = Said {
                kind: text("kind"),
                src: format!("{} {}", text("src"), line["sport"]),
                dst: format!("{} {}", text("dst"), line["dport"]),
                host: readable(&text("host")),
            };
            Line { frame: line["frame"].as_u64().unwrap(), said }
        })
        .collect()
}

/// Returns the rows of the table by capture.
fn rows() -> BTreeMap<String, Vec<Row>> {
    let table = fs::read(data("pcap-expected.tsv.zst")).unwrap();
    let table = zstd::decode_all(&table[..]).unwrap();
    let table = String::from_utf8_lossy(&table);
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (line, text) in table.lines().enumerate().skip(1) {
        let fields: Vec<&str> = text.split('\t').collect();
        let [
            capture,
            frame,
            kind,
            _,
            src,
            sport,
            dst,
            dport,
            hosts,
            _,
            _,
            _,
            quic_version,
            _,
            _,
            stack,
            ..,
        ] = fields[..]
        else {
            panic!("line {line} has too few fields")
        };
        let mut hosts: Vec<String> = hosts.split('|').map(|host| spelled(kind, host)).collect();
        if kind == "dns" {
            // One name, however many questions ask for it, and none for a question that cannot be read.
            hosts.sort();
            hosts.dedup();
            hosts.retain(|host| !host.is_empty());
            if hosts.is_empty() {
                hosts.push(String::new());
            }
        }
        let said = |host: String| Said {
            kind: kind.to_owned(),
            src: format!("{src} {sport}"),
            dst: format!("{dst} {dport}"),
            host,
        };
        rows.entry(capture.to_owned()).or_default().push(Row {
            frame: frame.parse().unwrap_or_default(),
            is_wanted: is_wanted(kind, stack, quic_version),
            said: hosts.into_iter().map(said).collect(),
        });
    }
    rows
}

/// Tells whether a row is a message in plain IP.
fn is_wanted(kind: &str, stack: &str, quic_version: &str) -> bool {
    let Some((_, stack)) = stack.split_once(':').filter(|(ip, _)| ["ip", "ipv6"].contains(ip))
    else {
        return false;
    };
    match kind {
        "tls" => stack == "tcp:tls",
        // Other versions are drafts, or made up to see what the server says.
        "quic" => {
            stack.starts_with("udp:quic:tls")
                && ["", "0x00000001", "0x6b3343cf"].contains(&quic_version)
        }
        // What follows is the type of the body.
        "http" => stack.starts_with("tcp:http") && !stack.contains("http2"),
        "dns" => ["udp:dns", "tcp:dns"].contains(&stack),
        _ => false,
    }
}

/// Brings a name of the table to the form of `inspect`.
fn spelled(kind: &str, host: &str) -> String {
    let host = match host {
        "<Root>" => ".",
        // tshark's words for a name that cannot be read.
        host if host.starts_with('<') => "",
        host => host,
    };
    if kind != "http" {
        return readable(host);
    }
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    };
    readable(without_port.trim_matches(['[', ']']).trim_end_matches('.'))
}

/// Leaves out what is not printable: tshark writes `\ooo`, `\xhh` or the octet itself, and `inspect` `\ddd`.
fn readable(host: &str) -> String {
    let mut text = String::new();
    let mut rest = host.as_bytes();
    loop {
        rest = match rest {
            [] => return text,
            [b'\\', b'x', a, b, rest @ ..]
                if [a, b].iter().all(|digit| digit.is_ascii_hexdigit()) =>
            {
                rest
            }
            [b'\\', a, b, c, rest @ ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
                rest
            }
            [octet, rest @ ..] => {
                if octet.is_ascii_graphic() {
                    text.push(char::from(octet.to_ascii_lowercase()));
                }
                rest
            }
        };
    }
}

/// Unpacks the captures into a folder; returns names and places.
fn unpack(folder: &Path) -> Vec<(String, PathBuf)> {
    let packed = fs::read(data("pcaps.tar.zst")).unwrap();
    let mut decoder = zstd::Decoder::new(&packed[..]).unwrap();
    decoder.window_log_max(27).unwrap();
    let mut tar = Vec::new();
    decoder.read_to_end(&mut tar).unwrap();
    let mut captures = Vec::new();
    let mut rest = tar.as_slice();
    while let Some((header, after)) =
        rest.split_at_checked(512).filter(|(header, _)| header[0] != 0)
    {
        let name = header[..100].split(|octet| *octet == 0).next().unwrap();
        let name = std::str::from_utf8(name).unwrap().trim_start_matches("./");
        let size =
            usize::from_str_radix(std::str::from_utf8(&header[124..135]).unwrap(), 8).unwrap();
        if header[156] == b'0' && !name.ends_with(".tsv") {
            let path = folder.join(Path::new(name).file_name().unwrap());
            fs::write(&path, &after[..size]).unwrap();
            captures.push((name.to_owned(), path));
        }
        rest = &after[size.next_multiple_of(512)..];
    }
    captures
}

fn data(file: &str) -> PathBuf {
    let folder = std::env::var_os("BARTIZAN_TEST_DATA")
        .expect("BARTIZAN_TEST_DATA names a folder with captures");
    Path::new(&folder).join("dev").join(file)
}

#[expect(clippy::print_stdout, reason = "a figure, for whoever asks for it")]
fn report(line: &str) {
    println!("{line}");
}
