use crate::node::{LONG, Node, toolbox};
use orch_node::image::TOOLBOX_IMAGE;
use orch_runtime::node::container::{ContainerConfig, ContainerRuntime, ContainerState};
use std::time::Duration;

pub(crate) async fn a_new_agent_adopts_what_runs_and_learns_what_ended() {
    let node = Node::new().await;
    let sandbox = node.new_pod().await;
    let mut ids = Vec::new();
    for (name, args) in [("stays", &["serve", "--port", "0"][..]), ("ends", &["exit", "9", "--after", "0.5"])] {
        let labels = [("app".to_owned(), name.to_owned())].into();
        let log_path = format!("{name}.log").into();
        let config = ContainerConfig { name: name.into(), labels, log_path, ..toolbox(args) };
        let container = node.create_container(&sandbox, config).await.unwrap();
        node.start_container(&container).await.unwrap();
        ids.push(container);
    }
    let before = node.find(&ids[0]).await;
    let dir = node.kill_agent();
    tokio::time::sleep(Duration::from_secs(1)).await;

    let node = Node::open(dir).await;
    let pods = node.list().await.unwrap();
    assert_eq!(pods.len(), 1);
    assert!(pods[0].ready && pods[0].id == sandbox);
    assert_eq!(node.find(&ids[0]).await, before, "same id, labels, state and process");
    assert_eq!(node.end(&ids[1]).await, (9, "Error".into()));
    assert_eq!(node.output(&ids[0], &["echo", "hello"]).await, "hello\n");
    node.stop_container(&ids[0], LONG).await.unwrap();
    assert_eq!(node.end(&ids[0]).await.0, 0);
    node.clean().await;
}

pub(crate) async fn nodes_of_a_machine_share_images_and_nothing_else() {
    let [one, two] = Node::two(Node::new().await.kill_agent()).await;
    let (sandbox, container) = two.start(toolbox(&["serve", "--port", "0"])).await;
    assert!(one.list().await.unwrap().is_empty(), "what runs there is not here");
    let error = one.remove_image(TOOLBOX_IMAGE).await.unwrap_err().to_string();
    assert!(error.contains("in use"), "{error}");
    drop(one);
    let [one, two] = Node::two(two.kill_agent()).await;
    assert!(one.list().await.unwrap().is_empty());
    assert_eq!(two.list().await.unwrap()[0].id, sandbox);
    assert_eq!(two.output(&container, &["echo", "hello"]).await, "hello\n");
    two.clean().await;
    one.remove_image(TOOLBOX_IMAGE).await.unwrap();
    assert_eq!(one.image(TOOLBOX_IMAGE).await.unwrap(), None);
}

pub(crate) async fn a_shim_keeps_nothing_open_of_those_who_started_the_agent() {
    let node = Node::new().await;
    let held = node.dir.path().join("held");
    let flags = nix::fcntl::OFlag::O_CREAT | nix::fcntl::OFlag::O_RDWR;
    let inheritable = nix::fcntl::open(&held, flags, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (sandbox, container) = node.start(toolbox(&["serve", "--port", "0"])).await;
    nix::unistd::close(inheritable).unwrap();
    let ContainerState::Running { pid, .. } = node.find(&container).await.state else { panic!("not running") };
    for pid in [pid, node.sandbox(&sandbox).await.unwrap().pid] {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let open: Vec<_> = open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
        assert!(!open.is_empty() && !open.contains(&held), "{open:?}");
    }
    node.clean().await;
}

pub(crate) async fn when_the_shim_is_killed_its_containers_are_ended() {
    let node = Node::new().await;
    let (sandbox, container) = node.start(toolbox(&["sleep", "infinity"])).await;
    let ContainerState::Running { pid, .. } = node.find(&container).await.state else { panic!("not running") };
    let shim = node.sandbox(&sandbox).await.unwrap().pid;
    let shim = nix::unistd::Pid::from_raw(shim.try_into().unwrap());
    nix::sys::signal::kill(shim, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(node.end(&container).await.0, 137);
    assert!(!node.sandbox(&sandbox).await.unwrap().ready);
    while std::path::Path::new(&format!("/proc/{pid}/root/bin")).exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    node.clean().await;
}
