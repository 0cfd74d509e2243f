//! [`Handler`]: DNS messages in, DNS messages out.

use super::{
    forward::Forwarder,
    zone::{Answer, Data, Zone},
};
use async_trait::async_trait;
use hickory_proto::{
    op::{Edns, Message, Metadata, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, PTR, SOA, SRV},
    },
};
use hickory_server::{
    net::runtime::Time,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use parking_lot::RwLock;
use std::{net::IpAddr, sync::Arc};

/// Seconds for which clients may remember an answer: CoreDNS's default for the cluster's names.
const TTL: u32 = 5;

/// Answers from the zone, or from upstream.
pub(super) struct Handler {
    zone: Arc<RwLock<Zone>>,
    upstream: Forwarder,
}

/// The largest datagram that is sent, whatever the client would take: larger ones are lost on the way as fragments
/// (DNS flag day 2020).
const LARGEST_DATAGRAM: u16 = 1232;
/// How many aliases of the cluster may follow each other.
const ALIASES: usize = 8;

/// An answer ready to be sent.
#[derive(Default)]
struct Reply {
    code: ResponseCode,
    authoritative: bool,
    truncated: bool,
    answers: Vec<Record>,
    /// The start of authority, which says how long clients may remember that there is nothing (RFC 2308).
    authorities: Vec<Record>,
    additionals: Vec<Record>,
}

impl Handler {
    pub(super) fn new(zone: Arc<RwLock<Zone>>, upstream: Forwarder) -> Self {
        Self { zone, upstream }
    }

    async fn answer(&self, request: &Request) -> Reply {
        let refused = |code| Reply { code, ..Reply::default() };
        if request.metadata.op_code != OpCode::Query {
            return refused(ResponseCode::NotImp);
        }
        let Ok(info) = request.request_info() else { return refused(ResponseCode::FormErr) };
        let name = Name::from(info.query.name().clone());
        let kind = info.query.query_type();
        let mut reply = match self.known(&name, kind) {
            Some(reply) => reply,
            None => return self.elsewhere(request.as_slice()).await,
        };
        // Clients leave it to us to follow an alias to its addresses.
        for _ in 0..ALIASES {
            let Some(RData::CNAME(CNAME(target))) = reply.answers.last().map(|r| r.data.clone()) else { break };
            if kind == RecordType::CNAME {
                break;
            }
            let more = match self.known(&target, kind) {
                Some(more) => more,
                None => self.elsewhere(&question(&target, kind)).await,
            };
            reply.code = more.code;
            reply.truncated = more.truncated;
            reply.answers.extend(more.answers);
            reply.authorities = more.authorities;
        }
        reply
    }

    /// The answer of the cluster's own names; `None` for all others.
    fn known(&self, name: &Name, kind: RecordType) -> Option<Reply> {
        let zone = self.zone.read();
        let mut reply = match zone.look_up(&name.to_ascii()) {
            Answer::Elsewhere => return None,
            Answer::NoSuchName => Reply { code: ResponseCode::NXDomain, authoritative: true, ..Reply::default() },
            Answer::Found(data) => records(name, kind, data),
        };
        if reply.answers.is_empty() {
            reply.authorities.extend(authority(zone.domain()));
        }
        Some(reply)
    }

    async fn elsewhere(&self, question: &[u8]) -> Reply {
        match self.upstream.ask(question).await {
            Some(message) => Reply {
                code: message.metadata.response_code,
                authoritative: false,
                truncated: message.metadata.truncation,
                answers: message.answers,
                authorities: message.authorities,
                additionals: Vec::new(),
            },
            None => Reply { code: ResponseCode::ServFail, ..Reply::default() },
        }
    }
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut send: R) -> ResponseInfo {
        let reply = self.answer(request).await;
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = reply.code;
        metadata.authoritative = reply.authoritative;
        metadata.recursion_available = true;
        metadata.truncation = reply.truncated;
        // Without the client's word (EDNS) a datagram has at most 512 bytes; what does not fit is cut off, and the
        // client asks again over TCP.
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(asked.max_payload().clamp(512, LARGEST_DATAGRAM));
            edns
        });
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            builder.edns(edns);
        }
        let response = builder.build(metadata, &reply.answers, &reply.authorities, &[], &reply.additionals);
        match send.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "a DNS answer was not sent");
                hickory_proto::op::Header { metadata, counts: Default::default() }.into()
            }
        }
    }
}

fn question(name: &Name, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name.clone(), kind));
    // A name that was read from a record can be written again.
    message.to_vec().unwrap_or_default()
}

/// The start of authority of the cluster's domain, with CoreDNS's names and times.
fn authority(domain: &str) -> Option<Record> {
    let name = |prefix: &str| Name::from_ascii(format!("{prefix}{domain}.")).ok();
    let data = SOA::new(name("ns.dns.")?, name("hostmaster.")?, 1, 7200, 1800, 86_400, TTL);
    Some(Record::from_rdata(name("")?, TTL, RData::SOA(data)))
}

/// The records of the type that was asked for. An alias answers every question.
fn records(name: &Name, kind: RecordType, data: Vec<Data>) -> Reply {
    let mut reply = Reply { authoritative: true, ..Reply::default() };
    let wanted = |t: RecordType| kind == t || kind == RecordType::ANY;
    for item in data {
        let rdata = match item {
            Data::Address(IpAddr::V4(a)) if wanted(RecordType::A) => RData::A(A(a)),
            Data::Address(IpAddr::V6(a)) if wanted(RecordType::AAAA) => RData::AAAA(AAAA(a)),
            Data::Alias(target) => match Name::from_ascii(&target) {
                Ok(target) => RData::CNAME(CNAME(target)),
                Err(_) => continue,
            },
            Data::Pointer(target) if wanted(RecordType::PTR) => match Name::from_ascii(&target) {
                Ok(target) => RData::PTR(PTR(target)),
                Err(_) => continue,
            },
            Data::Port(port, target, address) if wanted(RecordType::SRV) => {
                let Ok(target) = Name::from_ascii(&target) else { continue };
                let glue = match address {
                    IpAddr::V4(a) => RData::A(A(a)),
                    IpAddr::V6(a) => RData::AAAA(AAAA(a)),
                };
                reply.additionals.push(Record::from_rdata(target.clone(), TTL, glue));
                RData::SRV(SRV::new(0, 100, port, target))
            }
            _ => continue,
        };
        reply.answers.push(Record::from_rdata(name.clone(), TTL, rdata));
    }
    reply
}
