use crate::node::{LONG, Node, toolbox, words};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};
use orch_runtime::node::container::{
    ContainerConfig, ContainerRuntime, ContainerState, Mount, Propagation, Resources, RuntimeError, SandboxConfig,
    Security,
};
use std::{fs, time::Duration};
use tokio::time::Instant;

pub(crate) async fn a_container_runs_and_its_exit_code_is_kept() {
    let node = Node::new().await;
    let sandbox = node.new_pod().await;
    assert!(node.sandbox(&sandbox).await.is_ok_and(|pod| pod.ready && pod.pid > 0));
    let container = node.create_container(&sandbox, toolbox(&["exit", "7"])).await.unwrap();
    assert_eq!(node.find(&container).await.state, ContainerState::Created);
    node.start_container(&container).await.unwrap();
    assert_eq!(node.end(&container).await, (7, "Error".into()));
    let fine = node.create_container(&sandbox, toolbox(&["true"])).await.unwrap();
    node.start_container(&fine).await.unwrap();
    assert_eq!(node.end(&fine).await, (0, "Completed".into()));
    node.stop_sandbox(&sandbox).await.unwrap();
    let stopped = node.sandbox(&sandbox).await.unwrap();
    assert!(!stopped.ready);
    assert_eq!(node.end(&container).await.0, 7, "kept after the sandbox was stopped");
    node.clean().await;
}

pub(crate) async fn what_a_container_prints_is_in_its_log() {
    let node = Node::new().await;
    let (_, container) = node.start(toolbox(&["echo", "hello", "there"])).await;
    node.end(&container).await;
    assert_eq!(node.log("main.log"), ["stdout F hello there"]);
    let (_, bad) = node.start(ContainerConfig { log_path: "bad.log".into(), ..toolbox(&["nonsense"]) }).await;
    assert_eq!(node.end(&bad).await.0, 127);
    assert_eq!(node.log("bad.log").first().unwrap(), "stderr F toolbox: no command \"nonsense\"");
    node.clean().await;
}

pub(crate) async fn a_log_is_reopened_after_it_was_renamed() {
    let node = Node::new().await;
    let (_, container) = node.start(toolbox(&["serve", "--port", "0"])).await;
    let log = node.logs().join("main.log");
    while node.log("main.log").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fs::rename(&log, log.with_extension("1")).unwrap();
    node.reopen_log(&container).await.unwrap();
    assert!(log.exists() && node.log("main.log").is_empty());
    node.clean().await;
}

pub(crate) async fn a_container_over_its_memory_is_killed_and_says_so() {
    let node = Node::new().await;
    let limit = Resources { memory_bytes: Some(50 << 20), ..Default::default() };
    let (_, container) = node.start(ContainerConfig { resources: limit, ..toolbox(&["allocate", "100"]) }).await;
    assert_eq!(node.end(&container).await, (137, "OOMKilled".into()));
    node.clean().await;
}

pub(crate) async fn stopping_sends_the_signal_and_waits_then_kills() {
    let node = Node::new().await;
    let (_, polite) = node.start(toolbox(&["sleep", "infinity"])).await;
    node.handles_signals(&polite).await;
    node.stop_container(&polite, LONG).await.unwrap();
    assert_eq!(node.end(&polite).await.0, 143);
    node.stop_container(&polite, LONG).await.unwrap();

    let (_, graceful) = node.start(toolbox(&["serve", "--port", "0"])).await;
    while node.log("main.log").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    node.stop_container(&graceful, LONG).await.unwrap();
    assert_eq!(node.end(&graceful).await, (0, "Completed".into()));

    // It does not know SIGUSR1 and, as the first process of its namespace, ignores it.
    let stubborn = ContainerConfig { stop_signal: Some("SIGUSR1".into()), ..toolbox(&["sleep", "infinity"]) };
    let (_, stubborn) = node.start(stubborn).await;
    let started = Instant::now();
    node.stop_container(&stubborn, Duration::from_millis(300)).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(node.end(&stubborn).await.0, 137);
    node.clean().await;
}

pub(crate) async fn a_command_that_is_not_there_is_a_start_error() {
    let node = Node::new().await;
    let sandbox = node.new_pod().await;
    let config = ContainerConfig { command: words(&["nope"]), ..toolbox(&[]) };
    let container = node.create_container(&sandbox, config).await.unwrap();
    let error = node.start_container(&container).await.unwrap_err();
    assert_eq!(error, RuntimeError::Start("exec: \"nope\": executable file not found in $PATH".into()));
    assert_eq!(node.end(&container).await, (128, "ContainerCannotRun".into()));
    let missing = ContainerConfig { image: "example.com/none".into(), ..toolbox(&[]) };
    assert!(matches!(node.create_container(&sandbox, missing).await, Err(RuntimeError::NotFound(_))));
    node.clean().await;
}

