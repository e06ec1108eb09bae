//! Alerts of other products come in by the API and stand in the queue.

use serde_json::{Value, json};

use crate::api::Stage;

#[tokio::test]
async fn an_alert_of_another_product_comes_in_once_and_counts_for_its_device() {
    let stage = Stage::new(0).await;
    let alert = json!({
        "product": "Scanner", "external_id": "7", "title": "Odd program", "severity": "High",
        "host": "https://evil.test/a", "device_name": "Phone", "url": "https://scanner.example/7",
    });
    let came = stage.webhook(alert.clone()).await;
    assert_eq!((&came["taken"], &came["items"][0]["outcome"]), (&1.into(), &"new".into()));
    let id = came["items"][0]["alert"].as_str().unwrap().to_owned();
    let shown = stage.get(&format!("/api/v1/alerts/{id}")).await;
    assert_eq!(shown["device"]["id"], stage.device.id.to_string());
    for (field, expected) in [
        ("detector", "external"),
        ("source", "Scanner"),
        ("severity", "High"),
        ("host", "evil.test"),
        ("title", "Odd program"),
        ("category", "SuspiciousActivity"),
    ] {
        assert_eq!(shown[field], expected, "{field}");
    }
    let device = stage.get(&format!("/api/v1/devices/{}", stage.device.id)).await;
    assert_eq!((&device["risk"], &device["unresolved"]["high"]), (&"High".into(), &1.into()));

    // The same once more is nothing; something else under its id is once more.
    assert_eq!(stage.webhook(alert.clone()).await["items"][0]["outcome"], "unchanged");
    let mut other = alert;
    other["description"] = "It ran again.".into();
    let again = stage.webhook(other).await;
    assert_eq!(
        again["items"][0],
        json!({
            "outcome": "updated", "external_id": "7", "alert": id, "problem": null,
        })
    );
    assert_eq!(stage.get(&format!("/api/v1/alerts/{id}")).await["count"], 2);
    assert_eq!(stage.get("/api/v1/incidents").await["items"][0]["alerts"], 1);

    let page = stage.browser.get(&format!("/alerts/{id}")).await.text();
    for text in ["Scanner raised this alert.", "It ran again.", "https://scanner.example/7"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let evidence = stage.get(&format!("/api/v1/alerts/{id}/evidence")).await;
    assert_eq!((&evidence["product"], &evidence["external_id"]), (&"Scanner".into(), &"7".into()));
    assert!(evidence["original"].as_str().unwrap().contains("It ran again."), "{evidence}");
    let any = [("if-match", "*")];
    let path = format!("/api/v1/alerts/{id}");
    let resolved = stage.send("PATCH", &path, &any, json!({ "status": "Resolved" })).await;
    assert_eq!(resolved.status, 200);
    let device = stage.get(&format!("/api/v1/devices/{}", stage.device.id)).await;
    assert_eq!(device["risk"], "None");
}

#[tokio::test]
async fn a_device_that_only_others_know_gets_a_record_of_its_own() {
    let stage = Stage::new(0).await;
    let alert = |id: &str, name: &str| {
        json!({
            "product": "Scanner", "external_id": id, "title": "Odd", "severity": "Low",
            "device_name": name, "os": "Windows 11",
        })
    };
    let came =
        stage.webhook(json!([alert("1", "laptop-7"), alert("2", "laptop-7"), alert("3", "")]));
    assert_eq!(came.await["taken"], 3);
    let devices = stage.get("/api/v1/devices").await;
    let names: Vec<_> = devices["items"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names.len(), 3, "{devices}");
    assert!(names.contains(&&"laptop-7".into()) && names.contains(&&"Scanner".into()), "{names:?}");
    let laptop = devices["items"].as_array().unwrap().iter().find(|it| it["name"] == "laptop-7");
    let laptop = laptop.unwrap();
    assert_eq!((&laptop["protection"], &laptop["unresolved"]["low"]), (&Value::Null, &2.into()));
    let page = stage.browser.get(&format!("/devices/{}", laptop["id"].as_str().unwrap())).await;
    assert_eq!(page.status, 200);
    // It has no key, so it can neither sign in nor be behind with its policy.
    let policy = stage.browser.get("/policy").await.text();
    assert!(!policy.contains("2 devices"), "{policy}");
}

#[tokio::test]
async fn several_are_taken_and_those_that_cannot_be_read_are_told() {
    let stage = Stage::new(0).await;
    let finding = |uid: &str| {
        json!({
            "class_uid": 2004, "severity_id": 3, "finding_info": { "uid": uid, "title": "T" },
            "metadata": { "product": { "name": "EDR" } },
        })
    };
    let both = json!([finding("a"), { "class_uid": 1 }, finding("b")]);
    let came: Value = stage.send("POST", "/api/v1/intake/ocsf", &[], both).await.json();
    let outcomes: Vec<_> = came["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["new", "refused", "new"]);
    let none = stage.send("POST", "/api/v1/intake/ocsf", &[], json!({ "class_uid": 1 })).await;
    assert_eq!(none.problem(), (422, "unfit".into()));

    let list = json!({ "value": [{ "id": "da1", "title": "X", "severity": "Medium" }] });
    let came: Value = stage.send("POST", "/api/v1/intake/defender", &[], list).await.json();
    assert_eq!((&came["taken"], &came["items"][0]["external_id"]), (&1.into(), &"da1".into()));
    let many = Value::from(vec![finding("a"); 101]);
    assert_eq!(stage.send("POST", "/api/v1/intake/ocsf", &[], many).await.problem().0, 400);
    let audit = stage.get("/api/v1/audit?action=alert.intake").await;
    assert_eq!(audit["items"].as_array().unwrap().len(), 2);
    assert_eq!(audit["items"][0]["object"]["id"], "Microsoft Defender for Endpoint");
}

impl Stage {
    async fn webhook(&self, body: Value) -> Value {
        self.send("POST", "/api/v1/intake/webhook", &[], body).await.json()
    }
}
