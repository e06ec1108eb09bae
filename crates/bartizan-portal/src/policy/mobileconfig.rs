//! Configuration profiles (`.mobileconfig`) for iPhones and iPads: VPN, content filter, encrypted DNS.
//!
//! After Apple's published schema of `com.apple.vpn.managed`, `com.apple.webcontent-filter` and
//! `com.apple.dnsSettings.managed`. Identifiers and UUIDs follow from the portal, the tenant and the kind of
//! profile, so that installing a newer one replaces the older instead of standing beside it.
//!
//! # What it does not do
//! - Sign: an MDM signs what it delivers. A profile that is handed out by hand shows as unsigned.
//! - Carry a secret: the enrollment token travels in managed app configuration only.
//!
//! # Invariants
//! - Same input, same octets.
//! - No profile may take the network down: traffic flows where the tunnel or the filter does not.

use bartizan_model::{DnsUpstream, TenantId};
use plist::{Dictionary, Value};
use uuid::Uuid;

use super::managed_config::{NotXml, to_xml, vendor_values};
use super::schema::Key;
use super::settings::Settings;

/// For whom and for which app profiles are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Where the portal is.
    pub portal: String,
    /// The tenant there.
    pub tenant: TenantId,
    /// The organization's name, shown on the device.
    pub organization: String,
    /// The bundle identifier that the app was signed with.
    pub app: String,
    /// That of its packet tunnel.
    pub tunnel: String,
}

/// How a VPN starts by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnDemand {
    /// Names of Wi-Fi networks on which it stays off.
    pub off_on_wifi: Vec<String>,
    /// Whether people cannot turn it off in the system's settings.
    pub is_locked: bool,
}

/// Why there is no such profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProfile {
    /// The policy leaves lookups to the network's resolver.
    #[error("a DNS profile needs a resolver over TLS or HTTPS, and the policy names none")]
    NoResolver,
    /// Profiles have no place for it.
    #[error("a DNS profile cannot name a port for DNS over TLS: only 853 will do")]
    Port,
    /// A text cannot be written.
    #[error(transparent)]
    Text(#[from] NotXml),
}

/// Returns the VPN profile: the packet tunnel, started on demand.
///
/// # Errors
/// A text cannot be written.
pub fn vpn(
    subject: &Subject,
    settings: &Settings,
    on_demand: &OnDemand,
) -> Result<String, BadProfile> {
    let mut rules = Vec::new();
    if !on_demand.off_on_wifi.is_empty() {
        let names = on_demand.off_on_wifi.iter().map(|name| Value::from(name.as_str())).collect();
        rules.push(Value::Dictionary(dictionary([
            ("Action", "Disconnect".into()),
            ("InterfaceTypeMatch", "WiFi".into()),
            ("SSIDMatch", Value::Array(names)),
        ])));
    }
    rules.push(Value::Dictionary(dictionary([("Action", "Connect".into())])));
    let mut vendor = vendor_values(settings);
    vendor.insert(Key::Portal.setting().name.into(), subject.portal.as_str().into());
    let tunnel = dictionary([
        // The tunnel ends on the device, so its far end is the device.
        ("RemoteAddress", "127.0.0.1".into()),
        ("AuthenticationMethod", "Password".into()),
        ("ProviderType", "packet-tunnel".into()),
        ("ProviderBundleIdentifier", subject.tunnel.as_str().into()),
        ("OnDemandEnabled", 1.into()),
        ("OnDemandUserOverrideDisabled", u32::from(on_demand.is_locked).into()),
        ("OnDemandRules", Value::Array(rules)),
        // With it nothing would flow while the tunnel does not run.
        ("IncludeAllNetworks", 0.into()),
    ]);
    let payload = dictionary([
        ("UserDefinedName", PRODUCT.into()),
        ("VPNType", "VPN".into()),
        ("VPNSubType", subject.app.as_str().into()),
        ("VendorConfig", Value::Dictionary(vendor)),
        ("VPN", Value::Dictionary(tunnel)),
    ]);
    let description = "Looks at this device's traffic on the device, to stop harmful sites.";
    subject.profile("vpn", "com.apple.vpn.managed", description, payload)
}

/// Returns the content filter's profile, for supervised devices.
///
/// # Errors
/// A text cannot be written.
pub fn content_filter(subject: &Subject) -> Result<String, BadProfile> {
    let vendor = dictionary([(Key::Portal.setting().name, subject.portal.as_str().into())]);
    let payload = dictionary([
        ("FilterType", "Plugin".into()),
        ("UserDefinedName", PRODUCT.into()),
        ("PluginBundleID", subject.app.as_str().into()),
        ("Organization", subject.organization.as_str().into()),
        ("FilterBrowsers", true.into()),
        ("FilterSockets", true.into()),
        ("VendorConfig", Value::Dictionary(vendor)),
    ]);
    let description = "Asks the app on this device about each connection, to stop harmful sites.";
    subject.profile("filter", "com.apple.webcontent-filter", description, payload)
}

