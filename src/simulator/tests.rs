//! The simulator over plain HTTP, as `curl` would see it; the client's view is tested beside the crate.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

const TENANT: &str = "1228d172-029d-54e1-81c4-e82adcba5353";
const ID: &str = "2eeb1689b274fc8f816c48ac9219e820fc4de080";
const SCOPE: &str = "scope=https%3A%2F%2Fapi.securitycenter.microsoft.com%2F.default";
const LOGIN: &str = "client_id=f617dd7a-e131-5de7-bb91-af000f2b74c2&grant_type=client_credentials";

/// Status, head and body.
async fn call(simulator: &Simulator, method: &str, target: &str, token: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(simulator.address()).await.unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

async fn value(simulator: &Simulator, method: &str, target: &str, token: &str, body: &str) -> (u16, Value) {
    let (status, _, body) = call(simulator, method, target, token, body).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

async fn token(simulator: &Simulator) -> String {
    let form = format!("{LOGIN}&{SCOPE}&client_secret=simulator-secret");
    let (_, answer) = value(simulator, "POST", &format!("/{TENANT}/oauth2/v2.0/token"), "", &form).await;
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn both_token_endpoints_and_their_errors() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let secret = "client_secret=simulator-secret";
    let resource = "resource=https%3A%2F%2Fapi.securitycenter.microsoft.com";
    let (v1, v2) = (format!("/{TENANT}/oauth2/token"), format!("/{TENANT}/oauth2/v2.0/token"));
    let (status, answer) = value(&simulator, "POST", &v1, "", &format!("{LOGIN}&{secret}&{resource}")).await;
    assert_eq!((status, &answer["expires_in"]), (200, &json!("3599")), "text in v1");
    let (_, answer) = value(&simulator, "POST", &v2, "", &format!("{LOGIN}&{secret}&{SCOPE}")).await;
    assert_eq!(answer["expires_in"], 3599, "a number in v2");
    for (path, form, status, error) in [
        (&v2, format!("{LOGIN}&{SCOPE}&client_secret=x"), 401, "invalid_client"),
        (&v2, format!("{LOGIN}&{SCOPE}"), 401, "invalid_client"),
        (&v2, format!("{LOGIN}&{secret}&{resource}"), 400, "invalid_request"),
        (&v2, format!("{LOGIN}&{secret}&scope=x"), 400, "invalid_scope"),
        (&v2, format!("client_id=x&grant_type=client_credentials&{SCOPE}&{secret}"), 400, "unauthorized_client"),
        (&"/other/oauth2/v2.0/token".to_owned(), format!("{LOGIN}&{secret}&{SCOPE}"), 400, "invalid_request"),
    ] {
        let (found, answer) = value(&simulator, "POST", path, "", &form).await;
        assert_eq!((found, &answer["error"]), (status, &json!(error)), "{form}");
    }
}

#[tokio::test]
async fn the_body_of_a_scan_request_is_case_sensitive() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let token = token(&simulator).await;
    let path = format!("/api/v1.0/machines/{ID}/runAntiVirusScan");
    for (body, code) in [
        (r#"{"comment":"a","ScanType":"Quick"}"#, "InvalidRequestBody"),
        ("nonsense", "InvalidRequestBody"),
        ("[]", "InvalidRequestBody"),
        (r#"{"Comment":"a"}"#, "MissingRequiredParameter"),
        (r#"{"ScanType":"Quick"}"#, "MissingRequiredParameter"),
        (r#"{"Comment":"a","ScanType":"quick"}"#, "InvalidInput"),
    ] {
        let (status, answer) = value(&simulator, "POST", &path, &token, body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)), "{body}");
        assert!(answer["error"]["target"].as_str().is_some_and(|target| target.len() == 36));
    }
    let body = r#"{"Comment":"a","ScanType":"Full"}"#;
    let (status, answer) = value(&simulator, "POST", &path, "forged.token.x", body).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!("Unauthorized")));
    let (status, answer) = value(&simulator, "POST", &path, &token, body).await;
    assert_eq!((status, &answer["scope"], &answer["status"]), (201, &json!("Full"), &json!("Pending")));
    assert_eq!(simulator.accepted_scans().len(), 1);
    let (status, answer) = value(&simulator, "GET", "/api/machineactions?$filter=nonsense", &token, "").await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("ODataError")));
    let filter = format!("/api/machineactions?$filter=machineId+eq+'{ID}'%20and%20status%20eq%20'Pending'&$top=1");
    let (status, answer) = value(&simulator, "GET", &filter, &token, "").await;
    assert_eq!((status, answer["value"].as_array().map(Vec::len)), (200, Some(1)));
    let id = answer["value"][0]["id"].as_str().unwrap();
    let (status, one) = value(&simulator, "GET", &format!("/api/machineactions/{id}"), &token, "").await;
    assert_eq!((status, &one["id"]), (200, &json!(id)));
    let named = "/api/machines?$filter=computerDnsName%20eq%20'WS-0417.corp.contoso.com'";
    let (_, answer) = value(&simulator, "GET", named, &token, "").await;
    assert_eq!(answer["value"][0]["id"], ID);
}

#[tokio::test]
async fn control_over_http() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let token = token(&simulator).await;
    assert_eq!(value(&simulator, "GET", "/simulator/health", "", "").await.0, 200);
    let machine = r#"{"name":"sim-429-date-1","tags":["x"]}"#;
    let (_, answer) = value(&simulator, "POST", "/simulator/machines", "", machine).await;
    let id = answer["id"].as_str().unwrap().to_owned();
    assert_eq!(id, machine_id_of("sim-429-date-1"));
    let path = format!("/api/machines/{id}/runAntiVirusScan");
    let body = r#"{"Comment":"a","ScanType":"Quick"}"#;
    let (status, head, _) = call(&simulator, "POST", &path, &token, body).await;
    assert!(status == 429 && head.contains("retry-after: ") && head.contains(" gmt"), "{head}");
    let fault = r#"{"fault":"status","status":502,"scope":"scans"}"#;
    assert_eq!(value(&simulator, "POST", "/simulator/faults", "", fault).await.0, 200);
    assert_eq!(call(&simulator, "POST", &path, &token, body).await.0, 502);
    assert_eq!(value(&simulator, "DELETE", "/simulator/faults", "", "").await.0, 200);
    assert_eq!(call(&simulator, "POST", &path, &token, body).await.0, 429);
    assert_eq!(value(&simulator, "POST", "/simulator/faults", "", r#"{"fault":"refuse"}"#).await.0, 400);
    let foreign = format!(r#"{{"machine_id":"{ID}","scan_type":"Full"}}"#);
    assert_eq!(value(&simulator, "POST", "/simulator/actions", "", &foreign).await.0, 200);
    assert_eq!(value(&simulator, "POST", "/simulator/revoke-tokens", "", "").await.0, 200);
    assert_eq!(call(&simulator, "POST", &path, &token, body).await.0, 401);
    let (_, summary) = value(&simulator, "GET", "/simulator/summary", "", "").await;
    assert_eq!(summary["statuses"]["scan"], json!({ "401": 1, "429": 2, "502": 1 }));
    assert_eq!(summary["most_in_any_window"][0]["scan_calls"], 4);
    let (_, _, log) = call(&simulator, "GET", "/simulator/log", "", "").await;
    let calls: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(calls.len(), 5, "control calls are not in it");
    assert_eq!((&calls[0]["endpoint"], &calls[2]["status"]), (&json!("token"), &json!(502)));
}