pub(crate) async fn user_environment_and_read_only_root_are_applied() {
    let node = Node::new().await;
    let security = Security {
        run_as_user: Some(1000),
        run_as_group: Some(2000),
        supplemental_groups: vec![3000],
        read_only_root: true,
        no_new_privileges: true,
        ..Default::default()
    };
    let env = vec![("GREETING".into(), "hi there".into())];
    let (_, container) = node.start(ContainerConfig { security, env, ..toolbox(&["sleep", "infinity"]) }).await;
    assert_eq!(node.output(&container, &["id"]).await, "uid=1000 gid=2000 groups=2000,3000\n");
    assert!(node.output(&container, &["env"]).await.contains("GREETING=hi there\n"));
    assert_eq!(node.output(&container, &["hostname"]).await, "pod\n");
    let (code, _, error) = node.run(&container, &["write", "/tmp/x", "y"]).await;
    assert!(code == 1 && error.contains("Read-only file system"), "{error}");
    assert!(node.output(&container, &["cat", "/proc/self/status"]).await.contains("NoNewPrivs:\t1"));
    node.clean().await;
}

pub(crate) async fn mounts_and_the_working_directory_are_there() {
    let node = Node::new().await;
    let volume = node.dir.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "from outside\n").unwrap();
    let mount = |path: &str, read_only| Mount {
        host_path: volume.clone(),
        container_path: path.into(),
        read_only,
        ..Default::default()
    };
    let mounts = vec![mount("/data", false), mount("/deep/er", true)];
    let config = ContainerConfig { mounts, working_dir: "/made/up".into(), ..toolbox(&["sleep", "infinity"]) };
    let (_, container) = node.start(config).await;
    assert_eq!(node.output(&container, &["cat", "/data/file"]).await, "from outside\n");
    node.output(&container, &["write", "/data/new", "from inside"]).await;
    assert_eq!(fs::read_to_string(volume.join("new")).unwrap(), "from inside\n");
    assert_ne!(node.run(&container, &["write", "/deep/er/x", "y"]).await.0, 0);
    node.output(&container, &["write", "here", "y"]).await;
    assert_eq!(node.output(&container, &["ls", "/made/up"]).await, "here\n");
    assert_eq!(node.output(&container, &["cat", "/etc/resolv.conf"]).await, "nameserver 192.0.2.1\n");
    node.clean().await;
}

pub(crate) async fn containers_of_a_pod_share_network_and_shared_memory() {
    let node = Node::new().await;
    let sandbox = node.new_pod().await;
    let mut containers = Vec::new();
    for (name, args) in [("server", &["serve", "--port", "8080"][..]), ("client", &["sleep", "infinity"])] {
        let config = ContainerConfig { name: name.into(), log_path: format!("{name}.log").into(), ..toolbox(args) };
        let container = node.create_container(&sandbox, config).await.unwrap();
        node.start_container(&container).await.unwrap();
        containers.push(container);
    }
    while node.log("server.log").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = node.output(&containers[1], &["get", "http://127.0.0.1:8080/some/path"]).await;
    assert!(answer.contains("\"pod\":\"pod\"") && answer.contains("/some/path"), "{answer}");
    node.output(&containers[0], &["write", "/dev/shm/x", "shared"]).await;
    assert_eq!(node.output(&containers[1], &["cat", "/dev/shm/x"]).await, "shared\n");
    // A process namespace each.
    let own = node.output(&containers[1], &["cat", "/proc/1/comm"]).await;
    assert_eq!(own, node.output(&containers[0], &["cat", "/proc/1/comm"]).await);
    let others = node.output(&containers[1], &["ls", "/proc"]).await;
    assert_eq!(others.lines().filter(|name| name.parse::<u32>().is_ok()).count(), 2, "{others}");
    node.clean().await;
}

pub(crate) async fn containers_of_a_pod_can_share_processes() {
    let node = Node::new().await;
    let mut pod = node.pod();
    pod.share_processes = true;
    let sandbox = node.run_sandbox(pod).await.unwrap();
    let mut containers = Vec::new();
    for _ in 0..2 {
        let container = node.create_container(&sandbox, toolbox(&["sleep", "infinity"])).await.unwrap();
        node.start_container(&container).await.unwrap();
        containers.push(container);
    }
    let seen = node.output(&containers[0], &["ls", "/proc"]).await;
    // The holder, two containers and the command itself.
    assert_eq!(seen.lines().filter(|name| name.parse::<u32>().is_ok()).count(), 4, "{seen}");
    node.handles_signals(&containers[0]).await;
    node.stop_container(&containers[0], LONG).await.unwrap();
    assert_eq!(node.end(&containers[0]).await.0, 143);
    assert_eq!(node.output(&containers[1], &["echo", "still here"]).await, "still here\n");
    node.clean().await;
}

