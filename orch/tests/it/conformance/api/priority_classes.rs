//! The part of `test/e2e/scheduling/preemption.go` about priority classes.

use super::*;

/// [sig-scheduling] SchedulerPreemption PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn the_value_of_a_priority_class_stays() {
    let here = World::without_controllers().await;
    let classes = here.of(&Gvr::of("scheduling.k8s.io", "v1", "priorityclasses"));
    let mut made = Vec::new();
    for (name, value) in [("p1", 1), ("p2", 2)] {
        let class = json!({"metadata": {"name": name, "labels": {"e2e": "endpoints"}}, "value": value});
        made.push(classes.create(class).await);
    }
    let refused = classes.patch_with("p1", Patch::Strategic(json!({"value": 10}))).await.unwrap_err();
    assert_eq!(refused.code(), 422, "{refused}");
    let mut changed = made[1].clone();
    changed["value"] = 20.into();
    let refused = classes.try_replace(changed).await.unwrap_err();
    assert!(refused.message().contains("may not be changed in an update"), "{refused}");

    classes.patch("p1", json!({"description": "updated description"})).await;
    let mut changed = made[1].clone();
    changed["description"] = "updated description".into();
    classes.replace(changed).await;
    assert!(classes.list("").await.len() >= 2);
    for class in &made {
        let live = classes.get(&name(class)).await;
        assert_eq!((&live["value"], &live["description"]), (&class["value"], &json!("updated description")));
        assert!(revision(&live) > revision(class));
    }
    classes.end_all("e2e=endpoints").await;
}
