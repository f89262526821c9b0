//! TLS, the Unix socket, shutdown.

use crate::support::{ECHO, GATED, HANG, Host, loopback};
use cofferdam_api::{ListenOptions, ServeOptions, TlsFiles};
use cofferdam_store::Role;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_a_certificate_of_ones_own() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let file = |name: &str, text: &str| {
        let path = host.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let listen = ListenOptions {
        tls: Some(TlsFiles {
            certificate: file("cert.pem", &made.cert.pem()),
            key: file("key.pem", &made.signing_key.serialize_pem()),
        }),
        // Others may reach it: there is TLS.
        addresses: vec![([0, 0, 0, 0], 0).into()],
        ..ListenOptions::default()
    };
    let served = host.serve(listen, ServeOptions::default()).await;
    let port = served.address().port();
    let certificate = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([certificate])
        .build()
        .unwrap();
    let answer = client
        .get(format!("https://localhost:{port}/api/v1/whoami"))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    // Without TLS nothing is answered.
    reqwest::get(format!("http://127.0.0.1:{port}/health/live"))
        .await
        .unwrap_err();
    // A client that does not know the certificate does not speak.
    let strange = reqwest::Client::builder()
        .tls_certs_only([])
        .build()
        .unwrap();
    strange
        .get(format!("https://localhost:{port}/health/live"))
        .send()
        .await
        .unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_the_owners_door() {
    let host = Host::new().await;
    let path = host.folder.path().join("host.sock");
    let listen = ListenOptions {
        socket: Some(path.clone()),
        local_user: Some("root".to_owned()),
        ..ListenOptions::default()
    };
    let mut served = host.serve(listen, ServeOptions::default()).await;
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get("/api/v1/whoami")
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (body["user"].as_str(), body["token"].as_str()),
        (Some("root"), None)
    );
    drop(sender);
    served.stop();
    served.task.await.unwrap().unwrap();
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_streams_and_lets_requests_end() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Deploy)]).await;
    let waiting = host.start("default", GATED).await;
    host.wait(&waiting, "waiting-approval").await;
    let hanging = host.start("default", HANG).await;
    let mut served = host.serve(loopback(), ServeOptions::default()).await;
    let client = reqwest::Client::new();
    let get = |path: &str| client.get(served.url(path)).bearer_auth(&token).send();
    let mut stream = get("/api/v1/events").await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let url = served.url("/health/live");
    served.stop();
    // The stream ends of itself, well before the deadline cuts it off.
    let ended = tokio::time::timeout(Duration::from_secs(8), async {
        while let Ok(Some(_)) = stream.chunk().await {}
    });
    ended.await.expect("the stream ends");
    served.task.await.unwrap().unwrap();
    reqwest::get(url).await.unwrap_err();
    // Runs are not touched by the end of the server.
    for (run, state) in [(&waiting, "waiting-approval"), (&hanging, "running")] {
        let path = format!("/api/v1/runs/{run}");
        let view = host.local("GET", &path, None).await.expect(200).json();
        assert_eq!(view["run"]["state"], state);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_for_ever() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Deploy)]).await;
    let options = ServeOptions {
        shutdown_timeout: Duration::from_millis(300),
        ..ServeOptions::default()
    };
    let mut served = host.serve(loopback(), options).await;
    // Half a request, which the server waits for.
    let mut half = tokio::net::TcpStream::connect(served.address())
        .await
        .unwrap();
    let head = format!(
        "POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    );
    tokio::io::AsyncWriteExt::write_all(&mut half, head.as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.stop();
    let ended = tokio::time::timeout(Duration::from_secs(10), served.task);
    ended.await.expect("the server ends").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docs_page_is_served_whole() {
    let host = Host::new().await;
    let served = host.serve_plain().await;
    let page = reqwest::get(served.url("/docs/")).await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(page.contains("swagger-ui-bundle.js"), "{page}");
    for file in [
        "swagger-ui-bundle.js",
        "swagger-ui.css",
        "swagger-initializer.js",
    ] {
        let answer = reqwest::get(served.url(&format!("/docs/{file}")))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{file}");
        let text = answer.text().await.unwrap();
        if file == "swagger-initializer.js" {
            assert!(text.contains("/openapi.json"), "{text}");
        }
    }
    // An unrelated run shows that the page needs nothing from the network but this host.
    assert!(!page.contains("https://"), "{page}");
    host.start("default", ECHO).await;
}
