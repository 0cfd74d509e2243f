//! Commands that are run in containers: what exec asks for.

use super::{
    super::{
        super::{
            fds,
            protocol::{Reply, encode},
        },
        worker::{self, Outcome},
    },
    Job, Kind, Supervisor,
    containers::exit_code,
};
use nix::{sys::wait::WaitStatus, unistd::Pid};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

impl Supervisor {
    pub(super) fn exec(
        &mut self,
        client: u64,
        id: &str,
        command: Vec<String>,
        tty: bool,
        fds: Vec<OwnedFd>,
    ) -> io::Result<()> {
        if !self.containers.contains_key(id) {
            return Err(io::Error::other(format!("container {id} is not running")));
        }
        let container = worker::load(&self.dir, id)?;
        let mut fds = fds.into_iter();
        let mounts = fds.next();
        let worker = worker::exec(self.context(&container, mounts, fds.collect(), tty), command)?;
        self.workers.push(Job { worker, client, kind: Kind::Exec });
        Ok(())
    }

    pub(super) fn exec_started(&mut self, client: u64, outcome: Outcome, fds: Vec<OwnedFd>) {
        let pid = match outcome {
            Outcome::Running(pid) => Pid::from_raw(pid),
            Outcome::Failed(message) => return self.say(client, &Reply::Failed { message }),
        };
        self.commands.insert(pid, client);
        match self.clients.get(&client) {
            Some(client) => {
                let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                let _ = fds::send(client.stream.as_fd(), &encode(&Reply::Started), &fds);
            }
            None => self.client_gone(client),
        }
        if let Some(status) = self.unclaimed.remove(&pid) {
            self.command_ended(pid, status);
        }
    }

    pub(super) fn command_ended(&mut self, pid: Pid, status: WaitStatus) {
        if let Some(client) = self.commands.remove(&pid) {
            self.say(client, &Reply::Exited { code: exit_code(&status).0 });
        }
    }
}
