//! The client and the server that iperf3 is not: round trips, connections, and flows that idle.
//!
//! This program runs itself in a namespace as `xtask load ...`. A client prints one line of figures that the measurement
//! reads. The server speaks on three ports and always after the client, as most of the web does:
//! - [`ECHO`] sends back what comes, octet by octet;
//! - [`GREET`] answers a request with one line and closes, so that what lingers of a connection lingers at the server;
//! - [`HOLD`] answers a request with one line and keeps the connection.

use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Done;

pub(crate) fn run(arguments: &[String]) -> Done {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => serve(),
        ["reach", to] => reach(address(to)?),
        ["ping", to, count] => ping(address(to)?, number(count)?),
        ["connect", to, live, seconds] => connect(address(to)?, number(live)?, number(seconds)?),
        ["hold", to, flows] => {
            let held = hold(address(to)?, number(flows)?)?;
            answer(&format!("{}", held.len()));
            wait_for_the_end_of_input();
            Ok(())
        }
        _ => Err("load is a part of `bench forward`, and knows no such words".to_owned()),
    }
}

fn serve() -> Done {
    let listen = |port| {
        TcpListener::bind((IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)).map_err(told("cannot listen"))
    };
    let echoes = listen(ECHO)?;
    thread::spawn(move || {
        for stream in echoes.incoming().flatten() {
            thread::spawn(move || echo(stream));
        }
    });
    for (port, keeps) in [(GREET, false), (HOLD, true)] {
        let listener = Arc::new(listen(port)?);
        for _ in 0..ACCEPTORS {
            let listener = Arc::clone(&listener);
            thread::spawn(move || {
                let mut kept = Vec::new();
                for mut stream in listener.incoming().flatten() {
                    let request = stream.read(&mut [0; 512]);
                    let greeted = request.and_then(|_| stream.write_all(GREETING));
                    if greeted.is_ok() && keeps {
                        kept.push(stream);
                    }
                }
            });
        }
    }
    wait_for_the_end_of_input();
    Ok(())
}

fn echo(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut octets = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut octets) {
        let came = octets.get(..length).unwrap_or_default();
        if stream.write_all(came).is_err() {
            return;
        }
    }
}

/// Tries until one exchange succeeded.
fn reach(to: IpAddr) -> Done {
    let mut last = String::new();
    for _ in 0..100 {
        match exchange(to, HOLD) {
            Ok(_) => return Ok(()),
            Err(reason) => last = reason,
        }
        pause(Duration::from_millis(100));
    }
    Err(last)
}

/// Prints the median and the 99th percentile of round trips of 64 octets, in nanoseconds.
fn ping(to: IpAddr, count: usize) -> Done {
    let mut stream = open(to, ECHO)?;
    stream.set_nodelay(true).map_err(told("cannot set an option"))?;
    let mut times = Vec::with_capacity(count);
    let mut octets = [b'.'; 64];
    for _ in 0..count + WARM_UP {
        let start = now();
        stream.write_all(&octets).map_err(told("cannot send"))?;
        stream.read_exact(&mut octets).map_err(told("nothing came back"))?;
        times.push(start.elapsed());
    }
    times.drain(..WARM_UP);
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    answer(&format!("{} {}", at(50).as_nanos(), at(99).as_nanos()));
    Ok(())
}

/// Prints how many connections a second open, exchange a line and close, while others live.
fn connect(to: IpAddr, live: usize, seconds: u64) -> Done {
    let held = hold(to, live)?;
    let done = AtomicU64::new(0);
    let failed = Mutex::new(None);
    let over = AtomicBool::new(false);
    let start = now();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match exchange(to, GREET) {
                        Ok(_) => {
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(reason) => {
                            failed.lock().unwrap_or_else(PoisonError::into_inner).replace(reason);
                            return;
                        }
                    }
                }
            });
        }
        pause(Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
    });
    let took = start.elapsed();
    drop(held);
    let done = done.into_inner();
    if let Some(reason) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(format!("after {done} connections, one failed: {reason}"));
    }
    answer(&format!("{:.0}", done as f64 / took.as_secs_f64()));
    Ok(())
}

/// Opens flows, each of which had one exchange.
fn hold(to: IpAddr, flows: usize) -> Result<Vec<TcpStream>, String> {
    let mut held = Vec::with_capacity(flows);
    for number in 0..flows {
        let opened = exchange(to, HOLD);
        held.push(opened.map_err(|reason| format!("{number} flows live, then {reason}"))?);
    }
    Ok(held)
}

/// Opens a connection, asks, and reads the greeting; to its end where the server closes.
fn exchange(to: IpAddr, port: u16) -> Result<TcpStream, String> {
    let mut stream = open(to, port)?;
    stream.write_all(REQUEST).map_err(told("cannot ask"))?;
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting).map_err(told("no answer"))?;
    if port == GREET {
        let more = stream.read(&mut greeting).map_err(told("no end"))?;
        if more != 0 {
            return Err("more came than was sent".to_owned());
        }
        let _ = stream.shutdown(Shutdown::Both);
    }
    Ok(stream)
}

fn open(to: IpAddr, port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect_timeout(&SocketAddr::new(to, port), PATIENCE)
        .map_err(told("cannot connect"))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told("cannot set an option"))?;
    Ok(stream)
}

fn address(word: &str) -> Result<IpAddr, String> {
    word.parse().map_err(|_| format!("`{word}` is no address"))
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

fn told<E: Display>(what: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

fn wait_for_the_end_of_input() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

#[expect(clippy::print_stdout, reason = "what asked for figures reads them there")]
fn answer(figures: &str) {
    println!("{figures}");
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a load lasts as long as it is told")]
fn pause(time: Duration) {
    thread::sleep(time);
}

pub(super) const ECHO: u16 = 7001;
pub(super) const GREET: u16 = 7002;
pub(super) const HOLD: u16 = 7003;

const ACCEPTORS: usize = 16;
const CLIENTS: usize = 8;
const WARM_UP: usize = 500;
const PATIENCE: Duration = Duration::from_secs(5);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: load.example\r\n\r\n";
const GREETING: &[u8] = b"HTTP/1.1 200 OK\r\n";
