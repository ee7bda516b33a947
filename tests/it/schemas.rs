#[test]
fn show() {
    println!("{}", serde_json::to_string_pretty(&alert_responder::cli::schemas::alert()).unwrap());
    println!("{}", serde_json::to_string_pretty(&alert_responder::cli::schemas::scan_event()).unwrap());
}