/// Returns the profile that has the system itself ask a resolver that proves who it is.
///
/// # Errors
/// There is no such resolver, or a profile cannot name it.
pub fn dns(
    subject: &Subject,
    upstream: &DnsUpstream,
    may_fall_back: bool,
    is_locked: bool,
) -> Result<String, BadProfile> {
    let (protocol, name_key, name) = match upstream {
        DnsUpstream::System => return Err(BadProfile::NoResolver),
        DnsUpstream::Tls(resolver) if resolver.port != 853 => return Err(BadProfile::Port),
        DnsUpstream::Tls(resolver) => ("TLS", "ServerName", resolver.host.to_string()),
        DnsUpstream::Https { resolver, path } => {
            let port = Some(resolver.port).filter(|port| *port != 443);
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            ("HTTPS", "ServerURL", format!("https://{}{port}{path}", resolver.host))
        }
    };
    let addresses = upstream.secure().map(|resolver| resolver.addresses.iter());
    let addresses = addresses.into_iter().flatten().map(|at| at.to_string().into()).collect();
    let server = dictionary([
        ("DNSProtocol", protocol.into()),
        (name_key, name.into()),
        ("ServerAddresses", Value::Array(addresses)),
        ("AllowFailover", may_fall_back.into()),
    ]);
    let payload = dictionary([
        ("DNSSettings", Value::Dictionary(server)),
        ("ProhibitDisablement", is_locked.into()),
    ]);
    let description = "Has this device look names up over an encrypted connection.";
    subject.profile("dns", "com.apple.dnsSettings.managed", description, payload)
}

impl Subject {
    /// Wraps one payload, and names both so that the next of its kind replaces it.
    fn profile(
        &self,
        kind: &str,
        payload_type: &str,
        description: &str,
        mut payload: Dictionary,
    ) -> Result<String, BadProfile> {
        let identifier = format!("{}.tenant-{}.{kind}", self.app, self.tenant.0);
        self.name(&mut payload, &format!("{identifier}.payload"), payload_type, description);
        let mut profile = dictionary([
            ("PayloadContent", Value::Array(vec![Value::Dictionary(payload)])),
            // iPhone and iPad, so that nobody is asked which of their devices it is for.
            ("TargetDeviceType", 1.into()),
        ]);
        self.name(&mut profile, &identifier, "Configuration", description);
        Ok(to_xml(&Value::Dictionary(profile))?)
    }

    fn name(&self, payload: &mut Dictionary, identifier: &str, kind: &str, description: &str) {
        let url = format!("{}#{identifier}", self.portal);
        let uuid = Uuid::new_v5(&Uuid::NAMESPACE_URL, url.as_bytes());
        let uuid = uuid.hyphenated().to_string().to_uppercase();
        payload.extend(dictionary([
            ("PayloadType", kind.into()),
            ("PayloadVersion", 1.into()),
            ("PayloadIdentifier", identifier.into()),
            ("PayloadUUID", uuid.into()),
            ("PayloadDisplayName", PRODUCT.into()),
            ("PayloadDescription", description.into()),
            ("PayloadOrganization", self.organization.as_str().into()),
        ]));
    }
}

