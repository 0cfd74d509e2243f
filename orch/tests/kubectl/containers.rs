//! logs, exec, and what describe says of containers: on pods that really run.

use crate::{
    cluster::processes,
    run::{Kubectl, with_each},
    terminal::Terminal,
};
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

const TALKER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  initContainers:
  - {name: first, image: "orch.local/toolbox:latest", command: [echo, "made ready"]}
  containers:
  - {name: main, image: "orch.local/toolbox:latest", command: [sh, -c, "for n in 1 2 3; do echo line $n; done; sleep 0.3; echo oops >&2; exec sleep 600"]}
  - {name: side, image: "orch.local/toolbox:latest", command: [sh, -c, "echo beside; exec sleep 600"]}
"#;

fn talker(k: &Kubectl) {
    k.apply(TALKER).succeeds();
    k.run("wait --for=condition=Ready pod/talker --timeout=30s").succeeds();
}

#[test]
fn logs_are_read_followed_and_chosen() {
    with_each(processes, "logs", |k| {
        talker(k);
        // From here on all of it has been said.
        let mut command = k.command(&["logs", "-f", "talker", "-c", "main"]);
        let mut follower = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        let first: Vec<String> = lines.by_ref().take(4).map(Result::unwrap).collect();
        assert_eq!(first, ["line 1", "line 2", "line 3", "oops"]);
        k.run("logs talker -c first").prints("made ready\n");
        k.run("logs talker")
            .contains("Defaulted container \"main\" out of: main, side, first (init)")
            .contains("line 1\nline 2\nline 3\n");
        k.run("logs talker -c main --tail=1 --limit-bytes=3").prints("oop");
        k.run("logs talker -c main --since=1h --timestamps").contains("Z line 1\n");
        k.run("logs talker --all-containers --prefix").contains("[pod/talker/side] beside");
        k.run("logs talker -c none").fails("container none is not valid for pod talker");
        k.run("logs talker -c main --previous")
            .fails("previous terminated container \"main\" in pod \"talker\" not found");
        k.run("logs nothing").fails("pods \"nothing\" not found");
        k.run("delete pod talker --grace-period=1").succeeds();
        assert_eq!(lines.count(), 0, "the end of the container ends the log");
        assert!(follower.wait().unwrap().success());
    });
}

#[test]
fn commands_run_in_containers_with_and_without_a_terminal() {
    with_each(processes, "exec", |k| {
        talker(k);
        k.run("exec talker -c main -- echo hello there").prints("hello there\n");
        k.with_input("exec -i talker -c main -- cat", "from here").prints("from here");
        let code = k.command(&["exec", "talker", "-c", "main", "--", "sh", "-c", "exit 7"]).output().unwrap();
        assert_eq!(code.status.code(), Some(7));
        assert_eq!(String::from_utf8_lossy(&code.stderr), "command terminated with exit code 7\n");
        k.run("exec talker -c none -- true").fails("container none is not valid for pod talker");
        k.run("exec nothing -- true").fails("pods \"nothing\" not found");
        k.run("exec talker -c main -- no-such-program").fails("no-such-program");

        let mut terminal = Terminal::run(k.command(&["exec", "-it", "talker", "-c", "main", "--", "sh"]), (120, 40));
        terminal.type_line("stty size; tty >/dev/null && echo is-a-$((40 + 2))-tty");
        terminal.shows("is-a-42-tty");
        assert!(terminal.seen().contains("40 120"), "the size of the terminal: {}", terminal.seen());
        terminal.resize((90, 30));
        terminal.type_line("sleep 1; stty size");
        terminal.shows("30 90");
        terminal.type_line("exit 3");
        assert_eq!(terminal.exit_code(), 3);
    });
}

#[test]
fn describe_tells_of_the_lives_of_containers() {
    with_each(processes, "lives", |k| {
        k.run("run crash --image=orch.local/toolbox:latest -- exit 3").succeeds();
        k.run("wait --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff pod/crash --timeout=30s")
            .succeeds();
        k.run("get pod crash").has_row(&["crash", "0/1", "CrashLoopBackOff", "*", "*"]);
        k.run("describe pod crash")
            .contains("Reason:       CrashLoopBackOff")
            .contains("Exit Code:    3")
            .contains("Back-off restarting failed container crash in pod crash_lives-");
        k.run("logs crash --previous").succeeds();
        k.apply(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"typo"},"spec":{"containers":[{"name":"main","image":"Bad Name"}]}}"#)
            .succeeds();
        k.run("wait --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=InvalidImageName pod/typo --timeout=30s")
            .succeeds();
        k.run("describe pod typo").contains("couldn't parse image name \"Bad Name\": invalid reference format");
        k.run("run late --image=orch.local/toolbox:latest --restart=Never -- exit 0").succeeds();
        k.run("wait --for=jsonpath={.status.phase}=Succeeded pod/late --timeout=30s").succeeds();
        k.run("get pod late").has_row(&["late", "0/1", "Completed", "0", "*"]);
        k.run("logs typo").fails("is waiting to start: InvalidImageName");
    });
}
