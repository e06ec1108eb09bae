//! More lines than fit into memory at once.

use std::io::{self, BufReader, Read};

use bartizan_indicators::feed;

#[test]
fn ten_million_lines_are_read_as_they_come() {
    let mut listed = 0_u64;
    let report =
        feed::read(BufReader::new(Names { next: 0, pending: Vec::new() }), |_| listed += 1);
    assert_eq!((report.unwrap().names, listed), (MANY, MANY));
    // Two threads' worth of buffers and the program itself; ten million names would be a few hundred MiB.
    let peak = peak_kib();
    assert!(peak < 64 * 1024, "{peak} KiB");
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Writes the names that it is asked for.
struct Names {
    next: u64,
    pending: Vec<u8>,
}

impl Read for Names {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pending.len() < buffer.len() && self.next < MANY {
            self.pending.extend_from_slice(format!("evil{}.test\n", self.next).as_bytes());
            self.next += 1;
        }
        let ready = self.pending.len().min(buffer.len());
        buffer[..ready].copy_from_slice(&self.pending[..ready]);
        self.pending.drain(..ready);
        Ok(ready)
    }
}

const MANY: u64 = 10_000_000;
