//! Layers, mistakes and the table in the documentation.

use super::*;

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = file_layer("listen = 9000\ntenant = 'File'\nadmin = 'f@a.test'\n").unwrap();
    let environment = environment(&[("BARTIZAN_TENANT", "Env"), ("BARTIZAN_ADMIN", "e@a.test")]);
    let flags = Layer::from([("admin", vec!["x@a.test".to_owned()])]);
    let config = Config::of(&flags, &environment.unwrap(), &file).unwrap();
    assert_eq!(config.listen, "127.0.0.1:9000".parse().unwrap());
    assert_eq!((config.tenant.as_str(), config.admin.as_str()), ("Env", "x@a.test"));
    let origins: Vec<_> = ["listen", "tenant", "admin", "data"]
        .map(|name| config.listing.iter().find(|(key, ..)| *key == name).unwrap().2)
        .to_vec();
    assert_eq!(origins, [Origin::File, Origin::Environment, Origin::Flag, Origin::Default]);
}

#[test]
fn a_list_is_an_array_in_the_file_and_has_commas_in_the_environment() {
    let file = file_layer("own = ['a.test', 'b.test']\nfeed = 'one.txt'").unwrap();
    let variables = environment(&[("BARTIZAN_ALLOW", "top.csv, more.csv")]).unwrap();
    let config = Config::of(&Layer::new(), &variables, &file).unwrap();
    assert_eq!(config.own, ["a.test", "b.test"]);
    assert_eq!(config.feed, ["one.txt"]);
    assert_eq!(config.allow, ["top.csv", "more.csv"]);
}

#[test]
fn mistakes_are_told() {
    let wrong = |text: &str, told: &str| {
        assert_eq!(file_layer(text).unwrap_err().to_string(), told, "{text}");
    };
    wrong("lissten = 1", "there is no setting lissten; the nearest is listen");
    wrong("tls_cert = 'a'", "there is no setting tls_cert; the nearest is tls-cert");
    wrong("[portal]\nlisten = 1", "there is no setting portal; the nearest is data");
    wrong("own = [['a']]", "own has to be a list of texts");
    wrong(
        "listen = 1.5",
        "listen has to be an address with a port, as text, or a port of this machine",
    );
    let syntax = file_layer("data = 'a'\ndatabase = \"postgres://u:secret@h").unwrap_err();
    let ConfigError::Syntax { line: 2, problem } = syntax else { panic!("{syntax}") };
    assert!(!problem.contains("secret"), "{problem}");

    let told = environment(&[("BARTIZAN_DATABSE", "x")]).unwrap_err().to_string();
    assert_eq!(told, "there is no setting BARTIZAN_DATABSE; the nearest is BARTIZAN_DATABASE");
    assert_eq!(environment(&[("BARTIZAN_TEST_POSTGRES", "x"), ("HOME", "/")]), Ok(Layer::new()));
}

#[test]
fn what_does_not_fit_names_its_key_and_where_it_stands() {
    let told = |text: &str| {
        let file = file_layer(text).unwrap();
        format!("{:#}", Config::of(&Layer::new(), &Layer::new(), &file).unwrap_err())
    };
    let listen = told("listen = 'here'");
    assert!(listen.starts_with("listen (file): here is not an address with a port"), "{listen}");
    let days = told("retention-days = -1");
    assert!(days.ends_with("-1 is no number of days from 0 to 36500"), "{days}");
    let database = told("database = 'mysql://u:secret@h/x'");
    assert!(database.starts_with("database (file): not the address"), "{database}");
    assert!(!database.contains("secret"), "{database}");
    assert!(told("proxies = ['10.0.0.1', 'here']").contains("here is not an address"));
    assert!(told("private-addresses = 'yes'").contains("yes is neither allowed nor refused"));
    assert!(told("tls-cert = 'a.pem'").contains("belong together"));
    let truth = told("attestation-allow-development = 'yes'");
    assert!(truth.starts_with("attestation-allow-development (file): yes is neither"), "{truth}");
}

#[test]
fn behind_a_proxy_browsers_insist_on_https_and_private_addresses_are_refused_unless_allowed() {
    let portal = |text: &str| {
        let file = file_layer(text).unwrap();
        Config::of(&Layer::new(), &Layer::new(), &file).unwrap().portal()
    };
    let usual = portal("");
    assert!(!usual.secure_cookies && !usual.reach.private_addresses);
    let behind = portal("proxies = '::ffff:192.0.2.1'\nprivate-addresses = 'allowed'");
    assert!(behind.secure_cookies && behind.reach.private_addresses);
    assert_eq!(behind.reach.proxies, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
}

#[test]
fn a_secret_is_not_listed() {
    let file = file_layer("database = 'postgres://u:secret@h/x'").unwrap();
    let config = Config::of(&Layer::new(), &Layer::new(), &file).unwrap();
    assert!(!format!("{:?} {:?}", config.listing, config).contains("secret"));
}

/// The failure says what to put there.
#[test]
fn every_key_is_documented_as_it_is() {
    let mut table = String::from("| Key | Value | Default | |\n|---|---|---|---|\n");
    for key in KEYS {
        let default = key.default.map(|value| format!("`{value}`")).unwrap_or_default();
        table += &format!("| `{}` | {} | {default} | {} |\n", key.name, key.kind.word(), key.about);
    }
    let operating = include_str!("../../../../docs/operating.md");
    assert!(operating.contains(&table), "docs/operating.md lacks this table:\n{table}");
}

fn environment(variables: &[(&str, &str)]) -> Result<Layer, ConfigError> {
    let owned: Vec<_> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    environment_layer(&owned)
}
