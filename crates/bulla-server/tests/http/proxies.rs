//! Which address counts.

use std::net::IpAddr;

use bulla_server::{ApiError, Audit, Config, Endpoint, Network, Text};

use super::setting::{TestDoor, builder};
use super::wire::{Running, local};

async fn seen(config: Config, headers: &str) -> String {
    let source = Endpoint::get("test.source", "/v1/source").open_to_all().audit(Audit::Unrecorded);
    let source = source.plain(|call| async move {
        Ok::<_, ApiError>(Text(
            "text/plain",
            call.peer().source().map(|address| address.to_string()).unwrap_or_default(),
        ))
    });
    let running = Running::start(config.listen(local()), builder(&TestDoor::default()).await.endpoints([source])).await;
    let text = running.say(format!("GET /v1/source HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n")).await;
    text.rsplit("\r\n").next().unwrap().to_owned()
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_trusted_proxy_says_where_a_request_comes_from() {
    assert_eq!(seen(Config::default(), "x-forwarded-for: 192.0.2.1\r\n").await, "127.0.0.1");
    let other = Config::default().trust_proxy(network("10.0.0.0/8"));
    assert_eq!(seen(other, "x-forwarded-for: 192.0.2.1\r\n").await, "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn hops_are_counted_from_the_right_up_to_the_first_that_is_not_trusted() {
    let config = || Config::default().trust_proxy(network("127.0.0.0/8")).trust_proxy(network("10.0.0.0/8"));
    for (headers, source) in [
        ("", "127.0.0.1"),
        ("x-forwarded-for: 192.0.2.1\r\n", "192.0.2.1"),
        ("x-forwarded-for: 6.6.6.6, 192.0.2.1\r\n", "192.0.2.1"),
        ("x-forwarded-for: 6.6.6.6, 192.0.2.1, 10.1.2.3\r\n", "192.0.2.1"),
        ("x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 192.0.2.1,10.1.2.3\r\n", "192.0.2.1"),
        ("x-forwarded-for: not an address, 192.0.2.1, 10.1.2.3\r\n", "192.0.2.1"),
        ("x-forwarded-for: 192.0.2.1:4711, [2001:db8::7]:80\r\n", "2001:db8::7"),
        ("x-forwarded-for: 2001:db8::1\r\n", "2001:db8::1"),
        ("x-forwarded-for: ::ffff:192.0.2.1\r\n", "192.0.2.1"),
        ("x-forwarded-for: 10.0.0.1, 10.0.0.2\r\n", "10.0.0.1"),
    ] {
        assert_eq!(seen(config(), headers).await, source, "{headers}");
    }
    // Nobody is taken for the proxy by writing what cannot be read.
    for headers in ["6.6.6.6, not an address, 10.1.2.3", "6.6.6.6, not an address", "\u{e9}, 10.1.2.3", ""] {
        let answer = seen(config(), &format!("x-forwarded-for: {headers}\r\n")).await;
        assert!(answer.contains("bad_forwarded"), "{headers}: {answer}");
    }
}

#[test]
fn a_range_of_addresses_is_read_strictly() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(network("10.0.0.0/8").contains(address("10.255.0.1")));
    assert!(!network("10.0.0.0/8").contains(address("11.0.0.0")));
    assert!(network("0.0.0.0/0").contains(address("255.1.2.3")));
    assert!(!network("0.0.0.0/0").contains(address("::1")));
    assert!(network("192.0.2.1").contains(address("::ffff:192.0.2.1")));
    assert!(network("::/0").contains(address("2001:db8::1")));
    assert!(network("2001:db8::/32").contains(address("2001:db8:ffff::1")));
    assert!(!network("2001:db8::/32").contains(address("2001:db9::1")));
    for bad in ["", "10.0.0.0/33", "10.0.0.1/8", "::1/64", "::/129", "10.0.0.0/", "10.0.0.0/+8", "a/8", "10.0.0.0/8/8"]
    {
        assert!(bad.parse::<Network>().is_err(), "{bad}");
    }
}
