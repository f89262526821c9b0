use super::*;

fn scope(text: &str) -> HttpScope {
    let grant: HttpGrant = toml::from_str(text).unwrap();
    HttpScope::check("the plugin p", "[plugins.p.grants.http]", &grant).unwrap()
}

fn request(method: &str, url: &str) -> OutboundRequest {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, "/".to_owned()),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap()),
        _ => (authority, if scheme == "https" { 443 } else { 80 }),
    };
    OutboundRequest {
        method: method.to_owned(),
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        port,
        path,
    }
}

#[test]
fn requests_are_held_against_the_scope() {
    let narrow = "hosts = ['api.example.org', '*.cdn.example.org', '10.0.0.1', '::1']
ports = [443, 8443]
methods = ['GET', 'POST']
paths = ['/v1', '/files/']";
    // The part of the scope that refuses; none where the request is allowed.
    let cases: [(&str, &str, Option<&str>); 48] = [
        ("GET", "https://api.example.org/v1", None),
        ("POST", "https://api.example.org:8443/v1/x", None),
        ("GET", "https://API.Example.ORG/v1/", None),
        ("GET", "https://api.example.org./v1/", None),
        ("GET", "https://a.cdn.example.org/v1", None),
        ("GET", "https://a.b.cdn.example.org/v1", None),
        ("GET", "https://10.0.0.1/v1", None),
        ("GET", "https://[::ffff:10.0.0.1]/v1", None),
        ("GET", "https://[::1]/v1", None),
        ("GET", "https://[0:0:0:0:0:0:0:1]/v1", None),
        ("GET", "https://api.example.org/files/a", None),
        ("GET", "https://cdn.example.org/v1", Some("hosts")),
        ("GET", "https://xcdn.example.org/v1", Some("hosts")),
        ("GET", "https://example.org/v1", Some("hosts")),
        ("GET", "https://api.example.org.evil.test/v1", Some("hosts")),
        ("GET", "https://evil-api.example.org/v1", Some("hosts")),
        ("GET", "https://api.example.org../v1", Some("hosts")),
        ("GET", "https://api.example.org\0.evil/v1", Some("hosts")),
        ("GET", "https:///v1", Some("hosts")),
        ("GET", "https://10.0.0.2/v1", Some("hosts")),
        ("GET", "https://167772161/v1", Some("hosts")),
        ("GET", "https://10.1/v1", Some("hosts")),
        ("GET", "https://012.0.0.1/v1", Some("hosts")),
        ("GET", "https://0xa.0.0.1/v1", Some("hosts")),
        ("GET", "https://0xa000001/v1", Some("hosts")),
        ("GET", "https://[::]/v1", Some("hosts")),
        ("GET", "https://[::1%25eth0]/v1", Some("hosts")),
        ("GET", "https://1.cdn.example.org/v1", None),
        ("GET", "http://api.example.org/v1", Some("schemes")),
        ("GET", "ftp://api.example.org:443/v1", Some("schemes")),
        ("GET", "https://api.example.org:22/v1", Some("ports")),
        ("GET", "https://api.example.org:80/v1", Some("ports")),
        ("DELETE", "https://api.example.org/v1", Some("methods")),
        ("get", "https://api.example.org/v1", Some("methods")),
        ("CONNECT", "https://api.example.org/v1", Some("methods")),
        ("GET", "https://api.example.org/", Some("paths")),
        ("GET", "https://api.example.org/v10", Some("paths")),
        ("GET", "https://api.example.org/V1", Some("paths")),
        ("GET", "https://api.example.org/files", Some("paths")),
        ("GET", "https://api.example.org/v1/../admin", Some("paths")),
        ("GET", "https://api.example.org/v1/..", Some("paths")),
        ("GET", "https://api.example.org/v1/./x", Some("paths")),
        (
            "GET",
            "https://api.example.org/v1/%2E%2e/admin",
            Some("paths"),
        ),
        (
            "GET",
            "https://api.example.org/v1/..%2fadmin",
            Some("paths"),
        ),
        (
            "GET",
            "https://api.example.org/v1/%252e%252e/x",
            Some("paths"),
        ),
        ("GET", "https://api.example.org/v1/..;a=b/x", Some("paths")),
        ("GET", "https://api.example.org/v1\\..\\x", Some("paths")),
        ("GET", "https://api.example.org//v1", Some("paths")),
    ];
    let scope = scope(narrow);
    for (method, url, refusing) in cases {
        let result = scope.request(&request(method, url));
        let Some(key) = refusing else {
            assert_eq!(result, Ok(()), "{method} {url}");
            continue;
        };
        let error = result.expect_err(url);
        assert_eq!(error.code, ErrorCode::Denied, "{url}");
        assert!(
            error.message.contains(&format!("its `{key}` are"))
                && error.message.contains("the plugin p was not granted"),
            "{url}: {}",
            error.message
        );
        let hint = error.hint.unwrap();
        assert!(hint.contains("[plugins.p.grants.http]"), "{hint}");
    }
}

