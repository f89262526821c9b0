//! The WebSocket, over a real socket.

use crate::support::{ECHO, HANG, Host, Served, TALK};
use cofferdam_api::ApiOptions;
use cofferdam_store::Role;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(served: &Served, token: Option<&str>) -> Result<Socket, Error> {
    let url = format!("ws://{}/api/v1/ws", served.address());
    let mut request = url.into_client_request().unwrap();
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
    }
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

async fn say(socket: &mut Socket, message: Value) {
    let text = message.to_string();
    socket.send(Message::Text(text.into())).await.unwrap();
}

/// The next JSON message, or the close code.
async fn hear(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(30), socket.next());
        match next.await.expect("something within 30 s") {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(Some(close)))) => return Err(close.code.into()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_logs_and_a_second_subscription() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let served = host.serve_plain().await;
    let mut socket = connect(&served, Some(&token)).await.unwrap();
    let run = host.start("default", TALK).await;
    say(
        &mut socket,
        json!({"type": "subscribe", "run": run, "logs": true}),
    )
    .await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "subscribed");
    let mut lines = Vec::new();
    let mut ended = false;
    let mut position = Value::Null;
    while !ended || lines.len() < 10 {
        let message = hear(&mut socket).await.unwrap();
        position = message["position"].clone();
        match message["type"].as_str().unwrap() {
            "event" => ended |= message["event"]["kind"] == "run.succeeded",
            "log" => lines.push(message["line"]["message"].clone()),
            other => panic!("{other}"),
        }
    }
    assert_eq!(lines[9], "line 9");
    // Going on after the last position gives nothing of this run again.
    let again = json!({"type": "subscribe", "run": run, "logs": true, "after": position});
    say(&mut socket, again).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "subscribed");
    say(&mut socket, json!({"type": "unsubscribe"})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "unsubscribed");
    // All runs.
    say(
        &mut socket,
        json!({"type": "subscribe", "kinds": ["run.succeeded"], "after": position}),
    )
    .await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "subscribed");
    let other = host.start("default", ECHO).await;
    assert_eq!(
        hear(&mut socket).await.unwrap()["event"]["run"],
        other.as_str()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_by_header_or_first_message() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let served = host.serve_plain().await;
    match connect(&served, Some("cof_wrong")).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 401),
        other => panic!("{other:?}"),
    }
    let mut socket = connect(&served, None).await.unwrap();
    say(&mut socket, json!({"type": "authenticate", "token": token})).await;
    let answer = hear(&mut socket).await.unwrap();
    assert_eq!(
        (&answer["type"], &answer["user"]),
        (&json!("authenticated"), &json!("anna"))
    );
    for first in [
        json!({"type": "authenticate", "token": "wrong"}),
        json!({"type": "subscribe"}),
        json!("hello"),
    ] {
        let mut socket = connect(&served, None).await.unwrap();
        say(&mut socket, first).await;
        assert_eq!(hear(&mut socket).await, Err(1008));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_with_the_grant_that_it_is_read_by() {
    let host = Host::with(ApiOptions {
        heartbeat: Duration::from_millis(300),
        ..ApiOptions::default()
    })
    .await;
    let token = host.user("anna", &[]).await;
    let served = host.serve_plain().await;
    let grant = json!({
        "user": "anna", "project": "default", "role": "read", "reason": "looking", "valid_for": 4,
    });
    host.local("POST", "/api/v1/grants", Some(grant))
        .await
        .expect(201);
    let mut socket = connect(&served, Some(&token)).await.unwrap();
    say(&mut socket, json!({"type": "subscribe"})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "subscribed");
    let end = tokio::time::timeout(Duration::from_secs(30), hear(&mut socket)).await;
    assert_eq!(end.expect("it ends"), Err(1008));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_answered_or_closes() {
    let host = Host::with(ApiOptions {
        websocket_message_limit: 1024,
        ..ApiOptions::default()
    })
    .await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let secret = host.start("other", ECHO).await;
    let served = host.serve_plain().await;
    let mut socket = connect(&served, Some(&token)).await.unwrap();
    for (message, code) in [
        (json!({"type": "dance"}), "invalid"),
        (json!({"type": "subscribe", "extra": 1}), "invalid"),
        (json!({"type": "subscribe", "logs": true}), "invalid"),
        (json!({"type": "subscribe", "run": "run-0"}), "not-found"),
        (json!({"type": "subscribe", "run": secret}), "not-found"),
        (json!({"type": "authenticate", "token": "x"}), "conflict"),
    ] {
        say(&mut socket, message.clone()).await;
        let answer = hear(&mut socket).await.unwrap();
        assert_eq!(answer["type"], "error", "{message}");
        assert_eq!(answer["problem"]["code"], code, "{message}");
    }
    socket.send(Message::Text("{".into())).await.unwrap();
    assert_eq!(hear(&mut socket).await, Err(1007));
    let mut socket = connect(&served, Some(&token)).await.unwrap();
    socket.send(Message::Binary(vec![1].into())).await.unwrap();
    assert_eq!(hear(&mut socket).await, Err(1003));
    let mut socket = connect(&served, Some(&token)).await.unwrap();
    // The connection may be gone before all is written.
    let _ = socket.send(Message::Text("x".repeat(100_000).into())).await;
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        while let Some(Ok(message)) = socket.next().await {
            assert!(!matches!(message, Message::Text(_)), "{message:?}");
        }
    });
    ended.await.expect("the connection ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_closes() {
    let host = Host::with(ApiOptions {
        heartbeat: Duration::from_millis(100),
        ..ApiOptions::default()
    })
    .await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let served = host.serve_plain().await;
    let run = host.start("default", HANG).await;
    let mut socket = connect(&served, Some(&token)).await.unwrap();
    say(&mut socket, json!({"type": "subscribe", "run": run})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "subscribed");
    let own = host
        .with_token(&token, "GET", "/api/v1/whoami", None)
        .await
        .expect(200)
        .json();
    let revoke = format!("/api/v1/tokens/{}", own["token"].as_str().unwrap());
    host.local("DELETE", &revoke, None).await.expect(200);
    loop {
        match hear(&mut socket).await {
            Ok(message) => assert_eq!(message["type"], "event"),
            Err(code) => {
                assert_eq!(code, 1008);
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_answers_no_ping_is_dropped() {
    let host = Host::with(ApiOptions {
        heartbeat: Duration::from_millis(50),
        websocket_idle: Duration::from_millis(300),
        ..ApiOptions::default()
    })
    .await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let served = host.serve_plain().await;
    // This client answers pings only while it is asked for the next message.
    let mut dead = connect(&served, Some(&token)).await.unwrap();
    let mut alive = connect(&served, Some(&token)).await.unwrap();
    let listening = tokio::time::timeout(Duration::from_secs(2), hear(&mut alive));
    assert!(listening.await.is_err(), "one that answers stays");
    // Its late pongs may find the connection gone before the close frame is read.
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        while let Some(Ok(message)) = dead.next().await {
            assert!(!matches!(message, Message::Text(_)), "{message:?}");
        }
    });
    ended.await.expect("the connection ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_says_so() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let mut served = host.serve_plain().await;
    let mut socket = connect(&served, Some(&token)).await.unwrap();
    say(&mut socket, json!({"type": "subscribe"})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "subscribed");
    served.stop();
    assert_eq!(hear(&mut socket).await, Err(1001));
    drop(socket);
    served.task.await.unwrap().unwrap();
}
