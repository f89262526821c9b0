//! What one client may take.

use crate::support::{ECHO, Host, loopback};
use cofferdam_api::{ApiOptions, Rate, ServeOptions};
use cofferdam_store::Role;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_its_rate() {
    let host = Host::with(ApiOptions {
        token_rate: Rate::new(1, 5),
        ..ApiOptions::default()
    })
    .await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let other = host.token("anna", None).await;
    for _ in 0..5 {
        host.with_token(&token, "GET", "/api/v1/whoami", None)
            .await
            .expect(200);
    }
    let answer = host
        .with_token(&token, "GET", "/api/v1/whoami", None)
        .await
        .expect(429);
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(answer.json()["code"], "limit");
    host.with_token(&other, "GET", "/api/v1/whoami", None)
        .await
        .expect(200);
    host.local("GET", "/api/v1/whoami", None).await.expect(200);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    host.with_token(&token, "GET", "/api/v1/whoami", None)
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_its_rate() {
    let host = Host::with(ApiOptions {
        address_rate: Rate::new(1, 3),
        ..ApiOptions::default()
    })
    .await;
    let served = host.serve_plain().await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer = reqwest::get(served.url("/health/live")).await.unwrap();
        if answer.status() == 429 {
            assert!(answer.headers().contains_key("retry-after"));
        }
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses[..3], [200, 200, 200]);
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_is_refused() {
    let host = Host::with(ApiOptions {
        body_limit: 4096,
        ..ApiOptions::default()
    })
    .await;
    let fits = json!({"workflow": {"source": ECHO}});
    host.local("POST", "/api/v1/runs", Some(fits))
        .await
        .expect(201);
    let long = json!({"workflow": {"source": "#".repeat(5000)}});
    let answer = host
        .local("POST", "/api/v1/runs", Some(long))
        .await
        .expect(413);
    assert_eq!(answer.json()["code"], "limit");
}

fn impatient() -> ServeOptions {
    ServeOptions {
        header_timeout: Duration::from_millis(300),
        write_timeout: Duration::from_millis(300),
        handshake_timeout: Duration::from_millis(300),
        ..ServeOptions::default()
    }
}

/// Reads to the end; the connection was closed by the server.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut all));
    // A reset is an end too.
    let _ = read.await.expect("the server closes");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_dawdle_are_dropped() {
    let host = Host::with(ApiOptions {
        body_timeout: Duration::from_millis(300),
        ..ApiOptions::default()
    })
    .await;
    let token = host.user("anna", &[("default", Role::Deploy)]).await;
    let served = host.serve(loopback(), impatient()).await;
    // Says nothing.
    let mut silent = TcpStream::connect(served.address()).await.unwrap();
    closed(&mut silent).await;
    // Sends a header, a byte at a time.
    let slow = TcpStream::connect(served.address()).await.unwrap();
    let (mut reader, mut writer) = slow.into_split();
    let sender = tokio::spawn(async move {
        for byte in b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: "
            .iter()
            .cycle()
        {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), reader.read_to_end(&mut answer));
    let _ = read.await.expect("the server closes");
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    sender.abort();
    // Sends half a body.
    let mut half = TcpStream::connect(served.address()).await.unwrap();
    let head = format!(
        "POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    half.write_all(head.as_bytes()).await.unwrap();
    let answer = closed(&mut half).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 408"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    // An idle connection that is kept alive.
    let mut idle = TcpStream::connect(served.address()).await.unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let answer = closed(&mut idle).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_dropped() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    // Megabytes to send, more than sockets take unread.
    let source = format!("{ECHO}\n# {}\n", "x".repeat(200_000));
    for _ in 0..60 {
        host.start("default", &source).await;
    }
    let run = host.start("default", &source).await;
    let served = host.serve(loopback(), impatient()).await;
    let mut stream = TcpStream::connect(served.address()).await.unwrap();
    let request = format!(
        "GET /api/v1/runs/{run} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    // Pipelined, and never read.
    let sent = async {
        for _ in 0..100 {
            if stream.write_all(request.as_bytes()).await.is_err() {
                return;
            }
        }
        let mut bytes = [0; 1];
        // The server gives up; what arrived first is still there to be read.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut total = 0_u64;
        while let Ok(count) = stream.read(&mut bytes).await {
            if count == 0 {
                break;
            }
            total += 1;
            if total > 15_000_000 {
                break;
            }
        }
        assert!(total < 15_000_000, "everything was sent");
    };
    tokio::time::timeout(Duration::from_secs(60), sent)
        .await
        .expect("the server gives up");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_past_the_most_wait_for_a_place() {
    let host = Host::new().await;
    let options = ServeOptions {
        max_connections: 2,
        ..impatient()
    };
    let served = host.serve(loopback(), options).await;
    let _one = TcpStream::connect(served.address()).await.unwrap();
    let _two = TcpStream::connect(served.address()).await.unwrap();
    // Both are dropped for their silence, and then this one is served.
    let answer = reqwest::get(served.url("/health/live")).await.unwrap();
    assert_eq!(answer.status(), 200);
}
