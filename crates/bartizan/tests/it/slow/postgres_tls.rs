//! TLS to a real PostgreSQL: who is believed, who is not, and in which words.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::slow::cluster::Cluster;
use crate::support::{BARTIZAN, PortalProcess, World, wait_for};

#[test]
fn a_server_over_a_network_is_believed_by_its_certificate_alone() {
    let cluster = Cluster::make("-tls").unwrap();
    let world = World::new();
    let authority = Authority::new();
    let files = Files::write(&world, &authority);
    let address = own_address();
    let _server = cluster.start_with(&settings(&cluster, &authority, address)).unwrap();
    for statement in ["ALTER ROLE bartizan PASSWORD 'sesame'", "CREATE DATABASE tls OWNER bartizan"]
    {
        superuser(&cluster, statement);
    }
    let at = |name: &str, more: &str| {
        format!("postgres://bartizan:sesame@{name}/tls?hostaddr={address}&{more}")
    };
    let root = format!("sslrootcert={}", files.root.display());

    // By name, with the password's proof tied to the connection.
    let right = at("db.test", &format!("channel_binding=require&{root}"));
    let portal = PortalProcess::start(&world.data(), &["--database", &right]);
    assert!(portal.said.iter().any(|line| line.starts_with("The portal is at")));
    let examined = run(&world, &["doctor"], &right);
    assert!(examined.contains("encryption of the connection is TLSv1.3"), "{examined}");
    drop(portal);

    let works = |url: &str| {
        let said = run(&world, &["migrate", "--dry-run"], url);
        assert!(!said.contains("bartizan: "), "{url}: {said}");
    };
    works(&at("other.test", &format!("sslmode=verify-ca&{root}")));
    works(&at("other.test", "sslmode=require"));
    works(&at("db.test", "sslmode=prefer"));

    let told = |url: &str, reason: &str| {
        let said = run(&world, &["migrate"], url);
        assert!(said.contains(reason), "{url}: {said}");
        assert!(!said.contains("sesame"), "{said}");
    };
    told(&at("other.test", &root), "not to be trusted: its certificate is for another name");
    told(&at("db.test", ""), "not to be trusted: its certificate is by none of the authorities");
    let stranger = format!("sslmode=require&sslrootcert={}", files.stranger.display());
    told(&at("db.test", &stranger), "its certificate is by none of the authorities");
    told(&at("db.test", "sslmode=disable"), "does not let \"bartizan\" in");

    // A role that is let in by its own certificate.
    superuser(&cluster, "CREATE DATABASE by_certificate OWNER bartizan");
    let url = format!("postgres://bartizan@db.test/by_certificate?hostaddr={address}&{root}");
    told(&url, "does not let \"bartizan\" in");
    works(&format!(
        "{url}&sslcert={}&sslkey={}",
        files.client.display(),
        files.client_key.display()
    ));
}

#[test]
fn a_server_without_tls_gets_no_password() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).unwrap();
        stream.write_all(b"N").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest
    });
    let world = World::new();
    let url = format!("postgres://bartizan:sesame@db.test:{}/x?hostaddr=127.0.0.1", address.port());
    let said = run(&world, &["migrate"], &url);
    assert!(said.contains("is not to be trusted: it does not speak TLS"), "{said}");
    assert_eq!(heard.join().unwrap(), b"");
}

/// Runs a command of the administrator on a database; returns all that it said.
fn run(world: &World, arguments: &[&str], url: &str) -> String {
    let output = Command::new(BARTIZAN)
        .arg("admin")
        .args(arguments)
        .arg("--data")
        .arg(world.data())
        .env("BARTIZAN_DATABASE", url)
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// An address of this machine that nobody else has: the port is the same for all servers of this user.
fn own_address() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low.max(1))
}

fn superuser(cluster: &Cluster, sql: &str) {
    let address = cluster.address().replacen("bartizan@", "postgres@", 1);
    wait_for(sql, || {
        let run = Command::new("psql").args(["-X", "-q", "-d", &address, "-c", sql]).output();
        run.unwrap().status.success().then_some(())
    });
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Returns certificate and key.
    fn signed(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// What the portal is given.
struct Files {
    root: PathBuf,
    stranger: PathBuf,
    client: PathBuf,
    client_key: PathBuf,
}

impl Files {
    fn write(world: &World, authority: &Authority) -> Self {
        let write = |name: &str, text: &str| PathBuf::from(world.file(name, text));
        let (client, client_key) = authority.signed("bartizan");
        Self {
            root: write("root.pem", &authority.pem),
            stranger: write("stranger.pem", &Authority::new().pem),
            client: write("client.pem", &client),
            client_key: write("client-key.pem", &client_key),
        }
    }
}

/// Puts the server's files beside its data, and says who is let in.
fn settings(cluster: &Cluster, authority: &Authority, address: Ipv4Addr) -> Vec<String> {
    let socket = cluster.address();
    let (_, folder) = socket.rsplit_once("host=").unwrap();
    let data = Path::new(folder).join("data");
    let owner = std::fs::metadata(&data).unwrap();
    let (certificate, key) = authority.signed("db.test");
    let access = "local all all trust\n\
                  hostssl by_certificate all 127.0.0.0/8 cert\n\
                  hostssl all all 127.0.0.0/8 scram-sha-256\n";
    for (name, text) in [
        ("root.pem", authority.pem.as_str()),
        ("server.pem", &certificate),
        ("server-key.pem", &key),
        ("pg_hba.conf", access),
    ] {
        let path = data.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let fixed = [
        "ssl=on",
        "ssl_cert_file=server.pem",
        "ssl_key_file=server-key.pem",
        "ssl_ca_file=root.pem",
    ];
    let fixed = fixed.into_iter().map(str::to_owned);
    fixed.chain([format!("listen_addresses={address}")]).collect()
}