fn dictionary<const N: usize>(members: [(&str, Value); N]) -> Dictionary {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

const PRODUCT: &str = "Bartizan";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::settings::tests::settings;

    #[test]
    fn the_vpn_profile_has_what_apples_schema_requires() {
        let on_demand = OnDemand { off_on_wifi: vec!["Lab & Co".into()], is_locked: true };
        let settings = settings(r#"{"SilentOnboard": true, "WebProtection": 1}"#);
        let payload = payload(&vpn(&subject(), &settings, &on_demand).unwrap());
        required(&payload, &["VPNType", "VPNSubType", "UserDefinedName"]);
        let tunnel = payload["VPN"].as_dictionary().unwrap();
        required(tunnel, &["RemoteAddress", "ProviderBundleIdentifier"]);
        assert_eq!(tunnel["ProviderType"].as_string(), Some("packet-tunnel"));
        assert_eq!(tunnel["OnDemandEnabled"].as_unsigned_integer(), Some(1));
        assert_eq!(tunnel["OnDemandUserOverrideDisabled"].as_unsigned_integer(), Some(1));
        let rules = tunnel["OnDemandRules"].as_array().unwrap();
        let actions: Vec<&str> = rules
            .iter()
            .map(|rule| rule.as_dictionary().unwrap()["Action"].as_string().unwrap())
            .collect();
        assert_eq!(actions, ["Disconnect", "Connect"]);
        let vendor = payload["VendorConfig"].as_dictionary().unwrap();
        assert_eq!(vendor.keys().collect::<Vec<_>>(), ["SilentOnboard", "BartizanPortal"]);
        assert_eq!(vendor["SilentOnboard"].as_string(), Some("true"));
    }

    #[test]
    fn the_filter_profile_has_what_apples_schema_requires_of_a_plugin() {
        let payload = payload(&content_filter(&subject()).unwrap());
        required(&payload, &["UserDefinedName", "PluginBundleID", "Organization"]);
        assert_eq!(payload["FilterType"].as_string(), Some("Plugin"));
        assert_eq!(payload["FilterBrowsers"].as_boolean(), Some(true));
        assert_eq!(payload["FilterSockets"].as_boolean(), Some(true));
    }

    #[test]
    fn the_dns_profile_names_the_resolver_as_its_protocol_wants() {
        let check = |upstream: &str, expected: Result<(&str, &str, &str), BadProfile>| {
            let found = dns(&subject(), &upstream.parse().unwrap(), true, false);
            let found =
                found.map(|text| payload(&text)["DNSSettings"].as_dictionary().unwrap().clone());
            match expected {
                Ok((protocol, key, name)) => {
                    let server = found.unwrap();
                    assert_eq!(server["DNSProtocol"].as_string(), Some(protocol));
                    assert_eq!(server[key].as_string(), Some(name));
                    assert_eq!(
                        server["ServerAddresses"].as_array(),
                        Some(&vec!["192.0.2.53".into()])
                    );
                    assert_eq!(server["AllowFailover"].as_boolean(), Some(true));
                    assert_eq!(server.len(), 4);
                }
                Err(bad) => assert_eq!(found, Err(bad)),
            }
        };
        check("tls://dns.example?ip=192.0.2.53", Ok(("TLS", "ServerName", "dns.example")));
        let url = "https://dns.example/q";
        check("https://dns.example/q?ip=192.0.2.53", Ok(("HTTPS", "ServerURL", url)));
        let url = "https://dns.example:8443/q";
        check("https://dns.example:8443/q?ip=192.0.2.53", Ok(("HTTPS", "ServerURL", url)));
        check("tls://dns.example:8853?ip=192.0.2.53", Err(BadProfile::Port));
        check("system", Err(BadProfile::NoResolver));
    }

    #[test]
    fn a_newer_profile_replaces_the_older_and_no_others() {
        let text = |subject: &Subject, on_demand: OnDemand| {
            vpn(subject, &Settings::default(), &on_demand).unwrap()
        };
        let names = |text: &str| {
            let all = [read(text), payload(text)];
            all.map(|all| (all["PayloadIdentifier"].clone(), all["PayloadUUID"].clone()))
        };
        let first = text(&subject(), OnDemand::default());
        let newer = text(&subject(), OnDemand { is_locked: true, ..OnDemand::default() });
        assert_ne!(first, newer);
        assert_eq!(names(&first), names(&newer));
        let [outer, inner] = names(&first);
        assert_ne!(outer, inner);
        let others = [
            text(&Subject { tenant: TenantId(2), ..subject() }, OnDemand::default()),
            text(
                &Subject { portal: "https://other.example".into(), ..subject() },
                OnDemand::default(),
            ),
            content_filter(&subject()).unwrap(),
        ];
        for other in others {
            assert_ne!(names(&other)[0].1, outer.1);
            assert_ne!(names(&other)[1].1, inner.1);
        }
        let uuid: Uuid = outer.1.as_string().unwrap().parse().unwrap();
        assert_eq!(uuid.get_version_num(), 5);
    }

    #[test]
    fn what_xml_cannot_write_is_refused() {
        let subject = Subject { organization: "a\u{0}".into(), ..subject() };
        assert_eq!(content_filter(&subject), Err(BadProfile::Text(NotXml)));
    }

    fn subject() -> Subject {
        Subject {
            portal: "https://portal.example".into(),
            tenant: TenantId(1),
            organization: "Example <& Sons>".into(),
            app: "example.bartizan".into(),
            tunnel: "example.bartizan.tunnel".into(),
        }
    }

    fn read(text: &str) -> Dictionary {
        Value::from_reader_xml(text.as_bytes()).unwrap().into_dictionary().unwrap()
    }

    /// Reads a profile, checks what every one needs, and returns its only payload.
    #[track_caller]
    fn payload(text: &str) -> Dictionary {
        let profile = read(text);
        required(&profile, COMMON);
        assert_eq!(profile["PayloadType"].as_string(), Some("Configuration"));
        let [payload] = &profile["PayloadContent"].as_array().unwrap()[..] else {
            panic!("one payload")
        };
        let payload = payload.as_dictionary().unwrap().clone();
        required(&payload, COMMON);
        for all in [&profile, &payload] {
            assert_eq!(all["PayloadVersion"].as_unsigned_integer(), Some(1));
        }
        payload
    }

    #[track_caller]
    fn required(found: &Dictionary, texts: &[&str]) {
        for key in texts {
            let text = found.get(key).and_then(Value::as_string);
            assert!(text.is_some_and(|text| !text.is_empty()), "{key}: {text:?}");
        }
    }

    const COMMON: &[&str] = &["PayloadType", "PayloadIdentifier", "PayloadUUID"];
}
