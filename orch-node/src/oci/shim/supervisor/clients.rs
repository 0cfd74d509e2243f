//! Connections, and what is asked over them.

use super::{
    super::super::{
        fds,
        protocol::{LONGEST, Reply, Request, encode},
    },
    Supervisor, Tap,
};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
};
use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// A connection.
pub(super) struct Client {
    pub(super) stream: UnixStream,
    pub(super) input: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    pub(super) watching: bool,
    /// Its one request was taken.
    pub(super) asked: bool,
}

impl Client {
    /// Says something; whoever does not listen has lost it.
    pub(super) fn say(&self, reply: &Reply) {
        let _ = fds::send(self.stream.as_fd(), &encode(reply), &[]);
    }
}

impl Supervisor {
    pub(super) fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let client = Client { stream, input: Vec::new(), fds: Vec::new(), watching: false, asked: false };
        self.clients.insert(self.next_client, client);
        self.next_client += 1;
    }

    pub(super) fn client(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let mut buffer = [0; 16 << 10];
        match fds::receive(client.stream.as_fd(), &mut buffer) {
            Err(Errno::EAGAIN) => {}
            Ok((n, _)) if n > 0 && client.asked => self.input_ended(id),
            Ok((n, fds)) if n > 0 && client.input.len() < LONGEST => {
                client.fds.extend(fds);
                client.input.extend_from_slice(buffer.get(..n).unwrap_or_default());
                if client.input.ends_with(b"\n") {
                    client.asked = true;
                    let (input, fds) = (std::mem::take(&mut client.input), std::mem::take(&mut client.fds));
                    self.request(id, &input, fds);
                }
            }
            _ => self.client_gone(id),
        }
    }

    /// A command ends with the connection that asked for it.
    pub(super) fn client_gone(&mut self, id: u64) {
        self.clients.remove(&id);
        self.input_ended(id);
        self.containers.values_mut().for_each(|container| container.taps.retain(|tap| tap.client != id));
        self.leaving.retain(|(tap, _)| tap.client != id);
        for (pid, _) in self.commands.iter().filter(|(_, client)| **client == id) {
            let _ = kill(*pid, Signal::SIGKILL);
        }
    }

    fn request(&mut self, client: u64, input: &[u8], fds: Vec<OwnedFd>) {
        let result = match serde_json::from_slice(input) {
            Ok(Request::Start { container }) => self.start(client, &container, fds),
            Ok(Request::Exec { container, command, tty }) => self.exec(client, &container, command, tty, fds),
            Ok(Request::Attach { container, stdin }) => self.attach(client, &container, stdin, fds),
            Ok(Request::Signal { container, signal }) => self.signal(client, &container, signal),
            Ok(Request::ReopenLog { container }) => self.reopen_log(client, &container),
            Ok(Request::Watch) => {
                if let Some(client) = self.clients.get_mut(&client) {
                    client.watching = true;
                    client.say(&Reply::Changed);
                }
                Ok(())
            }
            Ok(Request::Stop) => {
                self.stopping.push(client);
                self.containers.iter().for_each(|(id, running)| self.kill(id, running));
                Ok(())
            }
            Err(error) => Err(io::Error::other(format!("bad request: {error}"))),
        };
        if let Err(error) = result {
            self.say(client, &Reply::Failed { message: error.to_string() });
        }
    }

    pub(super) fn say(&self, client: u64, reply: &Reply) {
        if let Some(client) = self.clients.get(&client) {
            client.say(reply);
        }
    }

    pub(super) fn changed(&self) {
        self.clients.values().filter(|client| client.watching).for_each(|client| client.say(&Reply::Changed));
    }

    /// The input of an attached client has ended, and with it the container's if it was to be the only one.
    fn input_ended(&mut self, client: u64) {
        let of = self.containers.values_mut().filter(|c| c.taps.iter().any(|tap| tap.client == client && tap.stdin));
        of.filter(|c| c.stdin_once && !c.tty).for_each(|c| c.stdin = None);
    }

    /// Lets those go who have all of the output of a container that has ended.
    pub(super) fn dismiss(&mut self) {
        self.leaving.iter_mut().for_each(|(tap, _)| tap.flush());
        let (gone, leaving) =
            std::mem::take(&mut self.leaving).into_iter().partition(|(tap, _)| tap.full().next().is_none());
        self.leaving = leaving;
        let gone: Vec<(Tap, i32)> = gone;
        for (tap, code) in gone {
            self.say(tap.client, &Reply::Exited { code });
        }
    }
}