#[test]
fn without_more_only_https_to_its_own_port_is_allowed() {
    let scope = scope("hosts = ['a.test']");
    for (method, url, allowed) in [
        ("GET", "https://a.test/any?thing", true),
        ("PURGE", "https://a.test/../x", true),
        ("CONNECT", "https://a.test", false),
        ("GET", "http://a.test", false),
        ("GET", "https://a.test:8443", false),
    ] {
        let result = scope.request(&request(method, url));
        assert_eq!(result.is_ok(), allowed, "{method} {url}: {result:?}");
    }
    let both = "hosts = ['a.test']\nschemes = ['http', 'https']";
    let scope = self::scope(both);
    assert!(scope.request(&request("GET", "http://a.test")).is_ok());
    assert!(scope.request(&request("GET", "http://a.test:443")).is_err());
}

#[test]
fn addresses_that_are_not_public_have_to_be_named() {
    let cases = [
        ("hosts = ['a.test']", "a.test", "93.184.216.34", true),
        ("hosts = ['localhost']", "localhost", "127.0.0.1", false),
        ("hosts = ['localhost']", "localhost", "::1", false),
        ("hosts = ['a.test']", "a.test", "169.254.169.254", false),
        ("hosts = ['a.test']", "a.test", "64:ff9b::7f00:1", false),
        ("hosts = ['a.test']", "a.test", "0.0.0.0", false),
        ("hosts = ['a.test']", "a.test", "::", false),
        (
            "hosts = ['localhost']\naddresses = ['127.0.0.0/8']",
            "localhost",
            "::ffff:127.0.0.1",
            true,
        ),
        (
            "hosts = ['localhost']\naddresses = ['127.0.0.1']",
            "localhost",
            "::1",
            false,
        ),
        // An address as host is named, for requests to that host and no other.
        ("hosts = ['127.0.0.1']", "127.0.0.1", "127.0.0.1", true),
        ("hosts = ['::1']", "[::1]", "::1", true),
        (
            "hosts = ['127.0.0.1', 'a.test']",
            "a.test",
            "127.0.0.1",
            false,
        ),
        (
            "hosts = ['127.0.0.1']",
            "::ffff:127.0.0.1",
            "::ffff:127.0.0.1",
            true,
        ),
    ];
    for (grant, host, address, allowed) in cases {
        let result = scope(grant).address(host, address.parse().unwrap());
        assert_eq!(result.is_ok(), allowed, "{grant}, {host}, {address}");
        if let Err(error) = result {
            assert_eq!(error.code, ErrorCode::Denied);
            assert!(
                error.message.contains(address) && error.message.contains("its `addresses` are"),
                "{}",
                error.message
            );
        }
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (grant, part) in [
        ("hosts = []\nports = [443]", "`hosts` is empty"),
        ("ports = [1]", "`hosts` is empty"),
        ("hosts = ['a']\nports = []", "`ports` is empty"),
        ("hosts = ['a']\nschemes = []", "`schemes` is empty"),
        ("hosts = ['a']\nmethods = []", "`methods` is empty"),
        ("hosts = ['a']\npaths = []", "`paths` is empty"),
        ("hosts = ['*']", "`*`, which is no host"),
        ("hosts = ['*.']", "`*.`, which is no host"),
        ("hosts = ['*.10.0.0.1']", "no host"),
        ("hosts = ['a.*.b']", "no host"),
        ("hosts = ['https://a']", "without scheme"),
        ("hosts = ['a:80']", "without scheme and port"),
        ("hosts = ['u@a']", "no host"),
        ("hosts = ['127.1']", "no host"),
        ("hosts = ['bücher.test']", "punycode"),
        ("hosts = ['']", "no host"),
        ("hosts = ['a']\nports = [0]", "no port"),
        ("hosts = ['a']\nmethods = ['get']", "upper case"),
        ("hosts = ['a']\nmethods = ['CONNECT']", "cannot be granted"),
        ("hosts = ['a']\npaths = ['v1']", "`v1`"),
        ("hosts = ['a']\npaths = ['/v1/../x']", "no path"),
        ("hosts = ['a']\npaths = ['/v1/*']", "no path"),
        ("hosts = ['a']\naddresses = ['localhost']", "`localhost`"),
        (
            "hosts = ['a']\naddresses = ['10.0.0.0/40']",
            "`10.0.0.0/40`",
        ),
    ] {
        let read: HttpGrant = toml::from_str(grant).unwrap();
        let error = HttpScope::check("p", "x", &read).expect_err(grant);
        assert!(error.contains(part), "{grant}: {error}");
    }
    for grant in [
        "hosts = ['a']\nport = [1]",
        "hosts = ['a']\nschemes = ['ftp']",
        "hosts = ['a']\nports = [70000]",
    ] {
        assert!(toml::from_str::<HttpGrant>(grant).is_err(), "{grant}");
    }
}

#[test]
fn a_scope_covers_what_is_within_it() {
    let wide = "hosts = ['*.example.org', 'a.test']\naddresses = ['10.0.0.0/8']";
    let strict = "hosts = ['a.test']\nmethods = ['GET']\npaths = ['/v1']\nports = [8443]";
    for (outer, inner, key) in [
        (wide, wide, None),
        (wide, "hosts = ['b.example.org']", None),
        (wide, "hosts = ['*.b.example.org']", None),
        (wide, "hosts = ['a.test']\naddresses = ['10.1.2.3']", None),
        (wide, strict, Some("ports")),
        (wide, "hosts = ['example.org']", Some("hosts")),
        (wide, "hosts = ['*.org']", Some("hosts")),
        (wide, "hosts = ['*.a.test']", Some("hosts")),
        (
            wide,
            "hosts = ['a.test']\nschemes = ['http']",
            Some("schemes"),
        ),
        (
            wide,
            "hosts = ['a.test']\naddresses = ['127.0.0.1']",
            Some("addresses"),
        ),
        (strict, strict, None),
        (
            strict,
            "hosts = ['a.test']\nmethods = ['GET']\npaths = ['/v1/a']\nports = [8443]",
            None,
        ),
        (
            strict,
            "hosts = ['a.test']\npaths = ['/v1']\nports = [8443]",
            Some("methods"),
        ),
        (
            strict,
            "hosts = ['a.test']\nmethods = ['GET']\nports = [8443]",
            Some("paths"),
        ),
        (
            strict,
            "hosts = ['a.test']\nmethods = ['GET']\npaths = ['/']\nports = [8443]",
            Some("paths"),
        ),
        (
            strict,
            "hosts = ['a.test']\nmethods = ['GET']\npaths = ['/v1']",
            Some("ports"),
        ),
    ] {
        let result = scope(outer).covers(&scope(inner));
        match key {
            None => assert_eq!(result, Ok(()), "{outer} {inner}"),
            Some(key) => {
                let error = result.expect_err(inner);
                assert!(error.starts_with(&format!("`{key}` has")), "{error}");
            }
        }
    }
}