pub(crate) async fn stats_are_measured_and_capabilities_limited() {
    let node = Node::new().await;
    let (_, container) = node.start(toolbox(&["allocate", "30"])).await;
    while node.log("main.log").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stats = node.stats(&container).await.unwrap();
    assert!(stats.memory_bytes > 30 << 20 && stats.memory_bytes < 200 << 20, "{stats:?}");
    assert!(stats.pids >= 1 && stats.cpu > Duration::ZERO, "{stats:?}");
    let status = node.output(&container, &["cat", "/proc/self/status"]).await;
    assert!(status.contains("CapEff:\t00000000a80425fb"), "{status}");
    node.clean().await;
}

pub(crate) async fn a_privileged_container_sees_devices() {
    let node = Node::new().await;
    let security = Security { privileged: true, ..Default::default() };
    let (_, container) = node.start(ContainerConfig { security, ..toolbox(&["sleep", "infinity"]) }).await;
    let devices = node.output(&container, &["ls", "/dev"]).await;
    assert!(devices.contains("null") && devices.lines().count() > 15, "{devices}");
    node.output(&container, &["write", "/proc/sys/net/ipv4/ip_forward", "1"]).await;
    node.clean().await;
}

pub(crate) async fn removing_a_sandbox_leaves_nothing_behind() {
    let node = Node::new().await;
    let (sandbox, container) = node.start(toolbox(&["sleep", "infinity"])).await;
    let pid = node.sandbox(&sandbox).await.unwrap().pid;
    node.remove_sandbox(&sandbox).await.unwrap();
    node.remove_sandbox(&sandbox).await.unwrap();
    assert!(node.list().await.unwrap().is_empty());
    assert_eq!(fs::read_dir(node.dir.path().join("state/sandboxes")).unwrap().count(), 0);
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&sandbox));
    let stat = format!("/proc/{pid}/stat");
    while fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let root = hierarchy.path().join(format!("orch-test-{}/kubepods", std::process::id()));
        // The groups of the classes of service stay.
        let pods = fs::read_dir(&root).into_iter().flatten().flatten();
        let pods = pods.filter(|entry| entry.file_name().to_string_lossy().starts_with("pod"));
        assert_eq!(pods.count(), 0, "{root:?}");
    }
    assert!(matches!(node.stats(&container).await, Err(RuntimeError::NotFound(_))));
}

pub(crate) async fn mounts_propagate_as_asked() {
    let node = Node::new().await;
    let volume = node.dir.path().join("volume");
    fs::create_dir_all(&volume).unwrap();
    let none: Option<&str> = None;
    mount(Some("volume"), &volume, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    mount(none, &volume, none, MsFlags::MS_SHARED, none).unwrap();
    fs::create_dir_all(volume.join("outside")).unwrap();
    fs::create_dir_all(volume.join("inside")).unwrap();
    let at = |path: &str, propagation| Mount {
        host_path: volume.clone(),
        container_path: path.into(),
        propagation,
        ..Default::default()
    };
    let mounts = vec![at("/private", Propagation::Private)];
    let (_, private) = node.start(ContainerConfig { mounts, ..toolbox(&["sleep", "infinity"]) }).await;
    let mounts = vec![at("/slave", Propagation::HostToContainer), at("/both", Propagation::Bidirectional)];
    let (_, container) = node.start(ContainerConfig { mounts, ..toolbox(&["sleep", "infinity"]) }).await;
    mount(Some("late"), &volume.join("outside"), Some("tmpfs"), MsFlags::empty(), none).unwrap();
    fs::write(volume.join("outside/file"), "late").unwrap();
    assert_eq!(node.output(&private, &["ls", "/private/outside"]).await, "");
    assert_eq!(node.output(&container, &["ls", "/slave/outside"]).await, "file\n");
    assert_eq!(node.output(&container, &["ls", "/both/outside"]).await, "file\n");
    let ContainerState::Running { pid, .. } = node.find(&container).await.state else { panic!("not running") };
    std::thread::spawn(move || {
        let namespace = fs::File::open(format!("/proc/{pid}/ns/mnt")).unwrap();
        unshare(CloneFlags::CLONE_FS).unwrap();
        setns(namespace, CloneFlags::CLONE_NEWNS).unwrap();
        mount(Some("inner"), "/both/inside", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        fs::write("/both/inside/file", "from inside").unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(fs::read_to_string(volume.join("inside/file")).unwrap(), "from inside");
    node.clean().await;
    for path in [volume.join("inside"), volume.join("outside"), volume] {
        umount2(&path, MntFlags::MNT_DETACH).unwrap();
    }
}

pub(crate) async fn a_pod_may_use_the_nodes_network_and_a_terminal() {
    let node = Node::new().await;
    let pod = SandboxConfig { host_network: true, host_pid: true, host_ipc: true, ..node.pod() };
    let sandbox = node.run_sandbox(pod).await.unwrap();
    let config = ContainerConfig { tty: true, ..toolbox(&["hostname"]) };
    let container = node.create_container(&sandbox, config).await.unwrap();
    node.start_container(&container).await.unwrap();
    assert_eq!(node.end(&container).await.0, 0);
    let name = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert_eq!(node.log("main.log"), [format!("stdout F {name}")]);
    node.clean().await;
}
