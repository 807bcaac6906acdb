use super::*;

fn policy(allow: &[&str]) -> Policy {
    Policy {
        allow_networks: allow
            .iter()
            .map(|network| network.parse().unwrap())
            .collect(),
        allowed_ports: vec![80, 443],
    }
}

fn check(policy: &Policy, url: &str) -> Result<Scope, Refused> {
    policy.check_url(&Url::parse(url).unwrap())
}

#[test]
fn special_addresses_are_recognised() {
    let table = [
        ("0.0.0.0", Kind::Unspecified),
        ("0.1.2.3", Kind::Unspecified),
        ("10.0.0.1", Kind::Private),
        ("10.255.255.255", Kind::Private),
        ("100.64.0.1", Kind::Shared),
        ("100.127.255.255", Kind::Shared),
        ("100.100.100.200", Kind::Metadata),
        ("127.0.0.1", Kind::Loopback),
        ("127.255.0.9", Kind::Loopback),
        ("168.63.129.16", Kind::Metadata),
        ("169.254.0.1", Kind::LinkLocal),
        ("169.254.169.254", Kind::Metadata),
        ("172.16.0.1", Kind::Private),
        ("172.31.255.255", Kind::Private),
        ("192.0.0.192", Kind::Reserved),
        ("192.0.2.1", Kind::Documentation),
        ("192.88.99.1", Kind::Reserved),
        ("192.168.1.1", Kind::Private),
        ("198.18.0.1", Kind::Benchmark),
        ("198.19.255.255", Kind::Benchmark),
        ("198.51.100.7", Kind::Documentation),
        ("203.0.113.7", Kind::Documentation),
        ("224.0.0.1", Kind::Multicast),
        ("239.255.255.255", Kind::Multicast),
        ("240.0.0.1", Kind::Reserved),
        ("255.255.255.255", Kind::Reserved),
        ("::", Kind::Unspecified),
        ("::1", Kind::Loopback),
        ("::7f00:1", Kind::WrapsIpv4),
        ("::ffff:127.0.0.1", Kind::WrapsIpv4),
        ("::ffff:8.8.8.8", Kind::WrapsIpv4),
        ("64:ff9b::7f00:1", Kind::WrapsIpv4),
        ("64:ff9b:1::1", Kind::WrapsIpv4),
        ("100::1", Kind::Reserved),
        ("2001::1", Kind::WrapsIpv4),
        ("2001:2::1", Kind::Benchmark),
        ("2001:20::1", Kind::Reserved),
        ("2001:db8::1", Kind::Documentation),
        ("2002:7f00:1::1", Kind::WrapsIpv4),
        ("3fff::1", Kind::Documentation),
        ("4000::1", Kind::Reserved),
        ("5f00::1", Kind::Reserved),
        ("fc00::1", Kind::Private),
        ("fd00:ec2::254", Kind::Metadata),
        ("fdff::1", Kind::Private),
        ("fe80::1", Kind::LinkLocal),
        ("febf::1", Kind::LinkLocal),
        ("fec0::1", Kind::Reserved),
        ("ff02::1", Kind::Multicast),
    ];
    for (ip, expected) in table {
        assert_eq!(kind(ip.parse().unwrap()), Some(expected), "{ip}");
    }
}

#[test]
fn public_addresses_pass() {
    let table = [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "168.63.129.15",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.1",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700:4700::1111",
        "2a00:1450:4001:80b::200e",
    ];
    for ip in table {
        assert_eq!(kind(ip.parse().unwrap()), None, "{ip}");
    }
}

#[test]
fn every_spelling_of_a_literal_is_refused() {
    let policy = policy(&[]);
    let spellings = [
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://%31%32%37.0.0.1/",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:7f00:0001]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://0/",
        "http://169.254.169.254/latest/meta-data/",
    ];
    for url in spellings {
        let result = check(&policy, url);
        assert!(
            matches!(result, Err(Refused::Address { .. })),
            "{url}: {result:?}"
        );
    }
}

#[test]
fn names_are_left_to_the_resolver() {
    let policy = policy(&[]);
    assert_eq!(check(&policy, "https://example.com/a"), Ok(Scope::Public));
    assert_eq!(check(&policy, "http://localhost/"), Ok(Scope::Public));
    assert_eq!(check(&policy, "http://localhost./"), Ok(Scope::Public));
}

#[test]
fn schemes_credentials_and_ports_are_limited() {
    let policy = policy(&[]);
    let table = [
        ("ftp://example.com/", Refused::Scheme("ftp".to_owned())),
        ("file:///etc/passwd", Refused::Scheme("file".to_owned())),
        ("http://user@example.com/", Refused::UserInfo),
        ("http://:secret@example.com/", Refused::UserInfo),
        ("http://example.com:22/", Refused::Port(22)),
        ("http://1.1.1.1:6379/", Refused::Port(6379)),
    ];
    for (url, expected) in table {
        assert_eq!(check(&policy, url), Err(expected), "{url}");
    }
}

#[test]
fn an_opened_network_is_reachable_on_any_port() {
    let policy = policy(&["127.0.0.0/8", "fd12::/16"]);
    assert_eq!(check(&policy, "http://127.0.0.1:9999/"), Ok(Scope::Opened));
    assert_eq!(check(&policy, "http://127.0.0.1/"), Ok(Scope::Public));
    assert_eq!(check(&policy, "http://[fd12::1]:4222/"), Ok(Scope::Opened));
    // A name on such a port must resolve into the opened network.
    assert_eq!(check(&policy, "http://intranet:9999/"), Ok(Scope::Opened));
    assert_eq!(
        check(&policy, "http://1.1.1.1:9999/"),
        Err(Refused::Port(9999))
    );
    assert!(check(&policy, "http://10.0.0.1/").is_err());
    // A wrapped address is not the address: it may leave through a translator.
    assert!(check(&policy, "http://[::ffff:127.0.0.1]/").is_err());
}
